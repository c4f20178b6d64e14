//! `sizhi account`, and the administrator of a first start, by the real binary.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::Database;
use crate::support::accounts::{PASSWORD, try_login};
use crate::support::data_folder::DataFolder;
use crate::support::process::{run, sizhi};

async fn account(db: &Database, args: &[&str], input: &str) -> Output {
    let mut command = sizhi(&[&["account"], args].concat());
    command.env("DATABASE_URL", db.url().await).env("USER", "clerk").env_remove("SUDO_USER");
    run(command, input.as_bytes())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[actix_web::test]
async fn an_account_from_the_terminal_to_its_last_day() {
    let db = Database::with_sample().await;
    let added = ["add", "zhang", "--role", "editor", "--divisions", "430100,430200", "--display-name", "张三"];
    let said = done(&account(&db, &added, &format!("{PASSWORD}\n")).await);
    assert_eq!(said, "✓ 已新建账号 zhang（张三，编辑人员，430100、430200）\n");
    assert_eq!(try_login(&db, "zhang", PASSWORD).await.status, 200);
    done(&account(&db, &["set", "zhang", "--role", "staff", "--divisions", "*"], "").await);
    let listed: Value = serde_json::from_str(&done(&account(&db, &["list", "--json"], "").await)).expect("JSON");
    let row = &listed[0];
    assert_eq!(
        (&row["name"], &row["role"], &row["divisions"], &row["disabled"]),
        (&json!("zhang"), &json!("staff"), &json!(["*"]), &json!(false))
    );
    assert!(done(&account(&db, &["list"], "").await).contains("查询人员"));
    done(&account(&db, &["password", "zhang"], "another password, long\n").await);
    assert_eq!(try_login(&db, "zhang", "another password, long").await.status, 200);
    let issued = done(&account(&db, &["token", "add", "zhang", "--name", "同步", "--days", "7", "--json"], "").await);
    let issued: Value = serde_json::from_str(&issued).expect("JSON");
    assert!(issued["token"].as_str().is_some_and(|token| token.starts_with("sizhi_")));
    let id = issued["id"].to_string();
    done(&account(&db, &["token", "revoke", &id], "").await);
    let tokens: Value =
        serde_json::from_str(&done(&account(&db, &["token", "list", "--account", "zhang", "--json"], "").await))
            .expect("JSON");
    assert!(tokens[0]["revoked_at"].is_string() && tokens[0].get("token").is_none(), "{tokens}");
    done(&account(&db, &["disable", "zhang"], "").await);
    assert_eq!(try_login(&db, "zhang", "another password, long").await.status, 401);
    done(&account(&db, &["enable", "zhang"], "").await);
    sqlx::query("INSERT INTO login_failure (kind, key) SELECT 'account', 'zhang' FROM generate_series(1, 10)")
        .execute(&db.pool)
        .await
        .expect("failures");
    assert_eq!(try_login(&db, "zhang", "another password, long").await.status, 429);
    done(&account(&db, &["unlock", "zhang"], "").await);
    assert_eq!(try_login(&db, "zhang", "another password, long").await.status, 200);
    let by_terminal: Vec<String> =
        db.column("SELECT action FROM account_event WHERE actor = 'cli:clerk' ORDER BY id").await;
    let expected =
        ["added", "changed", "password_reset", "token_issued", "token_revoked", "changed", "changed", "unlocked"];
    assert_eq!(by_terminal, expected);
}

#[actix_web::test]
async fn what_the_terminal_refuses() {
    let db = Database::empty().await;
    for (args, input, code, said) in [
        (&["add", "zhang", "--role", "editor", "--divisions", "430100"][..], "short\n", 3, "password_refused"),
        (&["add", "zhang", "--role", "editor", "--divisions", "430100"], "", 3, "password_refused"),
        (&["add", "zhang", "--role", "editor"], "long enough to pass\n", 3, "rights_invalid"),
        (&["add", "zhang"], "long enough to pass\n", 3, "rights_invalid"),
        (&["add", "zhang", "--role", "public"], "", 2, "staff、planner、editor"),
        (&["add", "zhang", "--role", "admin", "--password", "x"], "", 2, "--password"),
        (&["password", "nobody"], "long enough to pass\n", 1, "account_not_found"),
        (&["token", "revoke", "7"], "", 1, "token_not_found"),
    ] {
        let output = account(&db, args, input).await;
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM account").await, 0);
}

/// The lines of `serve` up to its address; then it is stopped.
fn first_lines(command: &mut Command) -> Vec<String> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("serve starts");
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("output")).lines() {
        let line = line.expect("text");
        let last = line.contains("http://");
        lines.push(line);
        if last {
            break;
        }
    }
    // SAFETY: a signal to our own child, which has not been waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
    let ended = child.wait_with_output().expect("ended");
    let log = text(&ended.stderr);
    for line in &lines {
        if let Some((_, password)) = line.split_once("：").filter(|_| line.contains("初始密码")) {
            assert!(!log.contains(password), "the password is in the log");
        }
    }
    lines
}

#[actix_web::test]
async fn a_first_start_makes_an_administrator_and_says_the_password_once() {
    let folder = DataFolder::new("first-admin");
    let serve = || {
        let mut command = sizhi(&["serve", "--port", "0", "--no-sample", "--data"]);
        command.arg(&folder.path);
        command
    };
    let lines = first_lines(&mut serve());
    let said: Vec<&String> = lines.iter().filter(|line| line.contains("初始密码")).collect();
    assert_eq!(said.len(), 1, "{lines:?}");
    let password = said[0].rsplit('：').next().expect("password");
    assert_eq!(password.len(), 27, "{password}");
    let again = first_lines(&mut serve());
    assert!(again.iter().all(|line| !line.contains("密码")), "{again:?}");
}

#[actix_web::test]
async fn over_a_database_of_ones_own_no_password_is_printed_into_a_pipe() {
    let db = Database::empty().await;
    let mut command = sizhi(&["serve", "--port", "0"]);
    command.env("DATABASE_URL", db.url().await);
    let lines = first_lines(&mut command);
    assert!(lines.iter().all(|line| !line.contains("密码")), "{lines:?}");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM account").await, 0);
}
