//! `/settings/account`: a person's password and sessions.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::SET_COOKIE;
use approval_core::SessionId;
use store::{Command, EndSessions, Idempotency, LoginView, SessionView};
use zeroize::Zeroizing;

use super::fields::{Form, new_key};
use super::frame::{Live, frame};
use super::html;
use super::translate::when;
use super::view::Nav;
use super::view::account::{AccountPage, PasswordError, Session};
use crate::auth::removal;
use crate::call::Call;
use crate::clock;
use crate::problem::{Failure, Reply};
use crate::request::Id;
use crate::show;

/// Password and sessions.
pub(crate) async fn page(call: Call) -> Reply {
    html::ok(&call.request, &account_page(&call, None).await?)
}

/// Sets or changes the password; every other session of the person ends.
pub(crate) async fn set_password(call: Call, form: Form) -> Reply {
    let current = Zeroizing::new(form.fields.owned("current"));
    let password = Zeroizing::new(form.fields.owned("password"));
    let stored = login(&call).await?.password_hash;
    let auth = &call.state.auth;
    if let Some(stored) = stored
        && !auth.knows_password(&call.request, current, stored).await?
    {
        return refused(&call, PasswordError::Current).await;
    }
    let hash = match auth.hash_password(password).await? {
        Ok(hash) => hash,
        Err(error) => return refused(&call, PasswordError::New(error.to_string())).await,
    };
    call.submit(Command::SetPassword { hash }, None).await?;
    Ok(html::redirect(
        &call.request,
        "/settings/account?done=password",
    ))
}

/// Ends one session of the person.
pub(crate) async fn end_session(call: Call, id: Id<SessionId>, form: Form) -> Reply {
    end(&call, EndSessions::One(id.0), form.idempotency).await?;
    Ok(html::redirect(
        &call.request,
        "/settings/account?done=ended",
    ))
}

/// Ends this session.
pub(crate) async fn sign_out(call: Call) -> Reply {
    if let Some(session) = call.session() {
        end(&call, EndSessions::One(session), None).await?;
    }
    Ok(farewell(&call))
}

/// Ends every session of the person, everywhere.
pub(crate) async fn sign_out_everywhere(call: Call) -> Reply {
    end(&call, EndSessions::All, None).await?;
    Ok(farewell(&call))
}

async fn end(
    call: &Call,
    which: EndSessions,
    idempotency: Option<Idempotency>,
) -> Result<(), Failure> {
    let command = Command::EndSessions(which);
    call.submit(command, idempotency).await?;
    Ok(())
}

fn farewell(call: &Call) -> HttpResponse {
    let mut response = html::redirect(&call.request, "/sign-in");
    if let Ok(cookie) = removal(call.state.auth.site().is_secure()).parse() {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

async fn refused(call: &Call, error: PasswordError) -> Reply {
    let page = account_page(call, Some(error)).await?;
    html::with_status(&call.request, StatusCode::UNPROCESSABLE_ENTITY, &page)
}

async fn account_page(
    call: &Call,
    password_error: Option<PasswordError>,
) -> Result<AccountPage, Failure> {
    let (account, user) = (call.account(), call.person()?);
    let sessions = call
        .read(move |reads| reads.sessions(account, user))
        .await?;
    Ok(AccountPage {
        frame: frame(call, "Account", Nav::Account, Live::Account).await?,
        has_password: login(call).await?.password_hash.is_some(),
        password_error,
        sessions: sessions.iter().map(|view| session(call, view)).collect(),
    })
}

async fn login(call: &Call) -> Result<LoginView, Failure> {
    let (account, user) = (call.account(), call.person()?);
    let login = call.read(move |reads| reads.user(account, user)).await?;
    login.ok_or_else(|| Failure::not_found("person"))
}

fn session(call: &Call, view: &SessionView) -> Session {
    let now = clock::now();
    Session {
        id: view.id.to_string(),
        idempotency_key: new_key(),
        agent: show::line(&view.agent),
        is_bound: view.is_bound,
        created: when(view.created_at, now),
        last_seen: when(view.last_seen_at, now),
        is_current: call.session() == Some(view.id),
    }
}
