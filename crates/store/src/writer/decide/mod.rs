//! Decide: one command after the other, in memory, by the rules of `approval-core`.
//!
//! A refused command leaves the world as it was: every function asks the rules first and changes
//! the world only when nothing can be refused any more.

mod attempts;
mod cascade;
mod desktops;
mod ids;
mod keys;
mod prunings;
mod reviews;
mod sessions;
mod settings;
mod sweeps;
mod tasks;

use approval_core::{PrincipalId, Refusal, TaskId};

use super::world::{AnswerKey, Bulk, NewAnswer, TaskEntry, World};
use crate::command::{Answered, Command, Request, SubmitError};
use crate::sabotage::Mistake;
use crate::views::Answer;

/// What became of a command.
pub(super) enum Step<'a> {
    /// It is answered.
    Answered(Answered),
    /// The bytes of this task go, as many as fit into the batch; counted when they are gone.
    Prune { task: TaskId, is_first: bool },
    /// Its lease is good; its rows are written after the decisions.
    Bulk(Bulk<'a>),
}

/// Decides one command of a batch.
pub(super) fn decide<'a>(world: &mut World, request: &'a Request) -> Result<Step<'a>, SubmitError> {
    if !world.accounts.contains_key(&request.account) {
        return Err(Refusal::NotFound("account").into());
    }
    check_credential(world, request)?;
    if let Some(answered) = earlier_answer(world, request)? {
        return Ok(Step::Answered(answered));
    }
    let answer = match &request.command {
        Command::CreateTask(new) => tasks::create(world, request, new)?,
        Command::RunTask(id) => tasks::run(world, request, *id)?,
        Command::CancelTask(id) => tasks::cancel(world, request, *id)?,
        Command::RetryTask { task, changes } => tasks::retry(world, request, *task, changes)?,
        Command::Decide {
            target,
            request: decision,
        } => reviews::decide(world, request, *target, decision)?,
        Command::ChangeSettings {
            task_approval_mode,
            require_evidence,
        } => settings::change(world, request, *task_approval_mode, *require_evidence)?,
        Command::CreateDesktop { name } => desktops::create(world, request, name)?,
        Command::DeleteDesktop(id) => desktops::delete(world, request, *id)?,
        Command::SeeDesktop(id) => desktops::see(world, request, *id)?,
        Command::CreateKey {
            request: wish,
            digest,
        } => keys::create(world, request, wish, digest)?,
        Command::RevokeKey(id) => keys::revoke(world, request, *id)?,
        Command::TouchKeys(ids) => keys::touch(world, request, ids),
        Command::CreateUser {
            email,
            password_hash,
        } => keys::create_user(world, request, email, password_hash.as_deref())?,
        Command::OpenSession {
            user,
            by,
            digest,
            origin,
            agent,
        } => {
            let browser = sessions::Browser {
                cookie: *digest,
                origin: *origin,
                agent,
            };
            sessions::open(world, request, *user, by, &browser)?
        }
        Command::EndSessions(which) => sessions::end(world, request, *which)?,
        Command::SetPassword { hash } => sessions::set_password(world, request, hash)?,
        Command::CreateSignInLink { user, digest } => {
            sessions::create_link(world, request, *user, *digest)?
        }
        Command::TouchSessions(ids) => sessions::touch(world, request, ids),
        Command::Claim { desktop, token } => attempts::claim(world, request, *desktop, *token)?,
        Command::Heartbeat(lease) => attempts::heartbeat(world, request, *lease)?,
        Command::AppendLogs { lease, entries } => {
            attempts::admit_upload(world, request, *lease)?;
            return Ok(Step::Bulk(Bulk::Logs {
                lease: *lease,
                entries,
            }));
        }
        Command::AddFiles { lease, files } => {
            attempts::admit_upload(world, request, *lease)?;
            return Ok(Step::Bulk(Bulk::Files {
                lease: *lease,
                files,
            }));
        }
        Command::Complete {
            lease,
            report,
            output,
            log_entries,
            prepared,
        } => {
            let ending = attempts::Ending {
                lease: *lease,
                report,
                output: output.as_deref(),
                log_entries: *log_entries,
                prepared,
            };
            attempts::complete(world, request, &ending)?
        }
        Command::Prune { task, older_than } => {
            return prunings::prune(world, request, *task, *older_than);
        }
        Command::Sweep(sweep) => sweeps::sweep(world, request.account, *sweep)?,
    };
    keep_answer(world, request, &answer);
    Ok(Step::Answered(Answered {
        answer,
        replayed: false,
    }))
}

/// A revoked key, an ended session, or one without the secret of its origin commits nothing,
/// whatever a cache said before (contract section 6).
fn check_credential(world: &World, request: &Request) -> Result<(), SubmitError> {
    if let Some(session) = request.session {
        return sessions::check(world, request, session);
    }
    let PrincipalId::Key(id) = request.principal.identity.id else {
        return Ok(());
    };
    match world.keys.get(&id) {
        Some(key) if key.account == request.account && key.revoked_at.is_none() => Ok(()),
        _ => Err(SubmitError::Revoked),
    }
}

fn answer_key(request: &Request) -> Option<AnswerKey> {
    let idempotency = request.idempotency?;
    Some((
        request.account,
        request.principal.identity.id,
        idempotency.scope,
    ))
}

/// What was answered to an earlier request with the same key (contract section 7).
fn earlier_answer(world: &World, request: &Request) -> Result<Option<Answered>, SubmitError> {
    let (Some(key), Some(idempotency)) = (answer_key(request), request.idempotency) else {
        return Ok(None);
    };
    if world.begun.contains(&key) {
        return Err(SubmitError::InProgress);
    }
    match world.answers.get(&key) {
        None => Ok(None),
        Some(stored) if stored.body != idempotency.body => Err(SubmitError::IdempotencyMismatch),
        Some(stored) => {
            let task = stored.answer.task_shown().and_then(|id| id.parse().ok());
            let content = task.and_then(|id| world.contents.get(&id)).cloned();
            let answer = stored
                .answer
                .clone()
                .with_content(content.unwrap_or_default());
            Ok(Some(Answered {
                answer,
                replayed: true,
            }))
        }
    }
}

/// Keeps the answer to a request with a key.
pub(super) fn keep_answer(world: &mut World, request: &Request, answer: &Answer) {
    let (Some(key), Some(idempotency)) = (answer_key(request), request.idempotency) else {
        return;
    };
    if Mistake::AnswersForgotten.made() {
        return;
    }
    if let (Answer::Claim(_) | Answer::Session(_) | Answer::Pruned(_), _) | (_, Err(_)) =
        (answer, serde_json::to_string(answer))
    {
        return;
    }
    let json = serde_json::to_string(answer).unwrap_or_default();
    world.begun.insert(key);
    world.new_answers.push(NewAnswer {
        key,
        body: idempotency.body,
        json,
    });
}

/// A task in the caller's world. An agent's is its desktop and the direct dependencies of the
/// tasks there (contract section 6); everything else does not exist for it.
fn visible_task(world: &World, request: &Request, id: TaskId) -> Result<TaskEntry, Refusal> {
    let entry = world.task(request.account, id)?;
    let Some(own) = request.principal.confined_to() else {
        return Ok(entry);
    };
    let dependents = world
        .dependents
        .get(&entry.task.lineage)
        .into_iter()
        .flatten();
    let is_dependency = || {
        dependents
            .filter_map(|d| world.tasks.get(d))
            .any(|d| d.task.desktop == own)
    };
    if entry.task.desktop == own || is_dependency() {
        Ok(entry)
    } else {
        Err(Refusal::NotFound("task"))
    }
}
