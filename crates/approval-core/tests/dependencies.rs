//! What blocks a task, what sets it off, and which dependencies can be named (contract sections 3
//! and 6).

use approval_core::*;

use crate::fixtures::{
    ELSEWHERE, agent, at, desktop_id, human, invalid_field, pending, stranger, task_id, wish,
};

fn parent(number: u128, status: Status) -> Parent {
    Parent {
        id: task_id(number),
        status,
    }
}

/// Everything but `done` blocks, one dependency is enough, and the names come in order.
#[test]
fn a_task_runs_only_when_every_dependency_is_done() {
    for first in Status::ALL {
        for second in Status::ALL {
            let parents = [parent(1, *first), parent(2, *second)];
            let open = |p: &&Parent| p.status != Status::Done;
            let blocked_by: Vec<TaskId> = parents.iter().filter(open).map(|p| p.id).collect();
            let mut task = pending(&wish());
            let answer = task.run(&parents);
            if *first == Status::Done && *second == Status::Done {
                assert_eq!((answer, task.status), (Ok(()), Status::Running));
            } else {
                assert_eq!(
                    answer,
                    Err(Refusal::Blocked { blocked_by }),
                    "{first} {second}"
                );
                assert_eq!(task, pending(&wish()), "{first} {second}");
            }
        }
    }
}

#[test]
fn a_blocked_task_says_how_many_it_waits_for() {
    let refuse = |parents: &[Parent]| pending(&wish()).run(parents).map_err(|r| r.to_string());
    let one = refuse(&[parent(1, Status::Review)]);
    assert_eq!(
        one,
        Err("the task waits for 1 task that is not done".to_owned())
    );
    let two = refuse(&[parent(1, Status::Review), parent(2, Status::Failed)]);
    assert_eq!(
        two,
        Err("the task waits for 2 tasks that are not done".to_owned())
    );
}

/// Written as a table: the worst dependency, autoRun, the policy, and what follows.
#[test]
fn a_pending_task_follows_its_dependencies() {
    use Consequence::{Cancel, Nothing, Start};
    use OnDependencyFailure::{Block, Cancel as Along};
    let table: [(&[Status], [Consequence; 4]); 8] = [
        //                                      auto+block auto+cancel block   cancel
        (&[], [Start, Start, Nothing, Nothing]),
        (
            &[Status::Done, Status::Done],
            [Start, Start, Nothing, Nothing],
        ),
        (&[Status::Done, Status::Pending], [Nothing; 4]),
        (&[Status::Running, Status::Done], [Nothing; 4]),
        (&[Status::Done, Status::Review], [Nothing; 4]),
        (
            &[Status::Failed, Status::Done],
            [Nothing, Cancel, Nothing, Cancel],
        ),
        (
            &[Status::Done, Status::Cancelled],
            [Nothing, Cancel, Nothing, Cancel],
        ),
        (
            &[Status::Pending, Status::Failed],
            [Nothing, Cancel, Nothing, Cancel],
        ),
    ];
    for (statuses, expected) in table {
        let parents: Vec<Parent> = statuses.iter().map(|s| parent(1, *s)).collect();
        let options = [(true, Block), (true, Along), (false, Block), (false, Along)];
        for ((auto_run, on_dependency_failure), expected) in options.into_iter().zip(expected) {
            let new = NewTask {
                auto_run,
                on_dependency_failure,
                ..wish()
            };
            let mut task = pending(&new);
            let name = format!("{statuses:?} autoRun {auto_run} {on_dependency_failure}");
            assert_eq!(consequence(&task, &parents), expected, "{name}");
            task.run(&[]).expect("pending");
            assert_eq!(
                consequence(&task, &parents),
                Nothing,
                "{name}: no longer pending"
            );
        }
    }
}

#[test]
fn only_failed_and_cancelled_are_dead() {
    let dead: Vec<Status> = Status::ALL
        .iter()
        .copied()
        .filter(|s| s.is_dead())
        .collect();
    assert_eq!(dead, [Status::Failed, Status::Cancelled]);
}

/// Creates a task that names `ids`, of which `known` are known in the same order.
fn depend(ids: Vec<TaskId>, known: &[Option<&TaskState>], by: &Principal) -> Result<Task, Refusal> {
    let new = NewTask {
        depends_on: ids,
        ..wish()
    };
    Task::create(task_id(100), &new, by, true, known, at(0))
}

#[test]
fn at_most_fifty_different_known_tasks_can_be_named() {
    let tasks: Vec<TaskState> = (0..51)
        .map(|n| TaskState {
            id: task_id(n),
            ..pending(&wish()).into_state()
        })
        .collect();
    let name = |count: usize| {
        let ids = tasks[..count].iter().map(|t| t.id).collect();
        let known: Vec<Option<&TaskState>> = tasks[..count].iter().map(Some).collect();
        depend(ids, &known, &human())
    };
    for count in [0, 1, 50] {
        let task = name(count).expect("up to fifty");
        assert_eq!(task.depends_on.len(), count);
    }
    assert_eq!(invalid_field(Invalid::Task, name(51)), Some("dependsOn"));

    let twice = depend(
        vec![task_id(1), task_id(2), task_id(1)],
        &[Some(&tasks[1]); 3],
        &human(),
    );
    assert_eq!(invalid_field(Invalid::Task, twice), Some("dependsOn"));
    let unknown = depend(
        vec![task_id(1), task_id(2)],
        &[Some(&tasks[1]), None],
        &human(),
    );
    assert_eq!(invalid_field(Invalid::Task, unknown), Some("dependsOn"));
    let unasked = depend(vec![task_id(1)], &[], &human());
    assert_eq!(invalid_field(Invalid::Task, unasked), Some("dependsOn"));
}

/// An agent's tasks depend on tasks of its desktop only; one elsewhere is answered like one that
/// does not exist.
#[test]
fn an_agent_depends_on_its_own_desktop_only() {
    let here = pending(&wish());
    let elsewhere = pending(&NewTask {
        desktop: desktop_id(ELSEWHERE),
        ..wish()
    });
    let ids = || vec![task_id(100)];
    assert!(depend(ids(), &[Some(&here)], &agent()).is_ok());
    assert!(depend(ids(), &[Some(&elsewhere)], &human()).is_ok());
    let foreign = depend(ids(), &[Some(&elsewhere)], &agent());
    assert_eq!(foreign, depend(ids(), &[None], &agent()));
    assert_eq!(invalid_field(Invalid::Task, foreign), Some("dependsOn"));
    let wrong_desktop = depend(vec![], &[], &stranger());
    assert_eq!(
        invalid_field(Invalid::Task, wrong_desktop),
        Some("desktopId")
    );
}
