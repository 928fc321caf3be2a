//! The helper `supervise`: whatever a task starts ends with it.

#![cfg(target_os = "linux")]

mod processes;

use std::fs;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use processes::{DESKTOP, Running, alive, eventually, supervised};
use rustix::process::Signal;
use tempfile::tempdir;

const GRACE: Duration = Duration::from_secs(4);

/// A shell function that starts its first argument where no group and no session reaches it, after
/// the second one that prepares it, waits until then, and prints its number.
const ESCAPE: &str = r#"
escape() {
    rm -f escaped
    (setsid sh -c "${2:-:}; echo \$\$ >starting; mv starting escaped; $1" >/dev/null 2>&1 &)
    while [ ! -e escaped ]; do sleep 0.01; done
    cat escaped
}
"#;

fn with_escape(script: &str) -> String {
    format!("{ESCAPE}{script}")
}

fn status(script: &str) -> ExitStatus {
    let folder = tempdir().unwrap();
    let mut command = supervised(folder.path(), script);
    command.stderr(Stdio::null()).status().unwrap()
}

#[test]
fn exit_codes_are_the_commands() {
    for code in [0, 1, 77, 255] {
        assert_eq!(status(&format!("exit {code}")).code(), Some(code));
    }
}

#[test]
fn signals_are_the_commands() {
    // Among them some that a Rust program ignores (PIPE) or handles (SEGV), that the supervisor
    // handles (TERM, HUP), and one without a name.
    for signal in [15, 9, 11, 13, 2, 1, 3, 6, 40] {
        let status = status(&format!("kill -{signal} $$; sleep 60"));
        assert_eq!(status.signal(), Some(signal), "{status}");
        assert!(!status.core_dumped());
    }
}

#[test]
fn what_cannot_start_is_said() {
    for (arguments, code, reason) in [
        (
            &["supervise", "--", "/does/not/exist"][..],
            127,
            "cannot start /does/not/exist: No such",
        ),
        (
            &["supervise", "--", "/etc"],
            126,
            "cannot start /etc: Permission denied",
        ),
        (
            &["supervise", "--"],
            126,
            "cannot supervise: expected a command",
        ),
        (&["supervise", "true"], 126, "cannot supervise: expected --"),
    ] {
        let output = Command::new(DESKTOP).args(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(
            stderr.starts_with(&format!("countersign: {reason}")),
            "{stderr}"
        );
    }
}

#[test]
fn helpers_are_not_advertised() {
    let output = Command::new(DESKTOP).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let commands = help.lines().map(str::trim_start);
    let mut advertised =
        commands.filter(|line| line.starts_with("supervise") || line.starts_with("confine"));
    assert_eq!(advertised.next(), None, "{help}");
}

#[test]
fn input_environment_and_folder_pass_through() {
    let folder = tempdir().unwrap();
    let script = "cat >input; printf %s \"$GREETING\" >greeting; pwd -P >folder";
    let mut child = supervised(folder.path(), script)
        .env("GREETING", "hello")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"over the pipe").unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("input"), "over the pipe");
    assert_eq!(read("greeting"), "hello");
    assert_eq!(
        Path::new(read("folder").trim()),
        folder.path().canonicalize().unwrap()
    );
}

#[test]
fn what_escaped_ends_with_the_command() {
    let folder = tempdir().unwrap();
    let script = with_escape("escape 'exec sleep 60'; escape 'sleep 60; :'; exit 5");
    let mut task = Running::start(&mut supervised(folder.path(), &script));
    let escaped = [task.process(), task.process()];
    assert_eq!(task.ended().code(), Some(5));
    assert!(
        !escaped.into_iter().any(alive),
        "already when the supervisor ends"
    );
}

#[test]
fn what_holds_the_output_open_ends_too() {
    let folder = tempdir().unwrap();
    let script = "(setsid sleep 60 &); echo first";
    let mut task = Running::start(&mut supervised(folder.path(), script));
    assert_eq!(task.line(), "first");
    assert_eq!(task.line(), "", "the end of the output");
    assert!(task.ended().success());
}

#[test]
fn what_is_stopped_ends_too() {
    let folder = tempdir().unwrap();
    let script = "sleep 60 >/dev/null & kill -STOP $!; echo $!";
    let mut task = Running::start(&mut supervised(folder.path(), script));
    let stopped = task.process();
    assert!(task.ended().success());
    assert!(!alive(stopped));
}

#[test]
fn orphans_are_reaped_while_the_command_runs() {
    let folder = tempdir().unwrap();
    let script = with_escape("escape 'exit 0'; read line <never");
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("never"), 0o600.into()).unwrap();
    let mut task = Running::start(&mut supervised(folder.path(), &script));
    let orphan = task.process();
    eventually("reaping", || {
        !Path::new(&format!("/proc/{orphan}")).exists()
    });
    assert!(task.child.try_wait().unwrap().is_none());
}

#[test]
fn being_told_to_end_asks_everything() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let folder = tempdir().unwrap();
        let script = with_escape(
            "escape 'while :; do sleep 0.05; done' 'trap \"echo heard >heard; exit\" TERM'
             sleep 60 & kill -STOP $!; echo $!; exec sleep 60",
        );
        let mut task = Running::start(&mut supervised(folder.path(), &script));
        let processes = [task.process(), task.process()];
        let begin = Instant::now();
        task.signal(signal);
        assert_eq!(task.ended().signal(), Some(Signal::TERM.as_raw()));
        assert!(begin.elapsed() < GRACE, "nobody refused");
        assert!(!processes.into_iter().any(alive));
        assert!(folder.path().join("heard").exists(), "asked, not killed");
    }
}

#[test]
fn who_refuses_has_a_grace() {
    let folder = tempdir().unwrap();
    let script = with_escape("escape 'while :; do sleep 1; done' \"trap '' TERM\"; exec sleep 60");
    let mut task = Running::start(&mut supervised(folder.path(), &script));
    let escaped = task.process();
    let begin = Instant::now();
    task.signal(Signal::TERM);
    assert_eq!(task.ended().signal(), Some(Signal::TERM.as_raw()));
    assert!(begin.elapsed() >= GRACE, "{:?}", begin.elapsed());
    assert!(!alive(escaped));
}

#[test]
fn a_second_signal_ends_the_grace() {
    let folder = tempdir().unwrap();
    let script = "trap 'echo heard' TERM; echo ready; while :; do sleep 0.1; done";
    let mut task = Running::start(&mut supervised(folder.path(), script));
    assert_eq!(task.line(), "ready");
    let begin = Instant::now();
    task.signal(Signal::TERM);
    assert_eq!(task.line(), "heard");
    task.signal(Signal::TERM);
    assert_eq!(task.ended().signal(), Some(Signal::KILL.as_raw()));
    assert!(begin.elapsed() < GRACE, "{:?}", begin.elapsed());
}

#[test]
fn everything_ends_with_the_parent() {
    let folder = tempdir().unwrap();
    let script = with_escape("echo $PPID; echo $$; escape 'exec sleep 60'; exec sleep 60");
    let mut parent = Running::start(
        Command::new("/bin/sh")
            .args([
                "-c",
                "\"$DESKTOP\" supervise -- /bin/sh -c \"$SCRIPT\" & wait",
            ])
            .env("DESKTOP", DESKTOP)
            .env("SCRIPT", script)
            .current_dir(folder.path())
            .process_group(0),
    );
    let processes = [parent.process(), parent.process(), parent.process()];
    assert!(processes.into_iter().all(alive));
    parent.signal(Signal::KILL);
    parent.ended();
    for pid in processes {
        eventually("end of all", || !alive(pid));
    }
}

#[test]
fn a_subreaper_above_gets_what_a_killed_supervisor_leaves() {
    let folder = tempdir().unwrap();
    let script = with_escape(
        r#""$DESKTOP" supervise -- /bin/sh -c 'echo $$; exec sleep 60' & inner=$!
        "$DESKTOP" supervise -- /bin/sh -c "$ESCAPE"'escape "exec sleep 60"; exec sleep 60' & second=$!
        until [ -e kill ]; do sleep 0.01; done
        kill -9 $inner $second; wait $inner $second
        echo killed; until [ -e end ]; do sleep 0.01; done"#,
    );
    let mut outer = Running::start(supervised(folder.path(), &script).env("ESCAPE", ESCAPE));
    let left = [outer.process(), outer.process()];
    fs::write(folder.path().join("kill"), "").unwrap();
    assert_eq!(outer.line(), "killed");
    assert!(left.into_iter().all(alive), "or there is nothing to test");
    fs::write(folder.path().join("end"), "").unwrap();
    outer.ended();
    assert!(!left.into_iter().any(alive));
}

/// Everything whose command line contains a text.
fn running(text: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(text))
        .count()
}

#[test]
fn forking_does_not_outrun_the_end() {
    let folder = tempdir().unwrap();
    // One never has the same number for long, the other becomes more and more. Both are bounded,
    // should the test fail.
    let hop = "[ $1 -gt 9999 ] || setsid sh ./hop.sh $(($1 + 1)) $2 &";
    let bomb =
        "[ $1 -gt 7 ] || { sh ./bomb.sh $(($1 + 1)) $2 & sh ./bomb.sh $(($1 + 1)) $2 & }; sleep 60";
    fs::write(folder.path().join("hop.sh"), hop).unwrap();
    fs::write(folder.path().join("bomb.sh"), bomb).unwrap();
    let mark = folder.path().to_str().unwrap();
    let script = format!(
        "for i in 1 2 3; do sh ./hop.sh 0 {mark} & done; sh ./bomb.sh 0 {mark} & sleep 0.3; echo up"
    );
    let mut task = Running::start(supervised(folder.path(), &script).stderr(Stdio::null()));
    assert_eq!(task.line(), "up");
    let status = task.ended();
    assert!(status.success(), "{status}");
    assert_eq!(running(mark), 0);
}
