//! `sizhi export`: the same bytes as over HTTP, whole or not at all.

use std::path::Path;
use std::process::Output;

use crate::support::Database;
use crate::support::http::get_authorised;
use crate::support::process::{run, sizhi};
use crate::support::tools::{arg, folder};

async fn export(db: &Database, work: &Path, args: &[&str]) -> Output {
    let mut command = sizhi(&["export"]);
    command.args(args).current_dir(work).env("DATABASE_URL", db.url().await);
    run(command, b"")
}

fn names(work: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(work).expect("readable").flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[actix_web::test]
async fn the_command_line_writes_what_http_gives() {
    let db = Database::with_sample().await;
    let work = folder("export_cli");
    for (layer, format, args, query) in [
        (
            "parks",
            "csv",
            vec!["--filter", "level=国家级", "--bbox", "112,27,114,29"],
            "level=%E5%9B%BD%E5%AE%B6%E7%BA%A7&bbox=112,27,114,29",
        ),
        ("parks", "ndjson", vec!["--limit", "3", "--datetime", "2014-02-01"], "limit=3&datetime=2014-02-01"),
        (
            "park_blocks",
            "csv",
            vec!["--park", "G431176", "--geometry", "wkt", "--headings", "en"],
            "park_code=G431176&geometry=wkt&headings=en",
        ),
        (
            "divisions",
            "csv",
            vec!["--encoding", "gbk", "--filter", "level=prefecture"],
            "encoding=gbk&level=prefecture",
        ),
    ] {
        let target = work.join(format!("{layer}.{format}"));
        let mut all = vec!["--layer", layer, "--format", format, "--output", arg(&target), "--force"];
        all.extend(args);
        let output = export(&db, &work, &all).await;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let answer = get_authorised(&db, &format!("/api/collections/{layer}/items?f={format}&{query}")).await;
        assert!(answer.body.iter().filter(|b| **b == b'\n').count() >= 3, "{layer}: something matches");
        assert_eq!(std::fs::read(&target).expect("written"), answer.body, "{layer} {format}");
    }
}

#[tokio::test]
async fn a_file_has_a_name_of_its_own_and_is_not_overwritten() {
    let db = Database::with_sample().await;
    let work = folder("export_cli_name");
    let output = export(&db, &work, &["--layer", "parks", "--format", "fgb"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let made = names(&work);
    let [name] = made.as_slice() else { panic!("{made:?}") };
    assert!(name.starts_with("产业园区_20") && name.ends_with(".fgb"), "{name}");
    let bytes = std::fs::read(work.join(name)).expect("written");
    let again = export(&db, &work, &["--layer", "parks", "--format", "fgb"]).await;
    assert_eq!(again.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&again.stderr).contains("file_exists"));
    assert_eq!((names(&work).len(), std::fs::read(work.join(name)).expect("still there")), (1, bytes));
}

#[tokio::test]
async fn what_cannot_be_exported_leaves_nothing_behind() {
    let db = Database::with_sample().await;
    db.write("UPDATE park SET name = '𠮷野' WHERE code = 'S439120'").await;
    let work = folder("export_cli_refused");
    for (args, exit, code) in [
        (vec!["--layer", "parks", "--format", "csv", "--encoding", "gbk"], 3, "character_not_in_gbk"),
        (vec!["--layer", "parks", "--format", "csv", "--filter", "colour=red"], 3, "parameter_unknown"),
        (vec!["--layer", "parks", "--format", "csv", "--filter", "level"], 3, "value_invalid"),
        (vec!["--layer", "parks", "--format", "csv", "--bbox", "1,2"], 3, "bbox_invalid"),
        (vec!["--layer", "divisions", "--format", "csv", "--park", "G431176"], 3, "option_not_possible"),
        (vec!["--layer", "parks", "--format", "xlsx", "--crs", "EPSG:4526"], 3, "option_not_possible"),
        (vec!["--layer", "parks", "--format", "csv", "--encoding", "big5"], 3, "encoding_unknown"),
        (vec!["--layer", "nothing", "--format", "csv"], 2, "park_blocks"),
        (vec!["--layer", "parks", "--format", "xls"], 2, "xlsx"),
    ] {
        let output = export(&db, &work, &args).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {said}");
        assert!(said.contains(code), "{args:?}: {said}");
        assert_eq!(names(&work), [] as [String; 0], "{args:?}");
    }
}
