//! The pages say what the program does: every code, every address, the same commands in both languages, no dead link,
//! no trace of the machine a page was written on.
//!
//! Sources are read as text, as `architecture` reads them. Never: a page repaired here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::root;

/// Calls that are given a code as their first or second argument.
const GIVERS: &str = "Finding::error Finding::warning Finding::info Finding::new Error::invalid Error::conflict \
    Error::not_found Error::too_large Error::unsupported Problem::new Problem::unsupported_media_type Self::new \
    faults.error faults.warning faults.push self.error";

/// Helpers that hand a code on to one of those.
const HELPERS: &str = "refuse step zone_finding compare unavailable";

/// Files with a call whose code is a variable: each has a helper above, binds the code by `let code`, or repeats a code
/// that another call gave. A file that joins them may hide codes from this scan.
const PASSED_ON: &str = "src/api/problem.rs src/api/scenario_asks.rs src/domain/extents_check.rs src/domain/finding.rs \
    src/domain/ledger/plan.rs src/exchange/archive.rs src/exchange/directory_table.rs \
    src/exchange/geojson/mod.rs src/exchange/vector/mod.rs src/geometry/crs.rs src/geometry/repair.rs \
    src/geometry/validity.rs src/inventory/boundary_change/proposal.rs src/inventory/ledgers/moves.rs \
    src/inventory/parks/split.rs src/inventory/peoples_text.rs src/layers/extra/mod.rs src/store/embedded/mod.rs \
    src/store/errors.rs";

/// Folders of a machine and hosts of package registries; split by `~`, so that this file does not name them.
const FOREIGN: &str = "/wo~rk/ /ro~ot/ /ho~me/ spa~rse+http index.crates~.io static.crates~.io rsp~roxy npmjs~.org \
    npm~mirror pypi~.org python~hosted.org proxy.golang~.org";

/// Code → the severities it is given with, where the call says so.
type Codes = BTreeMap<String, BTreeSet<String>>;

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(&path)).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

/// Files below `folder` with this ending, as paths from the root.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).expect("readable folder") {
        let name = format!("{folder}/{}", entry.expect("readable entry").file_name().to_string_lossy());
        if root().join(&name).is_dir() {
            found.extend(files(&name, ending));
        } else if name.ends_with(ending) {
            found.push(name.into());
        }
    }
    found
}

/// Words, marks and string literals, which keep their opening quote; without comments, characters and tests.
fn tokens(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let tail = &rest[first.len_utf8()..];
        let hashes = "#".repeat(tail.bytes().take_while(|b| *b == b'#').count());
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == 'r' && tail[hashes.len()..].starts_with('"') {
            let body = &tail[hashes.len() + 1..];
            let end = body.find(&format!("\"{hashes}")).expect("raw string ends");
            found.push(format!("\"{}", &body[..end]));
            end + 3 + 2 * hashes.len()
        } else if first == '"' {
            let mut escaped = false;
            let end = tail.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let end = end.expect("string ends");
            found.push(rest[..=end].to_owned());
            end + 2
        } else if first == '\'' {
            let escape = tail.starts_with('\\');
            let one = tail.chars().nth(usize::from(escape)).map_or(0, char::len_utf8) + usize::from(escape);
            if escape || tail[one..].starts_with('\'') { one + tail[one..].find('\'').expect("closed") + 2 } else { 1 }
        } else {
            let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let length = if rest.starts_with("::") { 2 } else { word.max(first.len_utf8()) };
            found.extend(Some(rest[..length].to_owned()).filter(|_| !first.is_whitespace()));
            length
        };
        rest = &rest[length..];
    }
    let mut kept = Vec::new();
    while let Some(at) = found.windows(7).position(|w| w.concat() == "#[cfg(test)]") {
        let mut test = found.split_off(at);
        kept.append(&mut found);
        let mut depth = 0;
        let end = test.iter().position(|token| {
            depth += i32::from(token == "{") - i32::from(token == "}");
            depth == 0 && matches!(token.as_str(), ";" | "}")
        });
        found = test.split_off(end.map_or(test.len(), |end| end + 1));
    }
    kept.append(&mut found);
    kept
}

/// The literal's text where it is shaped like a code.
fn code(token: &str) -> Option<&str> {
    let text = token.strip_prefix('"')?;
    let shaped = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    (shaped && !text.is_empty()).then_some(text)
}

/// The tokens from `at` to `end`, or to the mark that closes what is open there.
fn span<'a>(tokens: &'a [String], at: usize, end: &str) -> &'a [String] {
    let rest = tokens.get(at..).unwrap_or_default();
    let mut depth = 0;
    let length = rest.iter().position(|token| {
        let closes = matches!(token.as_str(), ")" | "]" | "}");
        let ends = depth == 0 && (closes || token == end);
        depth += i32::from(matches!(token.as_str(), "(" | "[" | "{")) - i32::from(closes);
        ends
    });
    &rest[..length.unwrap_or(rest.len())]
}

/// Collects the codes of one file; true where a call passes a variable on.
fn collect(tokens: &[String], is_table: bool, codes: &mut Codes) -> bool {
    let mut passes_on = false;
    let mut put = |token: &str, severity: Option<&str>| {
        let code = code(token)?;
        codes.entry(code.to_owned()).or_default().extend(severity.map(str::to_owned));
        Some(())
    };
    for at in 3..tokens.len() {
        let before = tokens[at - 3..at].concat();
        let called = |calls: &str, name: &str| tokens[at] == "(" && calls.split_whitespace().any(|call| call == name);
        if called(GIVERS, &before) || called(HELPERS, &tokens[at - 1]) {
            let severity = before.strip_prefix("Finding::").filter(|word| *word != "new");
            let first = span(tokens, at + 1, ",");
            let arguments = [first, span(tokens, at + 2 + first.len(), ",")];
            let literal = arguments.iter().filter(|argument| argument.len() == 1).find_map(|a| put(&a[0], severity));
            passes_on |= literal.is_none() && arguments.iter().any(|argument| argument.concat() == "code");
        }
        // (A state of a ledger has a code too, which is no error's.)
        let of_state = at >= 4 && tokens[at - 4..at - 2].concat() == "State{";
        if tokens[at - 2..at].concat() == "code:" && !of_state {
            put(&tokens[at], None);
        }
        // Variants of an error that have one code each.
        if is_table && at >= 5 && tokens[at - 5..at].concat() == "..}=>" {
            put(&tokens[at], None);
        }
        // What is bound to `code`, alone or first of a tuple: the heads of branches and of tuples.
        if before == "letcode=" || before == "let(code" {
            let from = at + tokens[at - 1..].iter().position(|token| token == "=").expect("a binding binds");
            for i in from..from + span(tokens, from, ";").len() {
                let head = tokens[i - 2..i].concat();
                if head == "=>" || head.ends_with('{') || ["{(", ">(", "=("].contains(&head.as_str()) {
                    put(&tokens[i], None);
                }
            }
        }
        // Rows of constraint, code, sentence.
        let row = tokens[at - 3..].iter().take(6).map(|t| if t.starts_with('"') { "s" } else { t }).collect::<String>();
        if is_table && row == "(s,s,s" {
            put(&tokens[at], None);
        }
    }
    passes_on
}

fn words(list: &str) -> BTreeSet<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn every_code_is_explained_and_none_is_stale() {
    let (mut codes, mut passed_on) = (Codes::new(), BTreeSet::new());
    for file in files("src", ".rs") {
        let name = file.to_string_lossy().into_owned();
        let is_test = name.ends_with("/tests.rs") || name.ends_with("_tests.rs");
        let is_table = ["src/store/errors.rs", "src/error.rs"].contains(&name.as_str());
        if !is_test && collect(&tokens(&read(&file)), is_table, &mut codes) {
            passed_on.insert(name);
        }
    }
    assert!(codes.len() >= 80, "the scan finds only {} codes: it would pass on nothing", codes.len());
    assert_eq!(passed_on, words(PASSED_ON), "files whose codes come from a variable");
    let page = read("docs/findings.md");
    let mut explained = BTreeSet::new();
    for row in page.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [code, severities, _, _] = cells[..] else { panic!("four cells a row: {row}") };
        let code = code.trim_end_matches('`');
        assert!(explained.insert(code), "{code} has two rows");
        let untold = codes.get(code).and_then(|given| given.iter().find(|word| !severities.contains(word.as_str())));
        assert_eq!(untold, None, "a severity of {code} that docs/findings.md does not tell: it says “{severities}”");
    }
    let missing: Vec<_> = codes.keys().filter(|code| !explained.contains(code.as_str())).collect();
    let stale: Vec<_> = explained.iter().filter(|code| !codes.contains_key(**code)).collect();
    assert!(missing.is_empty() && stale.is_empty(), "docs/findings.md lacks {missing:?}; no longer given: {stale:?}");
}

#[test]
fn the_scan_itself_finds_planted_codes() {
    let planted = r##"
        fn f<'a>() { let code = match x { '"' => "bound_one", _ => g("no_code") }; Finding::info(code, p, "一句话"); }
        fn g() { let (code, why) = if y { ("bound_two", format!("{x}\"")) } else { ("bound_three", z) }; }
        fn h() { refuse("handed_on", r#"not "read" Finding::error("raw_text")"#); Problem::new(s, "second", d) }
        fn j(e: Error) -> &str { match e { Error::Stale { .. } => "of_a_variant", Error::Not(code) => code } }
        const STATES: [State; 1] = [State { code: "a_state", label }];
        fn i() { Err(Error::Conflict { code: "in_a_field", detail }) } // Finding::error("in_a_comment", p, "")
        #[cfg(test)] mod tests { fn t() { Finding::error("in_a_test", p, ""); } }
        const ROWS: [Row; 1] = [("constraint_name", "in_a_table", "一句话")];"##;
    let mut codes = Codes::new();
    assert!(collect(&tokens(planted), true, &mut codes));
    let expected = "bound_one bound_two bound_three handed_on second in_a_field in_a_table of_a_variant";
    assert_eq!(codes.into_keys().collect::<BTreeSet<_>>(), words(expected));
}

#[test]
fn every_address_is_in_the_interface_page() {
    let page = read("docs/api.md");
    let table = tokens(&read("src/api/mod.rs"));
    let addresses: BTreeSet<&str> =
        table.iter().filter_map(|token| token.strip_prefix('"')).filter(|text| text.starts_with('/')).collect();
    assert!(addresses.len() >= 20, "the URL table was not found: {addresses:?}");
    // A longer address does not name the shorter one in it.
    let part = |c: char| c.is_alphanumeric() || matches!(c, '/' | '{' | '}' | '_' | '-' | '.');
    let is_named = |address: &str| {
        page.match_indices(address)
            .any(|(at, _)| !page[..at].ends_with(part) && !page[at + address.len()..].starts_with(part))
    };
    let missing: Vec<_> = addresses.into_iter().filter(|address| !is_named(address)).collect();
    assert!(missing.is_empty(), "docs/api.md does not name {missing:?}");
}

/// The lines inside, or outside, of fenced blocks.
fn lines(page: &str, fenced: bool) -> Vec<&str> {
    let pieces = page.split("\n```").enumerate().filter(|(i, _)| (i % 2 == 1) == fenced);
    pieces.flat_map(|(_, piece)| piece.lines().skip(usize::from(fenced))).collect()
}

#[test]
fn both_readmes_have_the_same_commands() {
    let commands = |name: &str| -> Vec<String> {
        let page = read(name);
        let bare = |line: &str| line.split(" #").next().unwrap_or_default().trim_end().to_owned();
        lines(&page, true).into_iter().map(bare).filter(|command| !command.is_empty()).collect()
    };
    let english = commands("README.md");
    assert!(english.len() >= 5, "no commands found: {english:?}");
    assert_eq!(english, commands("README.zh.md"));
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let mut pages = files("docs", ".md");
    pages.extend(["README.md".into(), "README.zh.md".into()]);
    let (mut seen, mut dead) = (0, Vec::new());
    for page in pages {
        let folder = root().join(page.parent().expect("a page in a folder"));
        for line in lines(&read(&page), false) {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
                seen += 1;
                let elsewhere = target.is_empty() || target.contains("://");
                dead.extend((!elsewhere && !folder.join(target).exists()).then(|| format!("{page:?}: {target}")));
            }
        }
    }
    assert!(seen >= 10, "only {seen} links found");
    assert!(dead.is_empty(), "links to nothing: {dead:#?}");
}

#[test]
fn no_tracked_file_names_a_machine_or_a_registry() {
    let listed = Command::new("git").args(["-c", "safe.directory=*", "ls-files", "-z"]).current_dir(root()).output();
    let listed = String::from_utf8(listed.expect("git runs").stdout).expect("names in UTF-8");
    assert!(listed.matches('\0').count() >= 100, "tests run in a checkout; git lists: {listed}");
    let foreign = words(&FOREIGN.replace('~', ""));
    let mut found = Vec::new();
    for name in listed.split_terminator('\0') {
        // What is no text, or was taken away and is not committed yet, names nothing.
        for (number, line) in (1..).zip(fs::read_to_string(root().join(name)).unwrap_or_default().lines()) {
            let other_index =
                name == "Cargo.lock" && line.starts_with("source = ") && !line.contains("/rust-lang/crates.io-index\"");
            if other_index || foreign.iter().any(|word| line.contains(word.as_str())) {
                found.push(format!("{name}:{number}: {line}"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
