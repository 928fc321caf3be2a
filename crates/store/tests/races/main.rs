//! Many at once, on PostgreSQL through three stores, as three server processes would be: one winner each
//! time, nothing lost, nothing twice, and nobody pays for a neighbour (docs/guarantees.md, F4).
//!
//! `cargo xtask torture races` holds them with many more tasks, `cargo xtask torture seal` the one for
//! the seal.

mod field;
mod rework;
mod seal;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use approval_core::{DecisionRequest, Refusal, Status, TaskId};
use store::{Answer, Command, DecisionTarget, Request, SubmitError};
use test_support::{Engine, Work, on_both_engines, rounds};
use tokio::task::JoinSet;

use crate::field::{Field, hold};
use crate::rework::no_approval_outlives_the_rework;
use crate::seal::what_was_sealed_is_what_is_stored;

/// Tasks in each race, when nobody asks for more.
const TASKS: usize = 500;
/// Tasks that meet a mode that flips, when nobody asks for more.
const FLIPPED: usize = 200;

on_both_engines! { hold:
    one_of_four_deciders_wins_each_task,
    thirty_two_claimers_share_the_queue,
    a_bad_command_costs_its_neighbours_nothing,
    no_gated_task_is_done_while_the_mode_flips,
    administration_goes_on_beside_a_busy_server,
    no_approval_outlives_the_rework,
    what_was_sealed_is_what_is_stored,
}

async fn one_of_four_deciders_wins_each_task(field: &Field) {
    let tasks = rounds(TASKS);
    let ids = field.queue(tasks, true).await;
    let works = field.claim_all(8).await;
    field.complete_all(&works, 32).await;
    let mut people = vec![field.site.person.clone()];
    for _ in 0..3 {
        let key = field
            .site
            .add_key(approval_core::KeyKind::Human, None, None)
            .await;
        people.push(key.1);
    }
    let waiting = field.approvals().await;
    let mut requests = Vec::new();
    for id in &ids {
        let approval = waiting[id].id;
        for (n, person) in people.iter().enumerate() {
            let target = match n % 2 {
                0 => DecisionTarget::Task(*id),
                _ => DecisionTarget::Approval(approval),
            };
            let request = match n {
                0 | 3 => DecisionRequest::approve(),
                _ => DecisionRequest::reject(format!("by {n}")),
            };
            requests.push(field.request(person, Command::Decide { target, request }));
        }
    }
    let answers = field.at_once(requests).await;
    let decided = field.approvals().await;
    for (id, answers) in ids.iter().zip(answers.chunks(people.len())) {
        let stands = &decided[id];
        let mut winners = 0;
        for answer in answers {
            match answer {
                Ok(Answer::Task(view)) => {
                    winners += 1;
                    assert_eq!(view.review.as_ref(), Some(stands));
                }
                Ok(Answer::Approval(view)) => {
                    winners += 1;
                    assert_eq!(view.approval, *stands);
                }
                Err(SubmitError::Refused(Refusal::AlreadyDecided { approval })) => {
                    assert_eq!(**approval, *stands);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(winners, 1, "{id}");
    }
    let resolved = field
        .site
        .db
        .query_scalar("SELECT count(*) FROM activity WHERE type = 'approval.resolved'");
    assert_eq!(resolved, Ok(Some(tasks.to_string())));
}

async fn thirty_two_claimers_share_the_queue(field: &Field) {
    let tasks = rounds(TASKS);
    let queued: HashSet<TaskId> = field.queue(tasks, false).await.into_iter().collect();
    let works = field.claim_all(32).await;
    let claimed: HashSet<TaskId> = works.iter().map(Work::id).collect();
    assert_eq!(works.len(), tasks, "a task was claimed twice, or never");
    assert_eq!(claimed, queued);
    assert!(works.iter().all(|w| w.claim.task.state.attempt == 1));
}

/// Fifty good commands and one that the database chokes on, in the middle of their batch.
async fn a_bad_command_costs_its_neighbours_nothing(field: &Field) {
    let raise = match field.site.db.engine() {
        Engine::Sqlite => {
            "CREATE TRIGGER choke BEFORE INSERT ON tasks WHEN NEW.title = 'choke'
             BEGIN SELECT RAISE(ABORT, 'choked'); END"
        }
        Engine::Postgres => {
            "CREATE FUNCTION choke() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN IF NEW.title = 'choke' THEN RAISE EXCEPTION 'choked'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER choke BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION choke()"
        }
    };
    field.site.db.execute(raise).unwrap();
    let reviewed = field.site.to_review("reviewed").await.state.id;
    let mut requests: Vec<Request> = (0..51)
        .map(|n| {
            let content = if n == 25 {
                "choke".to_owned()
            } else {
                n.to_string()
            };
            let create = Command::CreateTask(field.site.wish(&content));
            field.request(&field.site.person, create)
        })
        .collect();
    let target = DecisionTarget::Task(reviewed);
    let request = DecisionRequest::approve();
    let decide = Command::Decide { target, request };
    requests.push(field.request(&field.site.person, decide));
    let answers = field.at_once(requests).await;
    for (n, answer) in answers.iter().enumerate() {
        if n == 25 {
            assert!(matches!(answer, Err(SubmitError::Internal)), "{answer:?}");
        } else {
            assert!(answer.is_ok(), "{n}: {answer:?}");
        }
    }
    let statuses = field.statuses().await;
    assert_eq!((statuses.len(), statuses[&reviewed]), (51, Status::Done));
}

/// Several processes write to one database, SQLite's too: people are added by local programs while
/// clients create tasks, and nobody is told that the database is busy.
async fn administration_goes_on_beside_a_busy_server(field: &Field) {
    const PROGRAMS: usize = 6;
    const PEOPLE: usize = 10;
    let mut programs = JoinSet::new();
    for program in 0..PROGRAMS {
        let (admin, account) = (field.site.admin(), field.site.account);
        programs.spawn_blocking(move || {
            for n in 0..PEOPLE {
                let command = Command::CreateUser {
                    email: format!("{n}@{program}.example.org"),
                    password_hash: None,
                };
                admin.run(account, command).expect("one more person");
            }
        });
    }
    // The server is busy for as long as that takes. How soon another process has its turn is up to
    // SQLite, which waits in ever longer sleeps; that it has its turns, and in between, is ours.
    let mut queued = 0;
    while !programs.is_empty() && queued < 50_000 {
        queued += field.queue(10, false).await.len();
        while let Some(ended) = programs.try_join_next() {
            ended.unwrap();
        }
    }
    assert!(queued < 50_000, "administration waits for an idle server");
    let people = "SELECT count(*) FROM users WHERE email LIKE '%.example.org'";
    let people = field.site.db.query_scalar(people).unwrap().unwrap();
    assert_eq!(people, (PROGRAMS * PEOPLE).to_string());
    let tasks = field.site.db.query_scalar("SELECT count(*) FROM tasks");
    assert_eq!(tasks.unwrap().unwrap(), queued.to_string());
}

/// Mode, claim and finish in every order that chance finds.
async fn no_gated_task_is_done_while_the_mode_flips(field: &Field) {
    let count = rounds(FLIPPED);
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut running = JoinSet::new();
    for n in 0..2 {
        let (store, done) = (field.store(n), Arc::clone(&done));
        let site = &field.site;
        let flip = |on| {
            let command = Command::ChangeSettings {
                task_approval_mode: Some(on),
                require_evidence: None,
            };
            site.request(&site.person, command)
        };
        let (on, off) = (flip(true), flip(false));
        running.spawn(async move {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for flip in [&on, &off] {
                    store.submit(flip.clone()).await.unwrap();
                    // long enough for some batches to find it so
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
            }
        });
    }
    let ids = field.queue(count, false).await;
    let works = field.claim_all(4).await;
    assert_eq!(works.len(), count);
    field.complete_all(&works, 4).await;
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    while let Some(flipper) = running.join_next().await {
        flipper.unwrap();
    }

    // the log tells in which order it really happened
    let account = field.site.account;
    let rows = field
        .site
        .read(move |reads| reads.activity(account, 0, 100_000))
        .await;
    let mut mode = false;
    let mut gated = HashSet::new();
    let mut finished = HashMap::new();
    for row in &rows {
        let payload: serde_json::Value = serde_json::from_str(&row.payload).unwrap();
        let task = || -> TaskId { payload["taskId"].as_str().unwrap().parse().unwrap() };
        match &*row.kind {
            "settings.changed" => mode = payload["taskApprovalMode"].as_bool().unwrap(),
            "task.started" if mode => drop(gated.insert(task())),
            "task.completed" => {
                if mode {
                    gated.insert(task());
                }
                finished.insert(task(), payload["status"].as_str().unwrap().to_owned());
            }
            _ => {}
        }
    }
    let statuses = field.statuses().await;
    for id in &ids {
        let expected = if gated.contains(id) { "review" } else { "done" };
        assert_eq!(finished[id], expected);
        assert_eq!(statuses[id].as_str(), expected);
    }
    assert!(
        !gated.is_empty() && gated.len() < count,
        "chance found one order only: {} of {count} were gated",
        gated.len()
    );
}
