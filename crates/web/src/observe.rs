//! Around every request: its id, its span, its line in the log, and the headers every answer has
//! (contract section 7, `docs/logging.md`).

use std::time::Instant;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _};
use store::sabotage::Mistake;
use tracing::Instrument as _;

use crate::call::Caller;
use crate::connections::UnderWay;
use crate::problem::Failure;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken from a request.
const LONGEST_ID: usize = 128;

/// What an answer has that does not say something else itself. Nothing but pages has anything to load, and
/// nothing is to be framed, kept, named to others, or drawn into a page of another site.
const HELD_BACK: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Observes one request.
pub(crate) async fn observe(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let under_way = UnderWay::begin(request.request());
    let id = request_id(&request);
    let method = request.method().clone();
    if Mistake::SecretInLog.made() {
        tracing::debug!(headers = ?request.headers(), "a request begins");
    }
    let span = tracing::info_span!("request", request_id = %id.to_str().unwrap_or_default());
    let result = next.call(request).instrument(span.clone()).await;
    let mut response = result?;
    complete(&mut response, id);
    span.in_scope(|| log(&response, &method, started));
    Ok(under_way.end_with(response))
}

/// The id the client sent, or a new one.
fn request_id(request: &ServiceRequest) -> HeaderValue {
    let given = request.headers().get(REQUEST_ID).filter(|id| {
        let visible = id.as_bytes().iter().all(u8::is_ascii_graphic);
        visible && (1..=LONGEST_ID).contains(&id.len())
    });
    given.cloned().unwrap_or_else(|| {
        let random = uuid::Uuid::now_v7().simple().to_string();
        HeaderValue::from_str(&random).unwrap_or_else(|_| HeaderValue::from_static("-"))
    })
}

/// Gives an answer the headers that all have, and a document to what actix refused by itself.
fn complete(response: &mut ServiceResponse<BoxBody>, id: HeaderValue) {
    let status = response.status();
    let is_bare = is_failure(status) && !response.headers().contains_key(CONTENT_TYPE);
    if is_bare {
        *response.response_mut() = Failure::of_status(status).response();
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in HELD_BACK {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

fn is_failure(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// One line and one count a request, when its head is sent: never a path, a query, a header or a body.
fn log(response: &ServiceResponse<BoxBody>, method: &actix_web::http::Method, started: Instant) {
    let status = response.status().as_u16();
    let route = response.request().match_pattern();
    let route = route.as_deref().unwrap_or("-");
    let principal = response
        .request()
        .extensions()
        .get::<Caller>()
        .map(|caller| caller.principal().to_string());
    let principal = principal.as_deref().unwrap_or("-");
    let elapsed = started.elapsed();
    crate::metrics::record(method, route, status, elapsed);
    let milliseconds = elapsed.as_secs_f64() * 1_000.0;
    if status >= 500 {
        tracing::warn!(%method, route, status, milliseconds, principal, "request failed");
    } else {
        tracing::info!(%method, route, status, milliseconds, principal, "request");
    }
}
