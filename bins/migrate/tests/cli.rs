//! The real program on both engines: exit codes, messages, locks (contract section 8).

use std::process::{Command, Output};

use store::server_lock::ServerLock;
use test_support::{Engine, TestDb};

/// Runs the program with `DATABASE_URL` set, or without it.
fn migrate(url: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migrate"));
    command.env_remove("DATABASE_URL").args(arguments);
    if let Some(url) = url {
        command.env("DATABASE_URL", url);
    }
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn run_check_status_and_revert_go_together() {
    for engine in Engine::ALL {
        let Some(db) = TestDb::empty(engine) else {
            continue;
        };
        let url = Some(db.url());

        let before = migrate(url, &["check"]);
        assert_eq!(code(&before), 1);
        let pending = stdout(&before);
        assert!(
            pending.lines().all(|line| line.starts_with("pending 20")),
            "{pending}"
        );

        let ran = migrate(url, &["run"]);
        assert_eq!(code(&ran), 0, "{}", stderr(&ran));
        assert_eq!(stdout(&ran), pending.replace("pending", "applied"));
        assert_eq!(stdout(&migrate(url, &["run"])), "nothing to apply\n");

        let after = migrate(url, &["check"]);
        assert_eq!((code(&after), stdout(&after).as_str()), (0, ""));
        let status = stdout(&migrate(url, &["status"]));
        assert!(
            status.lines().all(|line| line.ends_with("  applied")),
            "{status}"
        );

        let newest = pending.lines().last().unwrap();
        let reverted = migrate(url, &["revert"]);
        assert_eq!(
            stdout(&reverted),
            format!("{}\n", newest.replace("pending", "reverted"))
        );
        assert_eq!(code(&migrate(url, &["check"])), 1);
    }
}

#[test]
fn the_flag_goes_before_the_variable() {
    let db = TestDb::migrated_sqlite();
    let output = migrate(
        Some("sqlite:///nonexistent/x.db"),
        &["check", "--database-url", db.url()],
    );
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn a_bad_url_names_the_variable_and_what_was_expected() {
    for (url, expected) in [
        (None, "is missing; expected sqlite://"),
        (Some("mysql://u:hunter2@h/d"), "unknown scheme `mysql`"),
        (Some("./x.db"), "no scheme"),
        (Some("postgres://h/d?sslmode=verify-full"), "TLS"),
    ] {
        let output = migrate(url, &["check"]);
        let message = stderr(&output);
        assert_eq!(code(&output), 2, "{message}");
        assert!(
            message.contains("DATABASE_URL (--database-url)"),
            "{message}"
        );
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn help_does_not_show_the_database_of_the_environment() {
    let output = migrate(Some("postgres://u:hunter2@h/d"), &["--help"]);
    assert_eq!(code(&output), 0);
    let help = stdout(&output);
    for word in ["status", "run", "revert", "check", "DATABASE_URL"] {
        assert!(help.contains(word), "{help}");
    }
    assert!(!help.contains("hunter2"));
}

#[test]
fn an_unreachable_database_is_a_failure_not_a_clean_check() {
    for url in ["postgres://u:hunter2@127.0.0.1:1/d", "sqlite:///dev/null"] {
        let output = migrate(Some(url), &["check"]);
        assert_eq!(code(&output), 1, "{url}");
        let message = stderr(&output);
        assert!(message.starts_with("migrate: cannot "), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_running_server_keeps_run_and_revert_out_but_not_check() {
    for engine in Engine::ALL {
        let Some(db) = TestDb::migrated(engine) else {
            continue;
        };
        let _server = ServerLock::acquire(&db.url().parse().unwrap()).unwrap();
        for action in ["run", "revert"] {
            let output = migrate(Some(db.url()), &[action]);
            assert_eq!(code(&output), 1);
            assert!(
                stderr(&output).contains("Countersign server"),
                "{}",
                stderr(&output)
            );
        }
        assert_eq!(code(&migrate(Some(db.url()), &["check"])), 0);
    }
}
