//! `kill -9` at any moment: what was acknowledged is there, and nothing is there by half.
//!
//! The server to be killed is this test program again, started for one test of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;

use approval_core::{
    ApprovalStatus, Capability, DecisionRequest, Digest, KeyKind, KeyRequest, LogStream, NewTask,
    Outcome, Report, Status, TaskId, TaskType,
};
use store::{
    ActivityRow, Command, CompleteRequest, Credential, DecisionTarget, KeyText, Request, Store,
    StoreConfig, TaskFilter, TaskView,
};
use test_support::{Engine, Runner, Site, TestDb, check_chain, claim, log_entry, task};

/// Names database and credentials to the process that will be killed.
const WHERE: &str = "STORE_DURABILITY_TEST";
/// How often a server is killed.
const ROUNDS: u64 = 10;
/// Clients of the server.
const CLIENTS: usize = 8;

#[test]
fn nothing_acknowledged_is_lost_on_sqlite() {
    survive(Engine::Sqlite);
}

#[test]
fn nothing_acknowledged_is_lost_on_postgres() {
    survive(Engine::Postgres);
}

fn survive(engine: Engine) {
    let Some(mut site) = Site::open(engine) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let place = runtime.block_on(credentials(&site));
    site.store.close();
    let mut acknowledged: Vec<(String, TaskId)> = Vec::new();
    for round in 0..ROUNDS {
        let before = acknowledged.len();
        // not always at the same point of a batch
        let life = Duration::from_millis(40 + 23 * round);
        acknowledged.extend(run_and_kill(&place, life));
        assert!(acknowledged.len() > before, "round {round} did nothing");
        site.restart();
        runtime.block_on(check(&site, &acknowledged));
        site.store.close();
    }
    let decided = acknowledged.iter().filter(|(what, _)| what == "decided");
    assert!(decided.count() > 10, "hardly a decision was acknowledged");
}

/// A person's key and the key of the desktop's runner, by their digests.
async fn credentials(site: &Site) -> String {
    let mut place = site.db.url().to_owned();
    for (kind, desktop) in [
        (KeyKind::Human, None),
        (KeyKind::Agent, Some(site.desktop.id)),
    ] {
        let digest = KeyText::generate(kind).unwrap().digest();
        place = format!("{place} {}", digest.sha256);
        let request = KeyRequest {
            name: kind.to_string(),
            kind,
            capabilities: desktop.map(|_| vec![Capability::TasksRead]),
            desktop,
        };
        site.done(&site.person, Command::CreateKey { request, digest })
            .await;
    }
    place
}

/// Starts a server, lets it work for a while after its first acknowledgement, kills it and returns
/// what it acknowledged.
fn run_and_kill(place: &str, life: Duration) -> Vec<(String, TaskId)> {
    let mut server = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "the_server_that_is_killed"])
        .env(WHERE, place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(server.stdout.take().unwrap());
    let mut killer: Option<std::thread::JoinHandle<Child>> = None;
    let mut server = Some(server);
    let mut acknowledged = Vec::new();
    for line in output.lines() {
        // a line that the kill cut off acknowledges nothing
        let Some(parsed) = line.ok().as_deref().and_then(parse) else {
            continue;
        };
        acknowledged.push(parsed);
        if let Some(mut server) = server.take() {
            killer = Some(std::thread::spawn(move || {
                std::thread::sleep(life);
                server.kill().unwrap();
                server
            }));
        }
    }
    let mut server = killer
        .expect("the server acknowledged nothing")
        .join()
        .unwrap();
    let status = server.wait().unwrap();
    assert!(
        !status.success() && status.code().is_none(),
        "it ended by itself: {status}"
    );
    acknowledged
}

fn parse(line: &str) -> Option<(String, TaskId)> {
    let (what, id) = line.strip_suffix('.')?.split_once(' ')?;
    Some((what.to_owned(), id.parse().ok()?))
}

/// No test: the server that the tests start, and kill. It has nothing to do in a run of its own.
#[test]
fn the_server_that_is_killed() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no command line of its own"
    )]
    let Ok(place) = std::env::var(WHERE) else {
        return;
    };
    let words: Vec<&str> = place.split(' ').collect();
    let [url, person, agent] = words[..] else {
        panic!("{place}");
    };
    let store = Store::open(&StoreConfig::new(url.parse().unwrap())).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let person = credential(&store, person).await;
        let agent = credential(&store, agent).await;
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(work(store.clone(), person.clone(), agent.clone()));
        }
        clients.join_all().await;
    });
}

async fn credential(store: &Store, digest: &str) -> Credential {
    let digest: Digest = digest.parse().unwrap();
    let found = store.read(move |reads| reads.credential(&digest)).await;
    found.unwrap().unwrap()
}

/// The whole loop, again and again; says what was acknowledged as soon as it was.
async fn work(store: Store, person: Credential, agent: Credential) {
    let runner = Runner {
        id: agent.principal.desktop.unwrap(),
        agent: agent.principal,
    };
    let request = |by: &approval_core::Principal, command| Request {
        account: person.account,
        principal: by.clone(),
        session: None,
        idempotency: None,
        command,
    };
    loop {
        let mut new = NewTask::new(TaskType::Command, "x", runner.id);
        new.requires_approval = true;
        new.auto_run = true;
        let create = request(&person.principal, Command::CreateTask(new));
        let created = task(store.submit(create).await.unwrap().answer);
        acknowledge("created", created.state.id);
        let Some(work) = claim(&store, person.account, &runner).await.unwrap() else {
            continue;
        };
        let entries = vec![log_entry(
            0,
            LogStream::Stdout,
            work.id().to_string().as_bytes(),
        )];
        let lease = work.lease;
        let append = request(&runner.agent, Command::AppendLogs { lease, entries });
        store.submit(append).await.unwrap();
        acknowledge("logged", work.id());
        let completion = CompleteRequest {
            account: person.account,
            principal: runner.agent.clone(),
            idempotency: None,
            lease,
            report: Report::new(Outcome::Succeeded, Digest::of(b"")),
            output: None,
            log_entries: Some(1),
        };
        store.complete(completion).await.unwrap();
        acknowledge("completed", work.id());
        let target = DecisionTarget::Task(work.id());
        let decision = DecisionRequest::approve();
        let decide = Command::Decide {
            target,
            request: decision,
        };
        store
            .submit(request(&person.principal, decide))
            .await
            .unwrap();
        acknowledge("decided", work.id());
    }
}

/// One write, so that no other client's line comes between; a full stop ends what is whole.
fn acknowledge(what: &str, id: TaskId) {
    let line = format!("{what} {id}.\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .unwrap();
}

async fn check(site: &Site, acknowledged: &[(String, TaskId)]) {
    let (scope, account) = (site.everything(), site.account);
    let filter = TaskFilter {
        limit: 1_000_000,
        ..TaskFilter::default()
    };
    let (page, log) = site
        .read(move |r| Ok((r.tasks(scope, &filter)?, r.activity(account, 0, 1_000_000)?)))
        .await;
    check_chain(account, &log);
    let tasks: std::collections::HashMap<TaskId, TaskView> =
        page.items.into_iter().map(|t| (t.state.id, t)).collect();
    for (what, id) in acknowledged {
        let task = tasks
            .get(id)
            .unwrap_or_else(|| panic!("{what} {id} is lost"));
        let status = task.state.status;
        let kept = match &**what {
            "created" => true,
            "logged" => has_log(site, *id).await,
            "completed" => matches!(status, Status::Review | Status::Done),
            "decided" => status == Status::Done,
            other => panic!("{other}"),
        };
        assert!(kept, "{what} {id} is lost: {status}");
    }
    check_wholeness(site, &tasks.into_values().collect::<Vec<_>>(), &log).await;
}

/// Every task, acknowledged or not, has all of what its status says or nothing of it.
async fn check_wholeness(site: &Site, tasks: &[TaskView], log: &[ActivityRow]) {
    let logged = |kind: &str, id: TaskId| {
        let needle = format!("\"taskId\":\"{id}\"");
        let rows = log.iter().filter(|row| row.kind == kind);
        rows.filter(|row| row.payload.contains(&needle)).count()
    };
    for task in tasks {
        let (id, status) = (task.state.id, task.state.status);
        let approval = task.review.as_ref().map(|a| a.status);
        let expected = match status {
            Status::Review => Some(ApprovalStatus::Pending),
            Status::Done => Some(ApprovalStatus::Approved),
            _ => None,
        };
        assert_eq!(approval, expected, "{id} is {status}");
        assert_eq!(logged("task.created", id), 1);
        let ended = usize::from(expected.is_some());
        assert_eq!(logged("approval.created", id), ended);
        let decided = usize::from(status == Status::Done);
        assert_eq!(logged("approval.resolved", id), decided);
        assert_eq!(task.state.evidence_sha256.is_some(), ended == 1);
        if let Some(sealed) = task.state.evidence_sha256 {
            let manifest = site.read(move |r| r.evidence(id, 1)).await.unwrap();
            assert_eq!(Digest::of(manifest.as_bytes()), sealed);
        }
    }
}

async fn has_log(site: &Site, id: TaskId) -> bool {
    let lines = site.read(move |reads| reads.logs(id, 1, -1, 9)).await;
    lines.len() == 1 && lines[0].bytes == id.to_string().as_bytes()
}

/// Asked as the writer would be answered: a setting of the database counts.
#[test]
fn a_postgres_that_loses_commits_is_told_from_one_that_keeps_them() {
    let Some(db) = TestDb::migrated(Engine::Postgres) else {
        return;
    };
    let url = db.url().parse().unwrap();
    let is_weak = || {
        let weak = store::weak_settings(&url).unwrap();
        weak.contains(&"synchronous_commit".to_owned())
    };
    let name = db
        .query_scalar("SELECT current_database()")
        .unwrap()
        .unwrap();
    for (setting, weak) in [("off", true), ("on", false), ("remote_apply", false)] {
        let alter = format!("ALTER DATABASE \"{name}\" SET synchronous_commit = {setting}");
        db.execute(&alter).unwrap();
        assert_eq!(is_weak(), weak, "{setting}");
    }
    let sqlite = TestDb::migrated_sqlite();
    let none = store::weak_settings(&sqlite.url().parse().unwrap());
    assert!(none.unwrap().is_empty());
}
