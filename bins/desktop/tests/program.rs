//! The program as it is started by a person or a service manager.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

const KEY: &str = "csk_agent_0123456789";

/// The program with a server that nobody runs, and an environment of its own.
fn desktop() -> Command {
    desktop_of("http://127.0.0.1:1")
}

fn desktop_of(server: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_desktop"));
    command
        .env_clear()
        .args(["--server", server, "--desktop", "desk_a"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What it says when it refuses to start.
fn refusal(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// Waits until it works, and gives what it said until then.
fn wait_until_started(child: &mut Child) -> String {
    let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut said = String::new();
    while !said.contains("runner started") {
        let length = log.read_line(&mut said).expect("text");
        assert_ne!(length, 0, "it ended: {said}");
    }
    // What follows is read on, so that the program never waits for us.
    std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
    said
}

#[test]
fn only_an_agent_key_is_accepted() {
    for key in ["csk_human_0123456789", "csk_service_0123456789", ""] {
        let said = refusal(desktop().env("DESKTOP_API_KEY", key));
        assert!(said.contains("does not begin with csk_agent_"), "{said}");
        assert!(said.contains("could approve itself"), "it says why: {said}");
        assert!(!said.contains("0123456789"), "{said}");
    }
}

#[test]
fn a_missing_key_is_named() {
    let said = refusal(&mut desktop());
    assert!(said.contains("DESKTOP_API_KEY is not set"), "{said}");
}

#[test]
fn a_bad_value_is_named() {
    let said = refusal(
        desktop()
            .env("DESKTOP_API_KEY", KEY)
            .args(["--workdir", "/no/such/folder"]),
    );
    assert!(
        said.contains("WORKDIR: the work folder /no/such/folder is not a folder"),
        "{said}"
    );
    let said = refusal(desktop_of("nowhere").env("DESKTOP_API_KEY", KEY));
    assert!(
        said.contains("SERVER: 'nowhere' is not the address of a server"),
        "{said}"
    );
    let said = refusal(desktop().env("DESKTOP_API_KEY", "csk_agent_ä"));
    assert!(
        said.contains("DESKTOP_API_KEY: the key is malformed"),
        "{said}"
    );
}

#[test]
fn flags_may_come_from_the_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_desktop"));
    let environment = [
        ("SERVER", "http://127.0.0.1:1"),
        ("DESKTOP", "desk_from_env"),
        ("DESKTOP_API_KEY", KEY),
    ];
    command
        .env_clear()
        .envs(environment)
        .env("WORKDIR", folder.path());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let said = wait_until_started(&mut child);
    assert!(said.contains("desk_from_env"), "{said}");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it is alive");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn the_key_leaves_the_environment_and_sigterm_ends_the_program() {
    let mut child = desktop()
        .env("DESKTOP_API_KEY", KEY)
        .spawn()
        .expect("it starts");
    let said = wait_until_started(&mut child);
    assert!(!said.contains(KEY), "{said}");
    for file in ["environ", "cmdline"] {
        // Other users than root may not even read it.
        let bytes = std::fs::read(format!("/proc/{}/{file}", child.id())).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !text.contains(KEY) && !text.contains("DESKTOP_API_KEY"),
            "{file}: {text}"
        );
    }
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it is alive");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn the_key_may_come_from_standard_input() {
    let mut child = desktop()
        .arg("--key-stdin")
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(KEY.as_bytes())
        .expect("it reads");
    wait_until_started(&mut child);
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it is alive");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));

    let said = refusal(desktop().arg("--key-stdin").env("DESKTOP_API_KEY", KEY));
    assert!(said.contains("one place only"), "{said}");
}
