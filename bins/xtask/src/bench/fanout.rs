//! The workload `fanout`: thousands who listen to one account while somebody decides, from sending a
//! decision to its event in each of their sockets.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::load::{self, Call, Measured, Pace};
use super::report::{Goal, Report};
use super::server::Server;
use super::site::{Desktop, Waiting, call, text};
use super::stream;
use super::{Engine, Options, resident};
use crate::shell::{Failure, Shell};

/// Streams of one key; the most it may have open.
const A_KEY: u32 = 100;
/// One in so many is read to the letter and timed.
const TIMED: u32 = 50;
const A_SECOND: f64 = 100.0;
/// Connections that decide.
const DECIDERS: u32 = 16;
/// How long the last events may take.
const AFTERWARDS: Duration = Duration::from_secs(3);

/// When the decision of each task was sent.
type Sent = Rc<RefCell<HashMap<String, Instant>>>;

/// Measures one engine.
///
/// # Errors
/// When something does not start, or an answer is no success.
pub async fn measure(
    shell: &Shell,
    engine: Engine,
    url: &str,
    options: &Options,
) -> Result<(), Failure> {
    let server = Server::start(shell, url).await?;
    let mut report = Report::new("fanout", engine.name());
    let desktop = Desktop::create(&server, &server.key).await?;
    let tasks = desktop.prepare(&server, options.decisions).await?;
    let before = resident(server.process()).unwrap_or_default();
    let sent = Sent::default();
    let local = tokio::task::LocalSet::new();
    let (readers, measured) = local
        .run_until(async {
            let end = CancellationToken::new();
            let mut readers = open(&server, options.subscribers, &sent, &end).await?;
            let open = resident(server.process()).unwrap_or_default();
            let a_subscriber = (open - before) * 1_024.0 / f64::from(options.subscribers);
            report.add("subscribers", options.subscribers.into(), "", None);
            report.add("memory a silent subscriber", a_subscriber, "KiB", None);
            let measured = decide(&server, tasks, &sent).await?;
            tokio::time::sleep(AFTERWARDS).await;
            end.cancel();
            let mut all = Vec::new();
            while let Some(reader) = readers.join_next().await {
                all.extend(reader.ok());
            }
            Ok::<_, Failure>((all, measured))
        })
        .await?;
    let after = resident(server.process()).unwrap_or_default();
    let a_subscriber = (after - before) * 1_024.0 / f64::from(options.subscribers);
    let goal = Some(Goal::AtMost(32.0));
    report.add("memory a subscriber", a_subscriber, "KiB", goal);
    report.add("decisions a second", measured.per_second(), "/s", None);
    report.add("decide, p99", measured.within(0.99), "ms", None);
    tell(&mut report, &readers);
    report.save(shell)
}

fn tell(report: &mut Report, readers: &[Reader]) {
    let head = readers.iter().map(|reader| reader.last).max();
    let missed = readers.iter().filter(|reader| Some(reader.last) != head);
    let missed = u32::try_from(missed.count()).unwrap_or(u32::MAX);
    let mut times = Measured::new();
    for reader in readers {
        times.merge(&reader.times);
    }
    let goal = Some(Goal::AtMost(0.0));
    report.add(
        "subscribers without the last event",
        missed.into(),
        "",
        goal,
    );
    report.add("sent to in a socket, p50", times.within(0.50), "ms", None);
    let goal = Some(Goal::AtMost(250.0));
    report.add("sent to in a socket, p99", times.within(0.99), "ms", goal);
}

/// Opens the streams and reads each in a task of its own.
async fn open(
    server: &Server,
    subscribers: u32,
    sent: &Sent,
    end: &CancellationToken,
) -> Result<JoinSet<Reader>, Failure> {
    let mut readers = JoinSet::new();
    let mut key = String::new();
    for n in 0..subscribers {
        if n % A_KEY == 0 {
            let wish = json!({ "name": format!("listener {n}"), "kind": "human" });
            let made = call(server, Call::post("/api/auth/api-keys", &server.key, wish)).await?;
            key = text(&made, "key")?;
        }
        let socket = stream::open(server.address, &key).await?;
        let reader = Reader {
            socket,
            last: 0,
            times: Measured::new(),
            rest: String::new(),
            sent: (n % TIMED == 0).then(|| Rc::clone(sent)),
        };
        readers.spawn_local(reader.read(end.clone()));
    }
    Ok(readers)
}

/// Approves the tasks at a steady rate.
async fn decide(server: &Server, tasks: Vec<Waiting>, sent: &Sent) -> Result<Measured, Failure> {
    let pace = Pace::new(A_SECOND, tasks.len());
    let tasks = Rc::new(RefCell::new(tasks.into_iter()));
    let (owner, sent) = (Rc::clone(&server.key), Rc::clone(sent));
    load::each_here(server.address, DECIDERS, move |mut connection| {
        let (pace, tasks) = (Rc::clone(&pace), Rc::clone(&tasks));
        let (owner, sent) = (Rc::clone(&owner), Rc::clone(&sent));
        async move {
            let mut measured = Measured::new();
            while let Some(due) = pace.due().await {
                let next = tasks.borrow_mut().next();
                let Some(task) = next else {
                    break;
                };
                sent.borrow_mut().insert(task.id.clone(), due);
                connection.succeed(&task.approve(&owner)).await?;
                measured.note(due.elapsed());
            }
            Ok(measured)
        }
    })
    .await
}

/// Somebody who listens.
struct Reader {
    socket: TcpStream,
    /// The number of the last event that came.
    last: u64,
    times: Measured,
    /// What has come of a line, of one who times.
    rest: String,
    sent: Option<Sent>,
}

impl Reader {
    async fn read(mut self, end: CancellationToken) -> Self {
        loop {
            tokio::select! {
                () = end.cancelled() => return self,
                ready = self.socket.readable() => if ready.is_err() {
                    return self;
                },
            }
            thread_local! {
                // not one for each of thousands
                static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 << 10]);
            }
            let is_open = BUFFER.with_borrow_mut(|buffer| match self.socket.try_read(buffer) {
                Ok(0) => false,
                Ok(read) => {
                    self.take(&String::from_utf8_lossy(
                        buffer.get(..read).unwrap_or_default(),
                    ));
                    true
                }
                Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
            });
            if !is_open {
                return self;
            }
        }
    }

    fn take(&mut self, text: &str) {
        if let Some((_, id)) = text
            .rsplit_once("\nid: ")
            .or_else(|| text.rsplit_once("id: "))
            && let Some((id, _)) = id.split_once('\n')
        {
            self.last = id.parse().unwrap_or(self.last);
        }
        let Some(sent) = &self.sent else {
            return;
        };
        self.rest.push_str(text);
        let sent = sent.borrow();
        let mut done = 0;
        for (line, end) in lines(&self.rest) {
            done = end;
            if let Some((_, task)) = line.split_once(r#""taskId":""#)
                && line.contains(r#""type":"approval.resolved""#)
                && let Some((task, _)) = task.split_once('"')
                && let Some(sent) = sent.get(task)
            {
                self.times.note(sent.elapsed());
            }
        }
        self.rest.drain(..done);
    }
}

/// Whole lines, and where each ends.
fn lines(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut end = 0;
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(move |line| {
            end += line.len();
            (line, end)
        })
}
