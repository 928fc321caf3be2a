//! Runners that are killed, stopped beyond their lease, and cut off, while they work: every task ends
//! exactly once, nothing of an earlier lease is in the log of a later one, and no process stays
//! (docs/guarantees.md, G11).
//!
//! `cargo xtask torture desktop` does the same with many more rounds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use contract::{CreateTask, TaskType};
use futures_util::future::join_all;
use serde_json::Value;
use tempfile::TempDir;
use test_support::server::Process;
use tokio::time::sleep;

use crate::evidence::{checked_activity, checked_evidence, payloads};
use crate::proxy::Proxy;
use crate::rest::{eventually, text};
use crate::site::{Desktop, Site, TASKS, on_every_engine};
use test_support::rounds;

/// How many rounds altogether, when nobody asks for more: one of each fault.
const ROUNDS: usize = 4;
/// Most desktops at once.
const DESKTOPS: usize = 20;
/// Longer than a lease, and than the second in which its end is noticed.
const BEYOND_A_LEASE: Duration = Duration::from_secs(33);
/// The longest that a task may take through a fault: two leases and its work.
const PATIENCE: Duration = Duration::from_secs(150);

/// How often a task says who it is, ten times a second.
const LINES: i64 = 20;
/// The same in the first attempt of one whose runner is killed: it would go on for long.
const MORE_LINES: i64 = 150;

/// Says who it is for a while, whether somebody hears it or not, beside processes that try to stay.
fn command(fault: Fault) -> String {
    let first = lines(fault, 1);
    format!(
        "trap '' PIPE; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & (sleep 1000 &) ; \
         n={LINES}; [ $TASK_ATTEMPT != 1 ] || n={first}; \
         while [ $n -gt 0 ]; do echo $TASK_ID-$TASK_ATTEMPT; n=$((n-1)); sleep 0.1; done"
    )
}

fn lines(fault: Fault, attempt: i64) -> i64 {
    if fault == Fault::Kill && attempt == 1 {
        MORE_LINES
    } else {
        LINES
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// The runner is killed, and another one started.
    Kill,
    /// The runner stands still until its lease is lost, and goes on.
    Stop,
    /// The connection is cut for a moment.
    Cut,
    /// The connection is cut until the lease is lost.
    LongCut,
}

/// A small generator: the faults of a run can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

/// One desktop whose runner and network fail.
struct Victim {
    desktop: Desktop,
    folder: TempDir,
    proxy: Proxy,
    runner: Process,
    random: Random,
}

impl Victim {
    async fn start(site: &Site, number: usize) -> Self {
        let desktop = site.desktop(&format!("victim {number}")).await;
        let proxy = Proxy::before(site.server.url()).await;
        let desktop = desktop.at(&proxy.url());
        let folder = tempfile::tempdir().expect("a folder");
        let runner = desktop.start_runner(folder.path());
        Self {
            desktop,
            folder,
            proxy,
            runner,
            random: Random(number as u64 + 1),
        }
    }

    /// Lets a task run through a fault; gives the task at its end.
    async fn suffer(&mut self, site: &Site, fault: Fault) -> Value {
        let task = CreateTask {
            auto_run: Some(true),
            max_attempts: Some(3),
            ..CreateTask::new(TaskType::Command, command(fault), &self.desktop.id)
        };
        let task = site.owner.typed().create_task(&task).await.expect("a task");
        sleep(Duration::from_millis(self.random.below(2_200))).await;
        match fault {
            Fault::Kill => {
                self.runner.kill();
                nothing_is_left(std::slice::from_ref(&task.id)).await;
                self.runner = self.start_again().await;
            }
            Fault::Stop => {
                self.runner.stop();
                sleep(BEYOND_A_LEASE).await;
                self.runner.resume();
            }
            Fault::Cut => {
                let time = Duration::from_millis(50 + self.random.below(3_000));
                self.proxy.cut(time).await;
            }
            Fault::LongCut => self.proxy.cut(BEYOND_A_LEASE).await,
        }
        site.owner
            .task_in(&task.id, &["done", "failed"], PATIENCE)
            .await
    }

    async fn start_again(&self) -> Process {
        let (desktop, folder) = (self.desktop.clone(), PathBuf::from(self.folder.path()));
        let started = tokio::task::spawn_blocking(move || desktop.start_runner(&folder));
        started.await.expect("a runner")
    }
}

#[test]
fn a_runner_that_is_killed_stopped_or_cut_off_ends_each_task_once_and_leaves_nothing() {
    let rounds = rounds(ROUNDS);
    on_every_engine(async |db| {
        let site = Site::start(db);
        let desktops = rounds.min(DESKTOPS);
        let victims = join_all((0..desktops).map(async |number| {
            let mut victim = Victim::start(&site, number).await;
            let mut ended = Vec::new();
            for round in (number..rounds).step_by(desktops) {
                let fault = fault(round);
                ended.push((fault, victim.suffer(&site, fault).await));
            }
            (victim, ended)
        }));
        let (victims, ended): (Vec<_>, Vec<_>) = victims.await.into_iter().unzip();
        let ended = ended.concat();
        assert_eq!(ended.len(), rounds);

        each_ended_once(&site, &ended).await;
        for (fault, task) in &ended {
            each_attempt_speaks_for_itself(&site, *fault, task).await;
            if !task["evidenceSha256"].is_null() {
                checked_evidence(&site.owner, task).await;
            }
        }
        let ids: Vec<String> = ended.iter().map(|(_, task)| text(&task["id"])).collect();
        nothing_is_left(&ids).await;
        report(&ended);
        drop(victims);
    });
}

/// The first four rounds have one of each; later ones have more of what is quick.
fn fault(round: usize) -> Fault {
    match round % 10 {
        0 | 4 | 6 => Fault::Kill,
        1 => Fault::Stop,
        3 => Fault::LongCut,
        _ => Fault::Cut,
    }
}

async fn each_ended_once(site: &Site, ended: &[(Fault, Value)]) {
    let rows = checked_activity(&site.owner).await;
    let completed = payloads(&rows, "task.completed");
    for (fault, task) in ended {
        let of_it = completed.iter().filter(|row| row["taskId"] == task["id"]);
        let statuses: Vec<&Value> = of_it.map(|row| &row["status"]).collect();
        assert_eq!(statuses, [&task["status"]], "{fault:?} {task}");
        // a moment's cut costs nothing
        if *fault == Fault::Cut {
            assert_eq!(task["status"], "done", "{task}");
        }
    }
}

/// No line of an earlier attempt is in the log of a later one, and the other way round.
async fn each_attempt_speaks_for_itself(site: &Site, fault: Fault, task: &Value) {
    let id = text(&task["id"]);
    let attempts = task["attempt"].as_i64().expect("a number");
    for attempt in 1..=attempts {
        let log = site
            .owner
            .every(&format!("{TASKS}/{id}/logs?attempt={attempt}"))
            .await;
        let said: String = log
            .iter()
            .filter(|line| line["stream"] == "stdout")
            .map(|line| text(&line["text"]))
            .collect();
        let own = format!("{id}-{attempt}");
        assert!(said.lines().all(|line| line == own), "{own}: {said}");
        if attempt == attempts && task["status"] == "done" {
            let said = i64::try_from(said.lines().count()).expect("a number");
            assert_eq!(said, lines(fault, attempt), "{own}");
        }
    }
}

/// No process that belongs to one of the tasks stays alive: those that are killed have a grace of four
/// seconds.
async fn nothing_is_left(ids: &[String]) {
    let patience = Duration::from_secs(10);
    eventually("no process of a task is left", patience, async || {
        left(ids).is_empty().then_some(())
    })
    .await;
}

fn left(ids: &[String]) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let of_a_task = |path: &PathBuf| {
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment);
        let task = environment
            .split('\0')
            .find_map(|variable| variable.strip_prefix("TASK_ID="));
        task.is_some_and(|task| ids.iter().any(|id| id == task))
    };
    processes
        .map(|entry| entry.path())
        .filter(of_a_task)
        .collect()
}

/// What happened, for whoever runs this with many rounds.
fn report(ended: &[(Fault, Value)]) {
    let mut counts: BTreeMap<(Fault, String, i64), u32> = BTreeMap::new();
    for (fault, task) in ended {
        let attempts = task["attempt"].as_i64().unwrap_or_default();
        *counts
            .entry((*fault, text(&task["status"]), attempts))
            .or_default() += 1;
    }
    for ((fault, status, attempts), count) in counts {
        println!("{fault:?}: {count} tasks {status} in attempt {attempts}");
    }
}
