//! The way in: the first page, and the files that all pages need.

use actix_web::http::header::{CACHE_CONTROL, ETAG};
use actix_web::{HttpRequest, HttpResponse, web};

use super::html;
use crate::assets;
use crate::call::Call;
use crate::problem::{Failure, Reply};

/// To the board.
pub(crate) async fn home(call: Call) -> HttpResponse {
    html::redirect(&call.request, "/board")
}

/// A style sheet, a script, a picture. The address carries a digest of the content, so a browser
/// never needs to ask again.
pub(crate) async fn asset(_: HttpRequest, name: web::Path<String>) -> Reply {
    let asset = assets::find(&name).ok_or_else(|| Failure::not_found("file"))?;
    Ok(HttpResponse::Ok()
        .content_type(asset.content_type)
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((ETAG, asset.etag))
        .body(asset.bytes))
}
