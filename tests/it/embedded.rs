//! The embedded cluster under the real binary: made once, shared, watched, and never left behind.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::data_folder::{DataFolder, kill};
use crate::support::process::{Service, status, wait_until};
use crate::support::{Database, files, scratch};

const RECOVERY: Duration = Duration::from_secs(5);
/// For what has no limit of its own on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn says_ready(service: &Service) -> bool {
    status(&service.get("/readyz")) == 200
}

/// Ready, or so within the time that the layers of the sample take.
fn is_ready(service: &Service) -> bool {
    wait_until("readiness", Duration::from_secs(10), || says_ready(service));
    true
}

/// SIGTERM, and the exit code.
fn terminate(mut service: Service) -> Option<i32> {
    kill(service.child.id().cast_signed(), libc::SIGTERM);
    let mut code = None;
    wait_until("the end after SIGTERM", PATIENCE, || {
        code = service.child.try_wait().expect("waited");
        code.is_some()
    });
    code.and_then(|status| status.code())
}

#[test]
fn the_first_start_makes_the_register_and_others_share_it() {
    let folder = DataFolder::new("first");
    let mut first = Service::start_with(&mut folder.command(&["serve", "--port", "0"]));
    let postmaster = folder.postmaster().expect("running");
    let items = first.get("/api/collections/park_blocks/items?limit=1");
    assert!(items.contains("\"numberReturned\":1"), "{items}");
    // A command meanwhile uses the cluster that runs, and does not stop it.
    assert_eq!(folder.json(&["audit", "verify", "--json"])["ok"], true);
    let second = Service::start_with(&mut folder.serve());
    assert!(is_ready(&second) && is_ready(&first));
    assert_eq!(folder.postmaster(), Some(postmaster));
    // Who started it is killed: PostgreSQL ends in order, and the other one starts it again.
    first.kill();
    wait_until("another postmaster", PATIENCE, || folder.postmaster().is_some_and(|pid| pid != postmaster));
    wait_until("readiness of the heir", PATIENCE, || says_ready(&second));
    assert!(second.get("/api/collections/park_blocks/items?limit=1").contains("\"numberReturned\":1"));
    let log = std::fs::read_to_string(folder.home().join("postgres.log")).expect("log");
    assert!(!log.contains("was not properly shut down"), "it was a fast shutdown:\n{log}");
    // In order: exit code 0, and PostgreSQL gone when the process is.
    assert_eq!(terminate(second), Some(0));
    folder.assert_stopped();
    let log = std::fs::read_to_string(folder.home().join("postgres.log")).expect("log");
    assert!(!log.contains("was not properly shut down"), "{log}");
    let begun = Instant::now();
    let third = Service::start_with(&mut folder.command(&["serve", "--port", "0"]));
    assert!(begun.elapsed() < Duration::from_secs(10), "a warm start took {:?}", begun.elapsed());
    assert!(is_ready(&third));
    assert_eq!(terminate(third), Some(0));
}

#[test]
fn a_killed_postgres_is_started_again_while_the_service_stays_alive() {
    let folder = DataFolder::new("postgres-killed");
    let service = Service::start_with(&mut folder.serve());
    for round in 0..2 {
        assert!(is_ready(&service));
        let postmaster = folder.postmaster().expect("running");
        let killed = Instant::now();
        kill(postmaster, libc::SIGKILL);
        // A look may wait a moment for the database, so a short absence need not show.
        wait_until("readiness after kill -9", RECOVERY, || {
            assert_eq!(status(&service.get("/livez")), 200, "round {round}");
            let answer = service.get("/readyz");
            assert!(matches!(status(&answer), 200 | 503), "round {round}: {answer}");
            status(&answer) == 200 && folder.postmaster().is_some_and(|pid| pid != postmaster)
        });
        assert!(killed.elapsed() < RECOVERY, "round {round}: {:?}", killed.elapsed());
    }
    // Away for longer: PostgreSQL refuses to start without this file.
    let (file, aside) = (folder.home().join("cluster/PG_VERSION"), folder.home().join("cluster/aside"));
    std::fs::rename(&file, &aside).expect("renamed");
    kill(folder.postmaster().expect("running"), libc::SIGKILL);
    wait_until("unreadiness", Duration::from_secs(2) + RECOVERY, || {
        assert_eq!(status(&service.get("/livez")), 200);
        let begun = Instant::now();
        let answer = service.get("/readyz");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        if status(&answer) == 503 {
            assert!(
                answer.contains("database_unavailable") && answer.to_lowercase().contains("retry-after: 5"),
                "{answer}"
            );
        }
        status(&answer) == 503
    });
    std::fs::rename(&aside, &file).expect("renamed back");
    wait_until("readiness after the return", RECOVERY, || says_ready(&service));
    assert_eq!(terminate(service), Some(0));
    folder.assert_stopped();
}

#[test]
fn a_killed_service_leaves_no_postgres_and_loses_nothing() {
    let folder = DataFolder::new("service-killed");
    folder.must(&["seed"]);
    folder.assert_stopped();
    let path =
        files::write("embedded-kept.txt", files::txt(&[("甲", files::square(2_900_000.0, 38_480_000.0, 300.0), 9.0)]));
    let mut service = Service::start_with(&mut folder.serve());
    let path = path.to_str().expect("path");
    let report = folder.json(&["import", path, "--layer", "park_blocks", "--park", "G431176", "--json"]);
    assert_eq!(report["revision"], 2, "{report}");
    service.kill();
    wait_until("the end of the orphaned postgres", Duration::from_secs(10), || folder.processes().is_empty());
    let service = Service::start_with(&mut folder.serve());
    assert!(service.get("/api/collections/park_blocks/items/G431176-%E7%94%B2").starts_with("HTTP/1.1 200"));
    assert_eq!(folder.json(&["audit", "verify", "--json"])["revisions"], 2);
    // Both at once, as in a power cut: the next start recovers.
    let mut service = service;
    let postmaster = folder.postmaster().expect("running");
    kill(postmaster, libc::SIGKILL);
    service.kill();
    let service = Service::start_with(&mut folder.serve());
    assert!(service.get("/api/collections/park_blocks/items/G431176-%E7%94%B2").starts_with("HTTP/1.1 200"));
    assert_eq!(folder.json(&["audit", "verify", "--json"])["ok"], true);
}

#[test]
fn a_half_made_cluster_is_made_anew() {
    let folder = DataFolder::new("half-made");
    let mut starting = folder.command(&["db", "start"]).spawn().expect("started");
    wait_until("initdb at work", PATIENCE, || {
        folder.home().join("cluster/base/1/PG_VERSION").exists() || starting.try_wait().expect("waited").is_some()
    });
    starting.kill().expect("killed");
    starting.wait().expect("gone");
    let cluster = folder.home().join("cluster");
    assert!(cluster.exists() && !cluster.join("sizhi-ready").exists(), "killed too late to be a test");
    // At once: what initdb started may still be ending.
    let service = Service::start_with(&mut folder.serve());
    assert!(is_ready(&service));
    assert_eq!(terminate(service), Some(0));
}

#[test]
fn two_services_that_start_at_once_over_a_new_folder_both_come_up() {
    let folder = DataFolder::new("two-at-once");
    let services: Vec<Service> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| Service::start_with(&mut folder.command(&["serve", "--port", "0"]))))
            .collect();
        starting.into_iter().map(|s| s.join().expect("both come up")).collect()
    });
    for service in &services {
        assert!(is_ready(service));
        assert!(service.get("/api/parks").contains("G431176"));
    }
    // Parks, then control lines: one revision each.
    assert_eq!(folder.json(&["audit", "verify", "--json"])["revisions"], 2, "the sample was loaded once");
    for service in services {
        assert_eq!(terminate(service), Some(0));
    }
    folder.assert_stopped();
}

#[test]
fn start_stop_and_status_of_the_cluster_alone() {
    let folder = DataFolder::new("alone");
    let state = |folder: &DataFolder| {
        let json = folder.json(&["db", "status", "--json"]);
        (json["exists"].as_bool(), json["running"].as_bool())
    };
    assert_eq!(state(&folder), (Some(false), Some(false)));
    assert!(folder.must(&["db", "stop"]).contains("没有在运行"));
    folder.must(&["db", "start"]);
    assert_eq!(state(&folder), (Some(true), Some(true)));
    let postmaster = folder.postmaster().expect("left running");
    folder.must(&["db", "start"]);
    assert_eq!(folder.postmaster(), Some(postmaster), "the second start finds it");
    let service = Service::start_with(&mut folder.serve());
    assert_eq!(terminate(service), Some(0));
    assert_eq!(folder.postmaster(), Some(postmaster), "who did not start it does not stop it");
    assert!(folder.must(&["db", "stop"]).contains("已停止"));
    folder.assert_stopped();
    assert_eq!(state(&folder), (Some(true), Some(false)));
    // Its pid is another's by now, a server's even: that one is neither taken for ours nor stopped.
    let stranger = DataFolder::new("stranger");
    stranger.must(&["db", "start"]);
    let pid = stranger.postmaster().expect("running");
    let file = folder.home().join("cluster/postmaster.pid");
    std::fs::write(&file, format!("{pid}\n{}\n", folder.home().join("cluster").display())).expect("written");
    std::os::unix::fs::chown(&file, Some(owner(&folder.home().join("cluster"))), None).expect("owner");
    assert_eq!(state(&folder), (Some(true), Some(false)));
    assert!(folder.must(&["db", "stop"]).contains("没有在运行"));
    folder.must(&["db", "start"]);
    assert_ne!(folder.postmaster(), Some(pid));
    assert_eq!(stranger.postmaster(), Some(pid));
}

fn owner(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).expect("there").uid()
}

#[test]
fn paths_with_blanks_and_chinese_and_paths_too_long_for_a_socket_work() {
    let parent = scratch().join("embedded").join(format!("{}-paths", std::process::id()));
    let odd = "园区 数据 it's \"x\", a = 1&2";
    let long = "很长的数据目录名称".repeat(6);
    for name in [odd.to_owned(), long] {
        let folder = DataFolder::at(&parent.join(&name));
        let service = Service::start_with(&mut folder.serve());
        assert!(is_ready(&service), "{name}");
        let backup = folder.path.join("备 份.dump");
        folder.must(&["db", "backup", backup.to_str().expect("path")]);
        let status = folder.json(&["db", "status", "--json"]);
        let address = status["connection_string"].as_str().expect("address");
        let output =
            std::process::Command::new("psql").args(["-XAtc", "SELECT current_user", address]).output().expect("psql");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "sizhi\n", "{address}");
        assert_eq!(terminate(service), Some(0), "{name}");
        folder.assert_stopped();
        // Too long or too odd for a socket: it lay in a place of its own.
        let socket = address.split_whitespace().find_map(|part| part.strip_prefix("host=")).expect("host");
        assert!(folder.home() != folder.path || socket.starts_with("/tmp/sizhi-"), "{address}");
        let _ = std::fs::remove_dir_all(socket);
    }
    let _ = std::fs::remove_dir_all(parent);
}

#[test]
fn a_folder_that_the_server_cannot_reach_is_kept_elsewhere() {
    if !is_root() {
        eprintln!("skipped: only root changes owners");
        return;
    }
    let parent = scratch().join("embedded").join(format!("{}-closed", std::process::id()));
    std::fs::create_dir_all(&parent).expect("folder");
    std::fs::set_permissions(&parent, std::fs::Permissions::from_mode(0o700)).expect("closed");
    let folder = DataFolder::at(&parent.join("data"));
    let service = Service::start_with(&mut folder.serve());
    assert!(is_ready(&service));
    assert!(folder.home().starts_with("/var/lib/sizhi"), "{}", folder.home().display());
    assert_eq!(terminate(service), Some(0));
    folder.assert_stopped();
    let again = Service::start_with(&mut folder.serve());
    assert!(is_ready(&again));
    drop(again);
    drop(folder);
    let _ = std::fs::remove_dir_all(parent);
}

fn is_root() -> bool {
    // SAFETY: always succeeds.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn a_cluster_of_another_user_is_refused_at_once() {
    let folder = DataFolder::new("other-owner");
    if !is_root() {
        eprintln!("skipped: only root changes owners");
        return;
    }
    folder.must(&["db", "start"]);
    folder.must(&["db", "stop"]);
    let cluster = folder.home().join("cluster");
    let right = owner(&cluster);
    std::os::unix::fs::chown(&cluster, Some(0), None).expect("owner changed");
    let begun = Instant::now();
    let output = folder.run(&["db", "start"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cluster_owner"));
    assert!(begun.elapsed() < PATIENCE);
    std::os::unix::fs::chown(&cluster, Some(right), None).expect("owner changed back");
    folder.must(&["db", "start"]);
}

#[test]
fn a_link_in_the_place_of_the_sockets_folder_is_refused() {
    // Where the server's user reaches it, so that `run` lies in it.
    let folder = DataFolder::at(&std::env::temp_dir().join(format!("sizhi-linked-{}", std::process::id())));
    let target = folder.path.join("somebody-elses");
    std::fs::create_dir(&target).expect("folder");
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let before = owner(&target);
    std::os::unix::fs::symlink(&target, folder.path.join("run")).expect("linked");
    let output = folder.run(&["db", "start"]);
    assert_eq!(folder.home(), folder.path, "the server reaches the temporary folder");
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cluster_owner"));
    assert_eq!(owner(&target), before);
    assert_eq!(std::fs::metadata(&target).expect("there").permissions().mode() & 0o777, 0o755);
    folder.assert_stopped();
}

#[tokio::test]
async fn a_service_over_a_given_database_starts_none() {
    let db = Database::empty().await;
    let folder = DataFolder::new("given");
    let mut command = folder.serve();
    command.env("DATABASE_URL", db.url().await);
    let service = Service::start_with(&mut command);
    assert!(is_ready(&service));
    assert_eq!(std::fs::read_dir(&folder.path).expect("folder").count(), 0, "nothing is made in the data folder");
    assert_eq!(terminate(service), Some(0));
}

/// The mark of a whole cluster may get lost, by copying for one: that is no reason to make the cluster anew.
#[test]
fn a_cluster_without_its_mark_keeps_what_it_holds() {
    let folder = DataFolder::new("mark");
    folder.must(&["seed"]);
    folder.assert_stopped();
    let cluster = folder.home().join("cluster");
    std::fs::remove_file(cluster.join("sizhi-ready")).expect("the mark");
    assert_eq!(folder.json(&["audit", "verify", "--json"])["revisions"], 1);
    assert!(cluster.join("sizhi-ready").exists());
    folder.assert_stopped();
    // Without our settings it is somebody else's, and left alone.
    std::fs::remove_file(cluster.join("sizhi-ready")).expect("the mark");
    let conf = std::fs::read_to_string(cluster.join("postgresql.conf")).expect("settings");
    std::fs::write(cluster.join("postgresql.conf"), conf.replace("\n# sizhi\n", "\n")).expect("written");
    let refused = folder.run(&["audit", "verify", "--json"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("（cluster_foreign）"), "{said}");
    std::fs::write(cluster.join("postgresql.conf"), conf).expect("written");
    assert_eq!(folder.json(&["audit", "verify", "--json"])["revisions"], 1);
}

#[test]
fn stopping_what_is_not_there_makes_nothing() {
    let nowhere = scratch().join("no-such-data-folder");
    let mut command = crate::support::process::sizhi(&["db", "stop", "--data"]);
    let output = crate::support::process::run(
        {
            command.arg(&nowhere);
            command
        },
        b"",
    );
    assert!(output.status.success());
    assert!(!nowhere.exists());
}
