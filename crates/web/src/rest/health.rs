//! What anybody may ask (contract section 7): is the process up, does the database answer, what is
//! the API.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::Data;
use approval_core::AccountId;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::{Failure, Reply};
use crate::state::AppState;

/// How long an answer of the database counts: anybody may ask, however often.
const COUNTS: Duration = Duration::from_secs(1);
/// How long the database may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The state of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// When the database was last asked, and whether it answered.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, bool)>>);

impl Readiness {
    async fn is_ready(&self, state: &AppState) -> bool {
        let mut last = self.0.lock().await;
        if let Some((asked, answered)) = *last
            && asked.elapsed() < COUNTS
        {
            return answered;
        }
        let nobody = AccountId::from_uuid(Uuid::nil());
        let answer = state.store.read(move |reads| reads.heads(&[nobody]));
        let answered = matches!(timeout(PATIENCE, answer).await, Ok(Ok(_)));
        *last = Some((Instant::now(), answered));
        answered
    }
}

/// Whether the process is up.
#[utoipa::path(get, path = "/healthz", tag = "server", operation_id = "getLiveness",
    responses((status = 200, description = "It is", body = Health)))]
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(OK)
}

/// Whether the server can work: its database answers and it is not about to stop.
#[utoipa::path(get, path = "/readyz", tag = "server", operation_id = "getReadiness",
    responses((status = 200, description = "It can", body = Health)))]
pub(crate) async fn ready(state: Data<AppState>) -> Reply {
    if state.hub.is_stopping() {
        return Err(Failure::unavailable("the server is stopping"));
    }
    if state.readiness.is_ready(&state).await {
        Ok(HttpResponse::Ok().json(OK))
    } else {
        Err(Failure::unavailable("the database does not answer"))
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "server", operation_id = "getOpenApi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(crate) async fn openapi(state: Data<AppState>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(state.openapi())
}
