//! Our programs as real processes: started, watched, signalled, killed and started again.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to say something or to end: it only runs out when something is
/// wrong.
const PATIENCE: Duration = Duration::from_secs(40);
/// How often to look again.
const MOMENT: Duration = Duration::from_millis(5);

/// A command with nothing of this environment but `PATH`: no variable of whoever runs the tests
/// configures what they test. A build with mistakes makes the one that the tests were started with.
pub fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(path);
    command.env_clear();
    let mut kept = vec!["PATH"];
    if cfg!(sabotage) {
        kept.push("COUNTERSIGN_SABOTAGE");
    }
    for name in kept {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// The program `name` that cargo built beside another one.
///
/// # Panics
/// When it is not there.
pub fn beside(program: impl AsRef<Path>, name: &str) -> PathBuf {
    let path = program.as_ref().with_file_name(name);
    assert!(
        path.is_file(),
        "{} is missing: `cargo build --workspace --bins` makes it, and so does `cargo xtask test`",
        path.display()
    );
    path
}

/// A running program. Dropped, it is killed; when a test panics, what it had said is shown.
pub struct Process {
    name: String,
    child: Child,
    stdout: Said,
    stderr: Said,
}

/// What a program has said so far on one of its outputs.
struct Said {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Said {
    fn read(mut pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let said = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 8_192];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                said.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Self {
            text,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        self.text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}

impl Process {
    /// Starts a program with nothing on standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let stdout = Said::read(child.stdout.take().expect("a pipe"));
        let stderr = Said::read(child.stderr.take().expect("a pipe"));
        Self {
            name,
            child,
            stdout,
            stderr,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on standard output; all of it once it has ended.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has said on standard error; all of it once it has ended.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits for the first whole line, of either output, of which `find` makes something.
    ///
    /// # Panics
    /// When the program ends first, or says nothing of the kind for 40 seconds.
    pub fn wait_for_line<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().expect("our child").is_some();
            if ended {
                self.finish();
            }
            for said in [self.stdout(), self.stderr()] {
                let whole = said.rfind('\n').map_or("", |end| &said[..end]);
                if let Some(found) = whole.lines().find_map(&find) {
                    return found;
                }
            }
            assert!(!ended, "{} ended:\n{}", self.name, self.stderr());
            assert!(Instant::now() < deadline, "{} does not say it", self.name);
            thread::sleep(MOMENT);
        }
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Kills it (SIGKILL): it can do nothing any more.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Lets it stand still (SIGSTOP).
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it has not after 40 seconds.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                self.finish();
                return status;
            }
            assert!(Instant::now() < deadline, "{} does not end", self.name);
            thread::sleep(MOMENT);
        }
    }

    fn signal(&self, signal: Signal) {
        // one that has ended by itself is no less gone; `wait` tells how
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    fn finish(&mut self) {
        self.stdout.finish();
        self.stderr.finish();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            self.finish();
            eprintln!("--- {} said:\n{}", self.name, self.stderr());
        }
    }
}

/// A running server, which can be killed and started again.
pub struct Server {
    command: Box<dyn Fn() -> Command + Send + Sync>,
    process: Process,
    url: String,
}

impl Server {
    /// Starts what `command` makes and waits until it takes connections. It should be told to
    /// listen on port 0 of 127.0.0.1: it then has another address after each start.
    ///
    /// # Panics
    /// When the server does not say where it listens.
    pub fn start(command: impl Fn() -> Command + Send + Sync + 'static) -> Self {
        let (process, url) = Self::launch(&mut command());
        Self {
            command: Box::new(command),
            process,
            url,
        }
    }

    /// `api serve` on a database, any free port, without rate limits.
    pub fn serve(api: &'static str, database_url: &str) -> Self {
        let database_url = database_url.to_owned();
        Self::start(move || {
            let mut command = program(api);
            command
                .args(["serve", "--listen", "127.0.0.1:0", "--rate-limit", "0"])
                .env("DATABASE_URL", &database_url);
            command
        })
    }

    fn launch(command: &mut Command) -> (Process, String) {
        let mut process = Process::start(command);
        let url = process.wait_for_line(address);
        (process, url)
    }

    /// Where it listens, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it once more, after it has ended or was killed.
    pub fn restart(&mut self) {
        (self.process, self.url) = Self::launch(&mut (self.command)());
    }
}

/// Where a server says that it listens: the quick start on standard output, `serve` in its log.
fn address(line: &str) -> Option<String> {
    if let Some(url) = line.strip_prefix("Listening on ") {
        return Some(url.to_owned());
    }
    let (_, address) = line.split_once(" listening address=")?;
    Some(format!("http://{address}"))
}
