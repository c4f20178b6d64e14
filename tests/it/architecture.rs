//! The arrows of the house: which module may import which, and what it must never see.
//!
//! Reads the sources as text, without comments, string literals and `#[cfg(test)]` modules, so that the rule holds
//! for what ships. A broken row is named with file and path. The table is `docs/architecture.md`'s.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One row: the module, what it may import from this crate, and the outside names it must never use.
struct Row {
    module: &'static str,
    may_import: &'static [&'static str],
    must_never_see: &'static [&'static str],
}

const IO: &[&str] = &["sqlx", "actix_web", "gdal", "tokio", "std::fs", "std::net", "std::process", "std::env"];

const ROWS: &[Row] = &[
    Row {
        module: "domain",
        may_import: &["domain"],
        must_never_see: &[
            "serde",
            "serde_json",
            "sqlx",
            "actix_web",
            "gdal",
            "tokio",
            "std::fs",
            "std::net",
            "std::env",
            "std::process",
            "std::time",
            "Utc::now",
            "Local::now",
        ],
    },
    Row {
        module: "error",
        may_import: &["domain"],
        must_never_see: &["sqlx", "actix_web", "gdal", "serde_json", "std::io"],
    },
    Row { module: "geometry", may_import: &["geometry", "domain", "error"], must_never_see: IO },
    Row {
        module: "exchange",
        may_import: &["exchange", "domain", "geometry", "error"],
        must_never_see: &["sqlx", "actix_web"],
    },
    Row {
        module: "store",
        may_import: &["store", "domain", "geometry", "error"],
        must_never_see: &["actix_web", "gdal"],
    },
    Row {
        module: "layers",
        may_import: &["layers", "domain", "geometry", "error"],
        must_never_see: &["sqlx", "actix_web", "gdal", "std::fs", "std::net"],
    },
    Row {
        module: "inventory",
        may_import: &["inventory", "domain", "geometry", "exchange", "store", "layers", "error"],
        must_never_see: &["actix_web", "gdal", "StatusCode"],
    },
    Row {
        module: "api",
        may_import: &["api", "inventory", "layers", "store", "domain", "geometry", "error", "config"],
        must_never_see: &[
            "gdal",
            "sqlx::query",
            "sqlx::query_as",
            "sqlx::query_scalar",
            "sqlx::raw_sql",
            "sqlx::QueryBuilder",
            "SELECT ",
            "INSERT ",
            "UPDATE ",
            "DELETE FROM",
            "begin(",
        ],
    },
    Row {
        module: "cli",
        may_import: &[
            "cli",
            "api",
            "inventory",
            "layers",
            "exchange",
            "store",
            "domain",
            "geometry",
            "error",
            "config",
        ],
        must_never_see: &["sqlx::query", "sqlx::query_as", "sqlx::query_scalar", "sqlx::raw_sql", "SELECT ", "gdal"],
    },
    Row { module: "config", may_import: &["config", "error"], must_never_see: &["sqlx", "actix_web", "gdal"] },
];

/// Unit tests in a file of their own: `tests.rs`, `overlap_tests.rs`.
fn is_test(file_name: &str) -> bool {
    file_name == "tests.rs" || file_name.ends_with("_tests.rs")
}

fn sources(module: &str) -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("readable source folder") {
            let path = entry.expect("readable entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs")
                && path.file_name().is_some_and(|n| !is_test(&n.to_string_lossy()))
            {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let folder = root.join(module);
    if folder.is_dir() {
        walk(&folder, &mut found);
    }
    let file = root.join(format!("{module}.rs"));
    if file.is_file() {
        found.push(file);
    }
    found
}

/// The code alone: comments dropped, and everything from a `#[cfg(test)]` module on (it stands last in a file).
/// String literals stay: SQL text in them is one of the things looked for.
fn shipped_code(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.trim_start().starts_with("mod ")) {
            break;
        }
        code.push_str(line.split("//").next().unwrap_or(""));
        code.push('\n');
    }
    code
}

/// First path segments behind `crate::`, groups included: `crate::{error::Error, domain}` gives error and domain.
fn crate_imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with('$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut segment = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 && c == ',' {
                    found.insert(first_segment(&segment));
                    segment.clear();
                } else {
                    segment.push(c);
                }
            }
            found.insert(first_segment(&segment));
        } else {
            found.insert(first_segment(rest));
        }
    }
    found.remove("");
    found
}

fn first_segment(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// True where `name` stands in the code as a path or text of its own, not as the tail of another word.
fn sees(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let open_ended = name.ends_with(|c: char| !c.is_alphanumeric());
        // `gdal` the crate is a path root: `gdal::…` or `use gdal…`, not the word in a message.
        let is_crate = !name.contains("::") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let path_root = !is_crate || code[at + name.len()..].starts_with("::") || code[..at].ends_with("use ");
        // SQL often begins its literal.
        let in_text = before == Some('"') && !name.starts_with(|c: char| c.is_ascii_uppercase());
        !word(before) && !in_text && (open_ended || !word(after)) && path_root
    }) || in_a_group(code, name)
}

/// True where a group import brings the name in: `use std::{fs, env}` has `std::fs`.
fn in_a_group(code: &str, name: &str) -> bool {
    let Some((parent, last)) = name.rsplit_once("::") else { return false };
    code.match_indices(&format!("{parent}::{{")).any(|(at, opening)| {
        let mut depth = 0;
        let mut segment = String::new();
        for c in code[at + opening.len()..].chars() {
            match c {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    if first_segment(&segment) == last {
                        return true;
                    }
                    segment.clear();
                    continue;
                }
                _ => {}
            }
            segment.push(c);
        }
        first_segment(&segment) == last
    })
}

fn breaches(module: &str, code: &str, row: &Row) -> Vec<String> {
    let mut found = Vec::new();
    for import in crate_imports(code) {
        let is_item_of_own_root = module == "error" && matches!(import.as_str(), "Error" | "Result");
        if !row.may_import.contains(&import.as_str()) && !is_item_of_own_root {
            found.push(format!("{module} must not import crate::{import}"));
        }
    }
    for name in row.must_never_see {
        if sees(code, name) {
            found.push(format!("{module} must never see `{name}`"));
        }
    }
    found
}

#[test]
fn arrows_point_only_where_the_table_allows() {
    let mut broken = Vec::new();
    for row in ROWS {
        let files = sources(row.module);
        assert!(!files.is_empty(), "no sources for module {}: the check would pass on nothing", row.module);
        for file in files {
            let code = shipped_code(&fs::read_to_string(&file).expect("readable source"));
            for breach in breaches(row.module, &code, row) {
                broken.push(format!("{}: {breach}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken arrows:\n{}", broken.join("\n"));
}

#[test]
fn every_module_of_the_crate_has_a_row() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("lib.rs");
    let declared: BTreeSet<&str> =
        lib.lines().filter_map(|l| l.strip_prefix("pub mod ")).filter_map(|l| l.split(';').next()).collect();
    let ruled: BTreeSet<&str> = ROWS.iter().map(|r| r.module).collect();
    assert_eq!(declared, ruled, "modules of src/lib.rs against the arrow table");
}

#[test]
fn the_check_itself_finds_planted_breaches() {
    let row = &ROWS[0];
    let planted =
        "use crate::{error::Error, domain::Finding};\nfn f() { sqlx::query(\"x\"); let t = chrono::Utc::now(); }";
    assert_eq!(
        breaches("domain", planted, row),
        ["domain must not import crate::error", "domain must never see `sqlx`", "domain must never see `Utc::now`"]
    );
    let clean = "use crate::domain::Finding;\n// sqlx::query in a comment\nfn gdal_name() -> &'static str { \"gdal\" }";
    assert_eq!(breaches("domain", &shipped_code(clean), row), Vec::<String>::new());
    let api = ROWS.iter().find(|r| r.module == "api").expect("api row");
    for (planted, seen) in [
        ("fn h() { let sql = \"SELECT 1\"; }", "SELECT "),
        ("fn h() { let sql = \"a SELECT 1\"; }", "SELECT "),
        ("fn h() { sqlx::query_as(x); }", "sqlx::query_as"),
        ("use sqlx::{PgPool, query_as};", "sqlx::query_as"),
    ] {
        assert_eq!(breaches("api", planted, api), [format!("api must never see `{seen}`")], "{planted}");
    }
    let geometry = ROWS.iter().find(|r| r.module == "geometry").expect("geometry row");
    assert_eq!(
        breaches("geometry", "use std::{collections::{HashMap, env}, fs};", geometry),
        ["geometry must never see `std::fs`"]
    );
}

/// The relation of a layer as it was surveyed is named in these functions of `store` alone, once in each: where it is wrapped for viewers,
/// where memory is filled, where rows are told by their ids (or by boxes that no answer has), where a ledger's row is read for an edit, and
/// where areas of the surveyed land are compared.
const SURVEYED: [(&str, &str); 13] = [
    ("as_of.rs", "relation"),
    ("changes.rs", "count"),
    ("changes.rs", "existing"),
    ("changes.rs", "redrawn"),
    ("changes.rs", "touched_ids"),
    ("changes.rs", "touched_page"),
    ("features.rs", "find_versioned"),
    ("history.rs", "key_of"),
    ("history.rs", "state"),
    ("layer_rows.rs", "statement"),
    ("outlines.rs", "relation"),
    ("outlines.rs", "to"),
    // What a scenario makes of the register, for planners alone, who see what was surveyed.
    ("scenarios.rs", "features"),
];

/// The ways to it.
const WAYS: [&str; 4] = ["as_of::relation(", "extra::relation(", "Shown::surveyed(", "Self::surveyed("];

/// The function that each of these words stands in, by the last line before it that begins one.
fn functions_with<'a>(code: &'a str, words: &[&str]) -> Vec<&'a str> {
    let mut function = "";
    let mut found = Vec::new();
    for line in code.lines() {
        let head = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(super) ");
        if let Some(name) = head.trim_start_matches("async ").strip_prefix("fn ") {
            function = &name[..name.find(['(', '<']).unwrap_or(name.len())];
        }
        let times: usize = words.iter().map(|word| line.matches(word).count()).sum();
        found.extend(std::iter::repeat_n(function, times));
    }
    found
}

#[test]
fn no_statement_for_a_viewer_goes_around_the_outlines() {
    let planted = "pub(super) async fn one<'a>(x: &'a str) {\n  read();\n}\n\nimpl A {\n  pub fn two(&self) {\n    put(read(), read());\n  }\n}";
    assert_eq!(functions_with(planted, &["read(", "ask("]), ["one", "two", "two"], "the look itself");
    let mut readers: Vec<(String, String)> = Vec::new();
    for file in sources("store") {
        let code = shipped_code(&fs::read_to_string(&file).expect("source"));
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        readers.extend(functions_with(&code, &WAYS).into_iter().map(|function| (name.clone(), function.to_owned())));
    }
    readers.sort();
    assert_eq!(readers, SURVEYED.map(|(file, function)| (file.to_owned(), function.to_owned())));
}
