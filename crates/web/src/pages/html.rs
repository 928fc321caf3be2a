//! From a template to an answer: headers that hold the browser to our own files, redirects, and
//! refusals as pages.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, LOCATION, REFERRER_POLICY, SET_COOKIE, X_FRAME_OPTIONS,
};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, HttpResponseBuilder};
use askama::Template;
use contract::Code;

use super::view::error::{BareErrorPage, ErrorDialog, Problem};
use crate::auth::SessionText;
use crate::call::Caller;
use crate::problem::{Failure, Reply};
use crate::state::AppState;

/// Only files of ours, no inline script or style, no frames around us, and HTML into a page only
/// through the one policy of `app.js`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types htmx";
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// Where the script goes after a form in a dialog.
const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

/// Whether the script asks, for a part of a page.
pub(super) fn wants_part(request: &HttpRequest) -> bool {
    request.headers().contains_key("hx-request")
}

/// A page, or a part of one.
pub(super) fn ok(request: &HttpRequest, template: &impl Template) -> Reply {
    with_status(request, StatusCode::OK, template)
}

/// The same for a form that is shown again.
pub(super) fn with_status(
    request: &HttpRequest,
    status: StatusCode,
    template: &impl Template,
) -> Reply {
    let text = template.render().map_err(|error| {
        tracing::error!(%error, "a page could not be rendered");
        Failure::internal()
    })?;
    let mut response = builder(status);
    if let Some(cookie) = kept_session(request) {
        response.insert_header((SET_COOKIE, cookie));
    }
    Ok(response.body(text))
}

fn builder(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((REFERRER_POLICY, "same-origin"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((OPENER_POLICY, "same-origin"))
        .insert_header((RESOURCE_POLICY, "same-origin"));
    response
}

/// Whoever opens a page stays signed in for another 30 days: the browser keeps its cookie as long
/// as the store keeps the session.
fn kept_session(request: &HttpRequest) -> Option<String> {
    request.extensions().get::<Caller>()?;
    let state = AppState::of(request)?;
    let is_secure = state.auth.site().is_secure();
    let text = SessionText::presented(request.headers(), is_secure)?;
    Some(text.set_cookie(is_secure))
}

/// Leads on after a change: the browser by a redirect, the script by a header.
pub(super) fn redirect(request: &HttpRequest, to: &str) -> HttpResponse {
    if wants_part(request) {
        return HttpResponse::NoContent()
            .insert_header((HX_REDIRECT, to))
            .finish();
    }
    HttpResponse::SeeOther()
        .insert_header((LOCATION, to))
        .finish()
}

/// A refusal for a person: to the sign-in page, or a page that says what is wrong.
pub(crate) fn refusal(request: &HttpRequest, failure: &Failure) -> HttpResponse {
    if failure.code() == Some(Code::Unauthenticated) {
        return redirect(request, &sign_in_address(request));
    }
    let problem = problem(failure);
    let rendered = if wants_part(request) {
        ErrorDialog { problem }.render()
    } else {
        BareErrorPage { problem }.render()
    };
    let mut response = builder(failure.status());
    failure.add_headers(&mut response);
    response.body(rendered.unwrap_or_default())
}

/// Back to this page after signing in; a part or a form has no address to come back to.
fn sign_in_address(request: &HttpRequest) -> String {
    let is_page = request.method().is_safe() && !wants_part(request) && request.path() != "/";
    if is_page {
        let here = request
            .uri()
            .path_and_query()
            .map_or("/", actix_web::http::uri::PathAndQuery::as_str);
        let next: String = form_urlencoded::byte_serialize(here.as_bytes()).collect();
        format!("/sign-in?next={next}")
    } else {
        "/sign-in".to_owned()
    }
}

/// What went wrong, in words for people.
fn problem(failure: &Failure) -> Problem {
    if failure.asks_to_sign_in() {
        return sign_in_again(failure);
    }
    let code = failure.code();
    let title = match code {
        Some(Code::NotFound) => "There is nothing here",
        Some(Code::Forbidden | Code::CrossSite) => "This is not allowed",
        Some(Code::Unavailable) => "The server cannot answer right now",
        Some(Code::RateLimited) => "Too much at once",
        Some(Code::Internal) | None => "Something went wrong in the server",
        Some(code) => code.title(),
    };
    let advice = match code {
        Some(Code::NotFound) => "It does not exist, was removed, or belongs to another account.",
        Some(Code::Unavailable) => "Nothing is lost. Try again in a moment.",
        Some(code) => code.advice(),
        None => "",
    };
    Problem {
        status: failure.status().as_u16(),
        title: title.to_owned(),
        detail: format!("{}. {advice}", capitalised(failure.detail())),
        link: Some(("/board".to_owned(), "Go to the board".to_owned())),
    }
}

/// The browser lost what it kept of its session, or this is not the browser of the session.
fn sign_in_again(failure: &Failure) -> Problem {
    Problem {
        status: failure.status().as_u16(),
        title: "Sign in again in this browser".to_owned(),
        detail:
            "Nothing was changed. Changes need a secret that this browser kept when you signed \
                 in, and it is not there any more: its storage was cleared, or you signed in \
                 elsewhere, such as at another port of this host. What you wrote in notes is kept."
                .to_owned(),
        link: Some(("/sign-in".to_owned(), "Sign in again".to_owned())),
    }
}

/// A detail as the beginning of a sentence.
pub(super) fn capitalised(detail: &str) -> String {
    let mut characters = detail.trim_end_matches('.').chars();
    let first = characters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn leads_to(request: TestRequest) -> String {
        let response = refusal(&request.to_http_request(), &Failure::unauthenticated());
        let location = response
            .headers()
            .get(LOCATION)
            .or(response.headers().get(HX_REDIRECT));
        location
            .expect("a redirect")
            .to_str()
            .expect("text")
            .to_owned()
    }

    #[test]
    fn a_page_comes_back_after_signing_in_and_a_form_does_not() {
        let page = TestRequest::with_uri("/tasks/task_1?tab=logs");
        assert_eq!(
            leads_to(page),
            "/sign-in?next=%2Ftasks%2Ftask_1%3Ftab%3Dlogs"
        );
        let part = TestRequest::with_uri("/board/columns").insert_header(("hx-request", "true"));
        assert_eq!(leads_to(part), "/sign-in");
        let form = TestRequest::with_uri("/tasks/new").method(actix_web::http::Method::POST);
        assert_eq!(leads_to(form), "/sign-in");
    }

    #[test]
    fn a_refusal_keeps_its_status_and_says_what_to_do() {
        let request = TestRequest::with_uri("/tasks/nothing").to_http_request();
        let response = refusal(&request, &Failure::not_found("task"));
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let policy = response.headers().get(CONTENT_SECURITY_POLICY);
        assert!(policy.is_some_and(|policy| !policy.as_bytes().windows(6).any(|w| w == b"unsafe")));
    }
}
