//! Desktops (contract section 5).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use approval_core::DesktopId;
use contract::{CreateDesktop, Desktop};
use store::Command;

use super::{ListQuery, PAGE_LENGTH, PAGE_LENGTHS, Repeatable};
use crate::call::Call;
use crate::page;
use crate::problem::{Failure, Reply};
use crate::render;
use crate::request::{Body, Id, Query, in_range};

/// Desktops, oldest first.
#[utoipa::path(get, path = "/api/desktops", tag = "desktops", operation_id = "listDesktops",
    params(ListQuery), responses((status = 200, description = "A page of desktops", body = [Desktop])))]
pub(crate) async fn list(call: Call, query: Query<ListQuery>) -> Reply {
    let limit = in_range("limit", query.0.limit, PAGE_LENGTHS, PAGE_LENGTH)?;
    let after = page::cursor(query.0.cursor.as_deref())?;
    let account = call.account();
    let page = call
        .read(move |reads| reads.desktops(account, limit, after))
        .await?;
    Ok(page::answer(&call.request, &page, render::desktop))
}

/// A desktop.
#[utoipa::path(get, path = "/api/desktops/{id}", tag = "desktops", operation_id = "getDesktop",
    params(("id" = String, Path)), responses((status = 200, description = "The desktop", body = Desktop)))]
pub(crate) async fn get(call: Call, id: Id<DesktopId>) -> Reply {
    let (account, id) = (call.account(), id.0);
    let desktop = call.read(move |reads| reads.desktop(account, id)).await?;
    let desktop = desktop.ok_or_else(|| Failure::not_found("desktop"))?;
    Ok(HttpResponse::Ok().json(render::desktop(&desktop)))
}

/// Adds a desktop.
#[utoipa::path(post, path = "/api/desktops", tag = "desktops", operation_id = "createDesktop",
    params(Repeatable), request_body = CreateDesktop,
    responses((status = 201, description = "The desktop; `Location` is its path", body = Desktop)))]
pub(crate) async fn create(call: Call, body: Body<CreateDesktop>) -> Reply {
    let command = Command::CreateDesktop {
        name: body.value.name,
    };
    let answered = call.submit(command, body.idempotency).await?;
    call.answer(StatusCode::CREATED, &answered)
}

/// Removes a desktop: its keys are revoked, its running tasks fail, its pending ones are cancelled;
/// those in review stay.
#[utoipa::path(delete, path = "/api/desktops/{id}", tag = "desktops", operation_id = "deleteDesktop",
    params(("id" = String, Path)), responses((status = 204, description = "It is removed")))]
pub(crate) async fn delete(call: Call, id: Id<DesktopId>) -> Reply {
    let answered = call.submit(Command::DeleteDesktop(id.0), None).await?;
    call.answer(StatusCode::NO_CONTENT, &answered)
}
