//! Signing in: by e-mail and password, or by a one-time link (contract section 6).
//!
//! The token of a link stands behind the `#` of its address, which no browser sends: it arrives
//! only in the form, after **Sign in** was pressed. So nothing that merely follows links uses it up.

use actix_web::http::StatusCode;
use actix_web::http::header::SET_COOKIE;
use actix_web::{HttpRequest, HttpResponse, web};
use contract::Code;
use zeroize::Zeroizing;

use super::fields::{Fields, Form};
use super::html;
use super::view::sign_in::{SignInError, SignInPage};
use crate::auth::{SessionText, origin_secret};
use crate::problem::{Failure, Reply};
use crate::state::AppState;

/// The form.
pub(crate) async fn form(request: HttpRequest, query: Fields) -> Reply {
    let error = query.is_on("ended").then_some(SignInError::Ended);
    html::ok(&request, &page(&query, error))
}

/// E-mail and password.
pub(crate) async fn by_password(
    request: HttpRequest,
    state: web::Data<AppState>,
    form: Form,
) -> Reply {
    let origin = origin_secret::chosen(form.fields.text(origin_secret::FIELD))?;
    let email = form.fields.owned("email").trim().to_lowercase();
    let password = Zeroizing::new(form.fields.owned("password"));
    let signed_in = state
        .auth
        .sign_in_by_password(&request, email, password, origin);
    let signed_in = signed_in.await;
    answer(
        &request,
        &state,
        &form.fields,
        SignInError::Password,
        signed_in,
    )
}

/// A one-time link, or the token in it.
pub(crate) async fn by_link(request: HttpRequest, state: web::Data<AppState>, form: Form) -> Reply {
    let origin = origin_secret::chosen(form.fields.text(origin_secret::FIELD))?;
    let given = form.fields.owned("token");
    // people paste the whole link
    let token = given.rsplit('#').next().unwrap_or_default().trim();
    let signed_in = state.auth.sign_in_by_link(&request, token, origin).await;
    answer(&request, &state, &form.fields, SignInError::Link, signed_in)
}

fn answer(
    request: &HttpRequest,
    state: &AppState,
    fields: &Fields,
    wrong: SignInError,
    signed_in: Result<SessionText, Failure>,
) -> Reply {
    let error = match signed_in {
        Ok(text) => return Ok(welcome(request, state, fields, &text)),
        Err(failure) => match failure.code() {
            Some(Code::Unauthenticated) => wrong,
            Some(Code::RateLimited) => {
                let mut response = html::with_status(
                    request,
                    StatusCode::TOO_MANY_REQUESTS,
                    &page(fields, Some(SignInError::Slow)),
                )?;
                failure.copy_retry_after(response.headers_mut());
                return Ok(response);
            }
            _ => return Err(failure),
        },
    };
    html::with_status(
        request,
        StatusCode::UNAUTHORIZED,
        &page(fields, Some(error)),
    )
}

fn welcome(
    request: &HttpRequest,
    state: &AppState,
    fields: &Fields,
    text: &SessionText,
) -> HttpResponse {
    let mut response = html::redirect(request, &next(fields));
    let cookie = text.set_cookie(state.auth.site().is_secure());
    if let Ok(cookie) = cookie.parse() {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

fn page(fields: &Fields, error: Option<SignInError>) -> SignInPage {
    SignInPage {
        next: next(fields),
        email: fields.owned("email"),
        error,
    }
}

/// Where to go afterwards: a page of ours, whatever the address says.
fn next(fields: &Fields) -> String {
    let next = fields.text("next").unwrap_or("/board");
    let is_ours = next.starts_with('/')
        && !next.starts_with("//")
        && next
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_ours { next } else { "/board" }.to_owned()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn nobody_is_led_elsewhere_after_signing_in() {
        let next_of =
            |query: &str| next(&Fields::of(&TestRequest::with_uri(query).to_http_request()));
        assert_eq!(
            next_of("/sign-in?next=%2Ftasks%2Ftask_1%3Ftab%3Dlogs"),
            "/tasks/task_1?tab=logs"
        );
        for elsewhere in [
            "//evil.example",
            "https://evil.example",
            "/%5Cevil.example",
            "/%09/evil.example",
            "",
        ] {
            assert_eq!(
                next_of(&format!("/sign-in?next={elsewhere}")),
                "/board",
                "{elsewhere}"
            );
        }
    }
}
