//! The settings of an account (contract section 3).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use contract::{PatchSettings, Settings};
use store::Command;

use super::Repeatable;
use crate::call::Call;
use crate::problem::Reply;
use crate::render;
use crate::request::Body;

/// The settings.
#[utoipa::path(get, path = "/api/mission-control/settings", tag = "settings", operation_id = "getSettings",
    responses((status = 200, description = "The settings", body = Settings)))]
pub(crate) async fn get(call: Call) -> Reply {
    let account = call.account();
    let settings = call.read(move |reads| reads.settings(account)).await?;
    Ok(HttpResponse::Ok().json(render::settings(settings)))
}

/// Changes settings; what is absent stays. Answered with 200, it holds for every later claim and
/// completion.
#[utoipa::path(patch, path = "/api/mission-control/settings", tag = "settings", operation_id = "changeSettings",
    params(Repeatable), request_body = PatchSettings,
    responses((status = 200, description = "The settings", body = Settings)))]
pub(crate) async fn change(call: Call, body: Body<PatchSettings>) -> Reply {
    let command = Command::ChangeSettings {
        task_approval_mode: body.value.task_approval_mode,
        require_evidence: body.value.require_evidence,
    };
    let answered = call.submit(command, body.idempotency).await?;
    call.answer(StatusCode::OK, &answered)
}
