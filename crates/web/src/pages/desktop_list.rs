//! `/desktops`: what runs where; adding one, with the one command that starts its runner.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use approval_core::{Capability, DesktopId, KeyKind, KeyRequest, TaskId};
use contract::Code;
use store::{Answer, Command, DesktopView, KeyText};

use super::fields::{Form, new_key};
use super::frame::{Live, can, frame};
use super::html::{self, capitalised};
use super::steps::question;
use super::translate::{desktop_state, task_address, when};
use super::view::confirm::Confirm;
use super::view::desktops::{Desktop, DesktopAdded, Desktops, DesktopsList, DesktopsPage};
use super::view::words::count;
use super::view::{Nav, Status, TaskLink};
use crate::call::{Call, unexpected_answer};
use crate::clock;
use crate::problem::{Failure, Reply};
use crate::request::Id;
use crate::show;

const ADDRESS: &str = "/desktops";
/// Most desktops of the page.
const MOST: i64 = 200;

/// The list.
pub(crate) async fn page(call: Call) -> Reply {
    show_page(&call, StatusCode::OK, String::new(), None).await
}

/// The list alone, for the page that keeps itself current.
pub(crate) async fn list(call: Call) -> Reply {
    let desktops = desktops(&call).await?;
    html::ok(&call.request, &DesktopsList { desktops })
}

async fn show_page(call: &Call, status: StatusCode, name: String, error: Option<String>) -> Reply {
    let page = DesktopsPage {
        frame: frame(call, "Desktops", Nav::Desktops, Live::Account).await?,
        desktops: desktops(call).await?,
        idempotency_key: new_key(),
        name,
        error,
    };
    html::with_status(&call.request, status, &page)
}

async fn desktops(call: &Call) -> Result<Desktops, Failure> {
    let account = call.account();
    let (views, titles) = call
        .read(move |reads| {
            let page = reads.desktops(account, MOST, None)?;
            let running: Vec<TaskId> = page
                .items
                .iter()
                .flat_map(|d| d.running_tasks.iter().copied())
                .collect();
            let titles = reads.titles(account, &running)?;
            Ok((page.items, titles))
        })
        .await?;
    Ok(Desktops {
        live: format!("{ADDRESS}/list"),
        items: views.iter().map(|view| desktop(view, &titles)).collect(),
        unconfined: call.state.unconfined,
        can_change: can(call).desktops,
    })
}

fn desktop(view: &DesktopView, titles: &HashMap<TaskId, String>) -> Desktop {
    let now = clock::now();
    let link = |task: &TaskId| TaskLink {
        href: task_address(*task),
        title: show::line(titles.get(task).map_or("a task", String::as_str)),
        status: Status::Running,
    };
    Desktop {
        id: view.id.to_string(),
        name: show::line(&view.name),
        state: desktop_state(view.running, false),
        last_seen: view.last_seen_at.map(|at| when(at, now)),
        runs: view.running_tasks.iter().map(link).collect(),
    }
}

/// Adds a desktop and the key of its runner, and shows the key this once.
pub(crate) async fn add(call: Call, form: Form) -> Reply {
    // before anything is made: a desktop without its key would be of no use
    call.principal().require(Capability::KeysWrite)?;
    let name = form.fields.owned("name").trim().to_owned();
    let command = Command::CreateDesktop { name: name.clone() };
    let desktop = match call.submit(command, form.idempotency).await {
        Ok(answered) => match answered.answer {
            Answer::Desktop(desktop) => desktop,
            _ => return Err(unexpected_answer()),
        },
        Err(failure) if failure.code() == Some(Code::InvalidDesktop) => {
            let error = format!("{}.", capitalised(failure.detail()));
            return show_page(&call, failure.status(), name, Some(error)).await;
        }
        Err(failure) => return Err(failure),
    };
    let text = KeyText::generate(KeyKind::Agent).map_err(|error| {
        tracing::error!(%error, "the system has no random numbers");
        Failure::internal()
    })?;
    let command = Command::CreateKey {
        request: KeyRequest {
            name: format!("runner of {}", desktop.name),
            kind: KeyKind::Agent,
            capabilities: None,
            desktop: Some(desktop.id),
        },
        digest: text.digest(),
    };
    let answered = call.submit(command, form.second(&call.request)).await?;
    if answered.replayed {
        // the key was shown to the first of two presses
        return Ok(html::redirect(&call.request, ADDRESS));
    }
    let server = call.state.auth.site().address(call.request.headers());
    let page = DesktopAdded {
        frame: frame(&call, "Desktop added", Nav::Desktops, Live::Account).await?,
        name: show::line(&desktop.name),
        command: format!(
            "DESKTOP_API_KEY={} desktop --server {server} --desktop {}",
            text.reveal(),
            desktop.id
        ),
        key: text.reveal().to_owned(),
    };
    html::with_status(&call.request, StatusCode::CREATED, &page)
}

/// Asks before a desktop is removed.
pub(crate) async fn confirm_removal(call: Call, id: Id<DesktopId>) -> Reply {
    let (account, id) = (call.account(), id.0);
    let view = call.read(move |reads| reads.desktop(account, id)).await?;
    let view = view.ok_or_else(|| Failure::not_found("desktop"))?;
    question(&call, StatusCode::OK, removal(&view)).await
}

/// Removes a desktop.
pub(crate) async fn remove(call: Call, id: Id<DesktopId>, form: Form) -> Reply {
    call.submit(Command::DeleteDesktop(id.0), form.idempotency)
        .await?;
    Ok(html::redirect(
        &call.request,
        &format!("{ADDRESS}?done=removed"),
    ))
}

fn removal(view: &DesktopView) -> Confirm {
    let running = count(view.running_tasks.len(), "task", "tasks");
    Confirm {
        question: "Remove this desktop?",
        subject: show::line(&view.name),
        consequences: vec![
            format!("What it runs now ends as failed: {running}."),
            "Pending tasks of it are cancelled. Those in Review stay and can still be decided."
                .to_owned(),
            "Its API keys are revoked.".to_owned(),
        ],
        button: "Remove desktop",
        idempotency_key: new_key(),
        action: format!("{ADDRESS}/{}/remove", view.id),
        back: ADDRESS.to_owned(),
        error: None,
    }
}
