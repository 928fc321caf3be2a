//! The state of an account in a few figures (contract section 3).

use actix_web::HttpResponse;
use contract::Dashboard;

use crate::call::Call;
use crate::problem::Reply;
use crate::render;

/// The figures.
#[utoipa::path(get, path = "/api/mission-control/dashboard", tag = "settings", operation_id = "getDashboard",
    responses((status = 200, description = "The figures", body = Dashboard)))]
pub(crate) async fn get(call: Call) -> Reply {
    let account = call.account();
    let (figures, now) = call
        .read(move |reads| Ok((reads.dashboard(account)?, reads.now()?)))
        .await?;
    Ok(HttpResponse::Ok().json(render::dashboard(&figures, now)))
}
