//! The helper `confine`: what a task can reach, and what it cannot.
//!
//! Whatever a confined task must not be able to do is done by the same script without
//! confinement first, so that a script that fails for another reason proves nothing.

#![cfg(target_os = "linux")]

mod processes;

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use processes::{DESKTOP, Running, alive, eventually};
use rustix::process::{Pid, Signal, geteuid};
use tempfile::TempDir;

const SECRET: &str = "csk_top_secret";

/// A machine with a server's data, a task's folder and a user's home, side by side.
struct Place {
    folder: TempDir,
    /// A process of the same user outside, that knows the secret.
    neighbour: Option<Running>,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            neighbour: None,
        };
        for name in [
            "work/sub",
            "data/sub",
            "home/.ssh",
            "home/.cache",
            "tmp",
            "other",
        ] {
            fs::create_dir_all(place.path(name)).unwrap();
        }
        for name in ["data/secret", "home/.ssh/id", "other/secret"] {
            fs::write(place.path(name), SECRET).unwrap();
        }
        fs::write(place.path("work/own"), "mine").unwrap();
        let settings = "[user]\nname = Task\nemail = task@example.org\n";
        fs::write(place.path("home/.gitconfig"), settings).unwrap();
        std::os::unix::fs::symlink(place.path("data"), place.path("work/link")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same, with a neighbour; scripts know it as `$N`.
    fn inhabited() -> Self {
        let mut place = Self::new();
        let neighbour = Running::start(
            Command::new("/bin/sh")
                .args(["-c", "echo up; while :; do sleep 0.1; done"])
                .env("SECRET", SECRET)
                .current_dir(place.path("data"))
                .process_group(0),
        );
        let neighbour = place.neighbour.insert(neighbour);
        assert_eq!(neighbour.line(), "up");
        place
    }

    fn shell(&self, mut command: Command, script: &str) -> Command {
        let neighbour = self.neighbour.as_ref().map(|it| it.pid().to_string());
        command
            .args(["/bin/sh", "-c", script])
            .current_dir(self.path("work"))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("DESKTOP", DESKTOP)
            .env("D", self.path("data"))
            .env("P", self.folder.path())
            .env("N", neighbour.unwrap_or_default());
        command
    }

    fn free(&self, script: &str) -> Output {
        let mut command = Command::new(DESKTOP);
        command.args(["supervise", "--"]);
        self.shell(command, script).output().unwrap()
    }

    fn confined(&self, script: &str) -> Output {
        self.confining(script).output().unwrap()
    }

    fn confined_with(&self, flags: &[&str], script: &str) -> Output {
        self.confining_with(flags, script).output().unwrap()
    }

    fn confining(&self, script: &str) -> Command {
        self.confining_with(&[], script)
    }

    fn confining_with(&self, flags: &[&str], script: &str) -> Command {
        let mut command = Command::new(DESKTOP);
        command.arg("confine").args(flags);
        for (flag, path) in [
            ("--write", self.path("work")),
            ("--write", self.path("tmp")),
            ("--read", PathBuf::from(DESKTOP)),
            ("--protect", self.path("data")),
        ] {
            command.arg(flag).arg(path);
        }
        command.arg("--");
        self.shell(command, script)
    }
}

fn text(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    format!(
        "{}\n{stdout}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Asserts that a script works only without confinement, and learns no secret with it.
#[track_caller]
fn denied(place: impl Fn() -> Place, script: &str) {
    let free = place().free(script);
    assert!(
        free.status.success(),
        "{script} proves nothing: {}",
        text(&free)
    );
    let place = place();
    let confined = place.confined(script);
    assert_eq!(
        confined.status.code().map(|code| code < 126),
        Some(true),
        "{}",
        text(&confined)
    );
    assert!(!confined.status.success(), "{script}: {}", text(&confined));
    assert!(
        !text(&confined).contains(SECRET),
        "{script}: {}",
        text(&confined)
    );
    let secret = fs::read_to_string(place.path("data/secret"));
    assert_eq!(secret.ok().as_deref(), Some(SECRET), "{script}");
    let entries = fs::read_dir(place.path("data")).unwrap().count();
    assert_eq!(entries, 2, "{script} left something behind");
}

#[track_caller]
fn allowed(script: &str) {
    let output = Place::new().confined(&format!("set -e; {script}"));
    assert!(output.status.success(), "{script}: {}", text(&output));
}

fn installed(program: &str) -> bool {
    ["/usr/local/bin", "/usr/bin", "/bin"]
        .iter()
        .any(|folder| Path::new(folder).join(program).exists())
}

/// The version of Landlock here, or none: then there is nothing to test but the refusal.
fn abi() -> Option<u32> {
    match runner::level() {
        runner::Level::Landlock { abi } => Some(abi),
        runner::Level::None { .. } => None,
    }
}

#[test]
fn without_the_kernel_nothing_runs() {
    if abi().is_some() {
        return;
    }
    let output = Place::new().confined("exit 0");
    assert_eq!(output.status.code(), Some(126), "{}", text(&output));
}

#[test]
fn protected_data_is_out_of_reach() {
    if abi().is_none() {
        return;
    }
    for script in [
        "cat \"$D/secret\"",
        "ls \"$D\"",
        "cat link/secret",
        "cat ../data/secret",
        "cd \"$D\" && cat secret",
        "ln -s \"$D/secret\" mine && cat mine",
        "ln \"$D/secret\" mine && cat mine",
        "mv \"$D/secret\" mine && cat mine",
        "mv \"$D/sub\" mine",
        "mv own \"$D/own\"",
        "ln own \"$D/own\"",
        "cp \"$D/secret\" mine",
        "echo x >\"$D/new\"",
        "echo x >>\"$D/secret\"",
        "mkdir \"$D/new\"",
        "rm \"$D/secret\"",
        "rmdir \"$D/sub\"",
        "cat /proc/self/root\"$D\"/secret",
        "cat /proc/self/cwd/link/secret",
    ] {
        denied(Place::new, script);
    }
    if abi() >= Some(3) {
        denied(Place::new, "truncate -s 0 \"$D/secret\"");
    }
}

#[test]
fn a_database_in_the_data_cannot_be_opened() {
    if abi().is_none() || !installed("python3") {
        return;
    }
    let place = || {
        let place = Place::new();
        let create = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); \
                      d.execute('create table t (x)'); d.commit()";
        let create = Command::new("python3")
            .args(["-c", create])
            .arg(place.path("data/sub/db"))
            .status();
        assert!(create.unwrap().success());
        place
    };
    for uri in ["", "?mode=ro", "?immutable=1"] {
        let script = format!(
            "python3 -c 'import sqlite3, sys; \
             print(sqlite3.connect(\"file:\" + sys.argv[1] + \"{uri}\", uri=True)\
             .execute(\"select * from t\").fetchall())' \"$D/sub/db\""
        );
        denied(place, &script);
    }
}

#[test]
fn what_the_user_can_reach_elsewhere_the_task_cannot() {
    if abi().is_none() {
        return;
    }
    for script in [
        "cat \"$HOME/.ssh/id\"",
        "ls \"$HOME\"",
        "echo x >\"$HOME/.profile\"",
        "echo x >>\"$HOME/.gitconfig\"",
        "cat \"$P/other/secret\"",
        "echo x >\"$P/other/new\"",
        "mv own \"$P/other/own\"",
        "cat /etc/environment",
        "ls /etc",
        "ls /tmp",
        "ls /",
        "f=$(mktemp -p /tmp) && rm \"$f\"",
    ] {
        denied(Place::new, script);
    }
    if geteuid().is_root() {
        for script in [
            "cat /etc/shadow >/dev/null",
            "f=/etc/countersign.$$; echo x >$f && rm $f",
            "f=/usr/lib/countersign.$$; echo x >$f && rm $f",
            "echo 0 >/proc/self/oom_score_adj",
            "mknod disk b 7 0",
            "mknod zero c 1 5",
        ] {
            denied(Place::new, script);
        }
    }
}

#[test]
fn a_neighbour_cannot_be_looked_into() {
    if abi().is_none() {
        return;
    }
    // Kernels since 6.15 show the memory of anybody to whoever has CAP_PERFMON, whatever Landlock
    // says. So root gives up here what other users do not have.
    let ordinary = if !geteuid().is_root() {
        ""
    } else if installed("setpriv") {
        "exec setpriv --bounding-set -sys_admin,-perfmon "
    } else {
        return;
    };
    for command in [
        "cat /proc/$N/environ",
        "cat /proc/$N/maps",
        "cat /proc/$N/cwd/secret",
        "cat /proc/$N/root\"$D\"/secret",
        "ls -l /proc/$N/fd/",
        "readlink /proc/$N/exe",
    ] {
        denied(Place::inhabited, &format!("{ordinary}{command}"));
    }
    // Without privileges these may fail unconfined too.
    if geteuid().is_root() {
        denied(Place::inhabited, ": </proc/$N/mem");
        denied(Place::inhabited, ": 2>/dev/null >/proc/$N/mem");
        if installed("strace") {
            let trace = "timeout 1 strace -o /dev/null -p $N; [ $? = 124 ]";
            denied(Place::inhabited, trace);
        }
    }
}

#[test]
fn a_neighbour_gets_no_signals() {
    if abi() < Some(6) {
        return;
    }
    for script in [
        "kill -0 $N",
        "kill -CONT $N",
        "kill -CONT -$N",
        "kill -9 $N",
    ] {
        denied(Place::inhabited, script);
    }
    let mut place = Place::inhabited();
    place.confined("kill -9 $N; kill -9 -$N");
    let neighbour = place.neighbour.as_mut().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(neighbour.child.try_wait().unwrap().is_none());
}

#[test]
fn abstract_sockets_of_others_are_out_of_reach() {
    if abi() < Some(6) || !installed("python3") {
        return;
    }
    let name = format!("countersign-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let connect =
        format!("python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"\\0{name}\")'");
    denied(Place::new, &connect);
}

#[test]
fn work_can_be_done() {
    if abi().is_none() {
        return;
    }
    allowed(
        "echo x >new; mkdir -p a/b; mv new a/b/new; ln a/b/new hard; ln -s a/b/new soft; cat soft; rm -r a",
    );
    allowed("printf '#!/bin/sh\\nexit 0\\n' >run; chmod +x run; ./run");
    allowed("mkfifo pipe; (echo x >pipe &); cat pipe");
    allowed("echo x >/dev/null; echo x >/dev/stdout; echo x >/dev/stderr; head -c 1 /dev/urandom");
    allowed("f=$(mktemp); echo x >$f; case $f in \"$TMPDIR\"/*) rm $f;; *) exit 1;; esac");
    allowed("echo x >/dev/shm/countersign.$$; rm /dev/shm/countersign.$$");
    allowed("echo x >\"$HOME/.cache/new\"");
    allowed("sleep 60 & kill $!; test \"$(id -un)\"; ls /proc/self; nproc; date");
    allowed("\"$DESKTOP\" --version");
    if installed("git") {
        allowed(
            "git init -q .; git add own; git commit -qm message; git log --oneline; git clone -q . copy",
        );
    }
    if installed("python3") {
        allowed(
            "python3 -c 'import ssl, socket, tempfile; tempfile.TemporaryFile(); ssl.create_default_context()'",
        );
        allowed(
            "python3 -c 'import socket as s; l = s.create_server((\"127.0.0.1\", 0)); s.create_connection(l.getsockname())'",
        );
        allowed("python3 -c 'import multiprocessing as m; m.Lock(); m.Queue()'");
    }
    if installed("cc") {
        allowed("echo 'int main(void) { return 0; }' >m.c; cc -o m m.c; ./m");
    }
}

#[test]
fn confinement_can_be_nested() {
    if abi().is_none() {
        return;
    }
    let script = "\"$DESKTOP\" confine --write sub -- /bin/sh -c \
                  'echo x >sub/new && cat sub/new && ! cat own 2>/dev/null && ! echo x 2>/dev/null >new'";
    allowed(script);
    // What the outer one took, the inner one cannot give.
    denied(
        Place::new,
        "\"$DESKTOP\" confine --read \"$P/other\" -- cat \"$P/other/secret\"",
    );
    allowed("\"$DESKTOP\" supervise -- /bin/sh -c '(setsid sleep 60 &); exit 0'");
}

#[test]
fn the_command_gets_nothing_it_was_not_given() {
    if abi().is_none() {
        return;
    }
    allowed("for n in 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do ! test -e /proc/$$/fd/$n; done");
    allowed("grep -q '^NoNewPrivs:.1$' /proc/self/status");
}

#[test]
fn a_confined_command_dies_with_its_supervisor() {
    if abi().is_none() {
        return;
    }
    let place = Place::new();
    let mut command = Command::new(DESKTOP);
    command.args(["supervise", "--", DESKTOP, "confine", "--"]);
    let mut command = place.shell(command, "echo $$; exec sleep 60");
    // The work folder is not granted, and need not be for standing in it.
    let mut task = Running::start(command.process_group(0));
    let inner: Pid = task.process();
    task.signal(Signal::KILL);
    task.ended();
    eventually("end of the command", || !alive(inner));
}

#[test]
fn what_is_unclear_is_refused() {
    if abi().is_none() {
        return;
    }
    let place = Place::new();
    let run = |arguments: &[&str], code: i32, reason: &str| {
        let mut command = Command::new(DESKTOP);
        command.arg("confine").args(arguments);
        let output = command.current_dir(place.folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.starts_with("countersign: cannot "), "{stderr}");
        assert!(stderr.contains(reason), "{stderr}");
    };
    let touch = ["--", "/usr/bin/touch", "mark"];
    let with = |arguments: &[&'static str]| [arguments, &touch].concat();
    run(
        &with(&["--write", ".", "--protect", "data"]),
        126,
        "is protected",
    );
    run(
        &with(&["--read", "work/link", "--protect", "data"]),
        126,
        "is protected",
    );
    run(&with(&["--write", "missing"]), 126, "missing: No such");
    run(&with(&["--exec", "."]), 126, "unexpected argument");
    run(&["/usr/bin/touch", "mark"], 126, "unexpected argument");
    run(&["--write", "."], 126, "expected --");
    run(
        &["--", "/does/not/exist"],
        127,
        "cannot start /does/not/exist: No such",
    );
    assert!(!place.path("mark").exists());
}

#[test]
fn root_gives_up_what_reaches_around() {
    if !geteuid().is_root() || abi().is_none() {
        return;
    }
    // CAP_SYS_RAWIO for the memory of the kernel, CAP_DAC_READ_SEARCH for files by handle, CAP_SYS_ADMIN
    // for mounts, CAP_SYS_PTRACE for processes
    let held = "c=$(sed -n 's/^CapEff:\t*//p' /proc/self/status); [ $((0x$c & (1<<17|1<<2|1<<21|1<<19))) -ne 0 ]";
    denied(Place::new, held);
    // what is owned by others in the work folder stays usable
    allowed("chown 1234 own && chmod 600 own && cat own && echo x > own");
}

#[test]
fn local_sockets_are_out_of_reach_unless_they_are_allowed() {
    if !matches!(abi(), Some(1..9)) || !installed("python3") {
        return;
    }
    // the way to whoever takes orders on one
    let connects = "python3 -c 'import socket as s; l = s.socket(s.AF_UNIX); l.bind(\"sock\"); l.listen(); s.socket(s.AF_UNIX).connect(\"sock\")'";
    denied(Place::new, connects);
    let place = Place::new();
    let allowed = place.confined_with(&["--local-sockets"], connects);
    assert!(allowed.status.success(), "{}", text(&allowed));
    // programs still talk among themselves
    let pair = place.confined(
        "python3 -c 'import socket as s; a, b = s.socketpair(); a.send(b\"x\"); b.recv(1)'",
    );
    assert!(pair.status.success(), "{}", text(&pair));
}

#[test]
fn terminals_are_out_of_reach() {
    if abi().is_none() {
        return;
    }
    denied(Place::new, "ls /dev/pts");
    denied(Place::new, ": </dev/ptmx");
}
