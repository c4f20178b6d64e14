//! The command line as a script meets it: exit codes, what stands on which stream, and answers line by line.

use std::process::Output;

use serde_json::Value;

use crate::support::files::{square, txt, write};
use crate::support::process::{run, sizhi};
use crate::support::{Database, fixture, scratch};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8 output")
}

/// The only thing on standard output, as JSON.
#[track_caller]
fn only_json(output: &Output) -> Value {
    let out = text(&output.stdout);
    serde_json::from_str(&out)
        .unwrap_or_else(|e| panic!("not one JSON document ({e}): {out} / {}", text(&output.stderr)))
}

/// Numbers compared as doubles: 84 and 84.0 are one area.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(n) => serde_json::json!(n.as_f64()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), plain(v))).collect::<serde_json::Map<_, _>>().into(),
        other => other.clone(),
    }
}

fn extents(input: &[u8]) -> Vec<Value> {
    let output = run(sizhi(&["check", "extents", "--json"]), input);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// Texts and expected parses of a case file, written by hand.
fn cases(file: &str) -> Vec<(String, String, Value)> {
    let bytes = std::fs::read(fixture(&format!("four_extents/{file}"))).expect("fixture");
    let document: Value = serde_json::from_slice(&bytes).expect("JSON");
    let word = |case: &Value, key: &str| case[key].as_str().expect("a text").to_owned();
    let list = document["cases"].as_array().expect("cases");
    list.iter().map(|c| (word(c, "id"), word(c, "text"), c["expect"].clone())).collect()
}

fn check_cases(file: &str, least: usize) {
    let cases = cases(file);
    assert!(cases.len() >= least, "{} cases only", cases.len());
    let mut input = String::new();
    for (_, text, _) in &cases {
        // One text a line: line breaks inside go as a JSON string.
        input.push_str(&if text.contains(['\n', '\r']) { serde_json::json!(text).to_string() } else { text.clone() });
        input.push('\n');
    }
    let answers = extents(input.as_bytes());
    assert_eq!(answers.len(), cases.len(), "one answer a text");
    let wrong: Vec<String> = cases
        .iter()
        .zip(&answers)
        .filter(|((_, _, expect), answer)| plain(expect) != plain(answer))
        .map(|((id, text, expect), answer)| format!("{id} {text}\n  wanted {expect}\n  got    {answer}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn extents_of_the_shared_cases_are_exactly_those_expected() {
    check_cases("sizhi_cases.json", 25);
}

#[test]
fn extents_of_our_own_cases_are_exactly_those_expected() {
    check_cases("own_cases.json", 65);
}

#[test]
fn a_text_with_line_breaks_is_one_answer_in_either_spelling() {
    let json = "\"东至甲路，南至乙路，\\n西至丙河，北至丁村。\"\n";
    let spelled = "东至甲路，南至乙路，\\n西至丙河，北至丁村。\n";
    let answers = extents(format!("{json}{spelled}").as_bytes());
    assert_eq!(answers.len(), 2);
    for answer in answers {
        let block = &answer["blocks"][0];
        let sides = ["east", "south", "west", "north"].map(|side| block[side].as_str().unwrap_or_default().to_owned());
        assert_eq!(sides, ["甲路", "乙路", "丙河", "丁村"], "{answer}");
    }
}

#[test]
fn every_line_gets_one_answer_whatever_is_in_it() {
    let nothing = serde_json::json!({"total_area_ha": null, "blocks": [], "warnings": ["no_directions"]});
    let mut input = Vec::new();
    input.extend_from_slice(b"\n   \n\xFF\xFE\x80\n\0\n\"not closed\n");
    // A megabyte without a break, then twelve: longer than any line that is kept.
    input.extend_from_slice("东".repeat(350_000).as_bytes());
    input.push(b'\n');
    input.extend_from_slice(&vec![b'x'; 12 * 1024 * 1024]);
    input.push(b'\n');
    input.extend_from_slice("东至甲路，南至乙路，西至丙河，北至丁村。\r\n".as_bytes());
    input.extend_from_slice("东至末路，南至乙路，西至丙河，北至丁村。".as_bytes());
    let answers = extents(&input);
    assert_eq!(answers.len(), 9);
    for (i, answer) in answers.iter().enumerate().take(7) {
        assert_eq!(answer["blocks"], nothing["blocks"], "line {i}");
        assert_eq!(answer["total_area_ha"], Value::Null, "line {i}");
    }
    assert_eq!(answers[7]["blocks"][0]["east"], "甲路");
    assert_eq!(answers[8]["blocks"][0]["east"], "末路", "the last line needs no line break");
    assert_eq!(extents(b"").len(), 0);
}

#[test]
fn wrong_arguments_exit_2() {
    for args in [&["fly"][..], &["import"], &["check", "extents", "--xml"], &["export", "--format", "dwg", "-o", "x"]] {
        let output = run(sizhi(args), b"");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn check_geometry_prints_json_and_nothing_else() {
    let (a, b) = (square(3_123_400.0, 38_435_200.0, 200.0), square(3_123_400.0, 38_435_350.0, 200.0));
    let file = write("cli_check.txt", txt(&[("A", a, 4.0), ("B", b, 4.0)]));
    let output = run(sizhi(&["check", "geometry", file.to_str().expect("path"), "--json"]), b"");
    assert_eq!(output.status.code(), Some(0));
    let mut report = only_json(&output);
    // The judge of the areas: the squares in the plane.
    for (at, plane) in [("/area_m2", 80_000.0), ("/overlaps/0/area_m2", 10_000.0)] {
        let found = report.pointer(at).and_then(Value::as_f64).expect(at);
        assert!((found / plane - 1.0).abs() < 2e-4, "{at}: {found}");
        *report.pointer_mut(at).expect(at) = Value::Null;
    }
    report["findings"][0]["message"] = Value::Null;
    let expected = serde_json::json!({
        "format": "txt", "crs": "EPSG:4526", "encoding": "utf-8", "features": 2, "polygons": 2, "invalid": 0, "area_m2": null,
        "area_mismatch": {"tolerance": 0.05, "compared": 2, "without_stated_area": 0, "count": 0, "listed": []},
        "touching_pairs": 0, "overlapping_pairs": 1, "overlaps": [{"row_a": 9, "row_b": 15, "area_m2": null}], "not_compared": 0,
        "findings": [{"code": "overlap_within_file", "severity": "error", "row": 15, "ring": null, "vertex": null, "message": null}]});
    assert_eq!(report, expected);
    let output = run(sizhi(&["check", "geometry", "no-such-file.txt", "--json"]), b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "an error stands on standard error");
    assert!(text(&output.stderr).contains("file_not_found"));
}

#[tokio::test]
async fn import_exits_0_when_written_and_3_when_refused() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    let good = write("cli_good.txt", txt(&[("A", square(3_123_400.0, 38_435_200.0, 200.0), 4.0)]));
    let bow_tie = {
        let s = square(3_123_400.0, 38_435_200.0, 200.0);
        vec![s[0], s[2], s[1], s[3]]
    };
    let bad = write("cli_bad.txt", txt(&[("A", bow_tie, 4.0)]));
    let import = |file: &std::path::Path, more: &[&str]| {
        let mut args = vec!["import", file.to_str().expect("path"), "--layer", "park_blocks", "--park", "G431176"];
        args.extend(more);
        let mut command = sizhi(&args);
        command.env("DATABASE_URL", &url);
        run(command, b"")
    };
    let refused = import(&bad, &["--json"]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    let report = only_json(&refused);
    assert_eq!(
        (&report["status"], &report["revision"], &report["batch"]),
        (&"refused".into(), &Value::Null, &Value::Null)
    );
    assert_eq!(db.value::<i64>("SELECT count(*) FROM revision").await, 1);

    let dry = import(&good, &["--json", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(0), "{}", text(&dry.stderr));
    let report = only_json(&dry);
    assert_eq!(
        (&report["status"], &report["dry_run"], &report["batch"]),
        (&"ready".into(), &true.into(), &Value::Null)
    );
    assert_eq!(db.value::<i64>("SELECT count(*) FROM import_batch").await, 0, "a dry run leaves nothing");

    let written = import(&good, &["--json"]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    let report = only_json(&written);
    assert_eq!((&report["revision"], &report["counts"]["insert"]), (&2.into(), &1.into()));
    assert_eq!(db.value::<i64>("SELECT max(number) FROM revision").await, 2);

    let again = import(&good, &["--json"]);
    assert_eq!((again.status.code(), &only_json(&again)["status"]), (Some(0), &"unchanged".into()));
    let spoken = import(&good, &[]);
    assert_eq!(spoken.status.code(), Some(0));
    assert!(text(&spoken.stdout).contains("没有改动"), "{}", text(&spoken.stdout));
    let misspelt = import(&good, &["--allow", "ring_self_intersection"]);
    assert_eq!(misspelt.status.code(), Some(3));
    assert!(text(&misspelt.stderr).contains("allow_not_possible"));
}

#[tokio::test]
async fn audit_verify_tells_sound_from_tampered() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    let verify = || {
        let mut command = sizhi(&["audit", "verify", "--json"]);
        command.env("DATABASE_URL", &url);
        run(command, b"")
    };
    let sound = verify();
    assert_eq!(sound.status.code(), Some(0), "{}", text(&sound.stderr));
    let report = only_json(&sound);
    let changes = db.value::<i64>("SELECT count(*) FROM change").await;
    assert_eq!((&report["ok"], &report["revisions"], &report["changes"]), (&true.into(), &1.into(), &changes.into()));
    let mut tamperer = db.superuser().await;
    for sql in ["SET session_replication_role = replica", "UPDATE park SET approved_area_ha = 1 WHERE code = 'G431176'"]
    {
        sqlx::query(sql).execute(&mut tamperer).await.expect(sql);
    }
    let tampered = verify();
    assert_eq!(tampered.status.code(), Some(1));
    let report = only_json(&tampered);
    assert_eq!(report["ok"], false);
    assert_eq!(
        (&report["first_bad"]["layer"], &report["first_bad"]["feature_id"]),
        (&"park".into(), &"G431176".into()),
        "{report}"
    );
}

#[tokio::test]
async fn db_status_tells_whether_the_embedded_cluster_runs_and_creates_nothing() {
    let _running = Database::empty().await;
    let cluster = scratch().join("cluster");
    let absent = crate::support::tools::folder("db_status").join("no-cluster-here");
    for (folder, exists) in [(&cluster, true), (&absent, false)] {
        let output = run(sizhi(&["db", "status", "--json", "--data", folder.to_str().expect("path")]), b"");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let report = only_json(&output);
        assert_eq!((&report["exists"], &report["running"]), (&exists.into(), &exists.into()), "{report}");
    }
    assert!(!absent.exists(), "looking made a folder");
}

#[test]
fn a_wrong_database_address_is_told_without_its_password() {
    for url in [
        "postgres://clerk:geheim@127.0.0.1:1/register",
        "postgres://clerk:geheim@127.0.0.1:no-port/register",
        "mysql://clerk:geheim@127.0.0.1/register",
        "clerk:geheim",
    ] {
        for args in [&["audit", "verify", "--json"][..], &["seed"], &["audit", "verify", "--database-url", url]] {
            let mut command = sizhi(args);
            command.env("DATABASE_URL", url);
            let output = run(command, b"");
            let said = text(&output.stderr);
            assert!(matches!(output.status.code(), Some(1 | 3)), "{url} {args:?}: {:?} {said}", output.status);
            assert!(said.contains("DATABASE_URL") || said.contains("数据库"), "{url}: {said}");
            assert!(!said.contains("geheim") && !said.contains("panicked"), "{url}: {said}");
            assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
        }
    }
}

#[tokio::test]
async fn export_never_overwrites_unless_forced() {
    let db = Database::with_sample().await;
    let url = db.url().await;
    let target = write("cli_export.geojson", "keep me");
    let export = |more: &[&str]| {
        let mut args =
            vec!["export", "--format", "geojson", "--park", "G431176", "--output", target.to_str().expect("path")];
        args.extend(more);
        let mut command = sizhi(&args);
        command.env("DATABASE_URL", &url);
        run(command, b"")
    };
    let refused = export(&[]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(text(&refused.stderr).contains("file_exists"), "{}", text(&refused.stderr));
    assert_eq!(std::fs::read(&target).expect("still there"), b"keep me");
    let forced = export(&["--force"]);
    assert_eq!(forced.status.code(), Some(0), "{}", text(&forced.stderr));
    let document: Value = serde_json::from_slice(&std::fs::read(&target).expect("written")).expect("GeoJSON");
    let blocks = db.value::<i64>("SELECT count(*) FROM park_block WHERE park_code = 'G431176'").await;
    assert_eq!(document["features"].as_array().map(Vec::len), usize::try_from(blocks).ok());
}

#[tokio::test]
async fn refusals_of_the_command_line_have_their_code() {
    let db = Database::with_sample().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("address").port().to_string();
    let out = scratch().join("nothing.geojson");
    for (args, exit, code) in [
        (vec!["serve", "--port", &port], 3, "port_unavailable"),
        (vec!["import", "x.txt", "--layer", "park_blocks", "--actor", " "], 3, "actor_invalid"),
        (
            vec!["export", "--format", "geojson", "--park", "G431199", "--output", out.to_str().expect("path")],
            1,
            "park_not_found",
        ),
    ] {
        let mut command = sizhi(&args);
        command.env("DATABASE_URL", db.url().await);
        let output = run(command, b"");
        assert_eq!(output.status.code(), Some(exit), "{args:?}");
        assert!(text(&output.stderr).contains(&format!("（{code}）")), "{}", text(&output.stderr));
    }
}
