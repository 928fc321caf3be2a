//! Authorisation: on the matched route, before the body is read (contract section 0).

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest};
use approval_core::{ActorKind, Principal, Refusal};

use crate::call::Caller;
use crate::limits::Counted;
use crate::problem::{Failure, Reply};
use crate::routes::{Access, ROUTES, Route};
use crate::state::AppState;

/// Lets a request of `route` pass, with its [`Caller`], or answers it: 401, 429, 403.
pub(crate) async fn gate(
    route: &'static Route,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if let Err(failure) = admit(route, request.request()).await {
        return Ok(request.into_response(failure.response()));
    }
    let answered = next.call(request).await?;
    match count_lost_lease(route, &answered) {
        Ok(()) => Ok(answered),
        Err(failure) => Ok(answered.into_response(failure.response())),
    }
}

/// Only a valid lease token exempts a call from the limit (contract section 7); that it was none
/// is known afterwards.
fn count_lost_lease(route: &Route, answered: &ServiceResponse<BoxBody>) -> Result<(), Failure> {
    let request = answered.request();
    let leased = matches!(counted(route, request), Counted::Leased);
    let caller = request.extensions().get::<Caller>().cloned();
    match (AppState::of(request), caller) {
        (Some(state), Some(caller)) if leased && answered.status() == StatusCode::CONFLICT => {
            state.limits.count(caller.0.key, Counted::Request)
        }
        _ => Ok(()),
    }
}

async fn admit(route: &Route, request: &HttpRequest) -> Result<(), Failure> {
    if route.access == Access::Public {
        return Ok(());
    }
    let caller = authenticate(request, counted(route, request)).await?;
    route.access.check(&caller.0.principal)?;
    request.extensions_mut().insert(caller);
    Ok(())
}

async fn authenticate(request: &HttpRequest, counted: Counted) -> Result<Caller, Failure> {
    let state = AppState::of(request).ok_or_else(Failure::internal)?;
    let credential = state.auth.authenticate(request).await?;
    state.limits.count(credential.key, counted)?;
    Ok(Caller(credential))
}

fn counted(route: &Route, request: &HttpRequest) -> Counted {
    let leased = request.headers().contains_key("x-lease-token");
    match route.access {
        Access::Runner if leased => Counted::Leased,
        access if access.is_decision() => Counted::Decision,
        _ => Counted::Request,
    }
}

impl Access {
    /// # Errors
    /// 403, saying what is missing.
    pub(crate) fn check(self, principal: &Principal) -> Result<(), Failure> {
        let is_agent = principal.identity.kind == ActorKind::Agent;
        let forbidden = |detail: String| Err(Refusal::Forbidden(detail).into());
        match self {
            Self::Public => Ok(()),
            Self::AnyOf(any) if any.iter().any(|c| principal.capabilities.has(*c)) => Ok(()),
            Self::AnyOf(any) => {
                let names: Vec<_> = any.iter().map(|c| c.as_str()).collect();
                forbidden(format!("this needs {}", names.join(" or ")))
            }
            Self::Account(_) if is_agent => {
                forbidden("an agent key sees its desktop, not the whole account".to_owned())
            }
            Self::Capability(capability) | Self::Account(capability) => {
                Ok(principal.require(capability)?)
            }
            Self::Runner if is_agent => Ok(()),
            Self::Runner => forbidden("this needs the agent key of the desktop".to_owned()),
        }
    }
}

/// Answers a path that does not exist; without a credential nobody learns even that.
pub(crate) async fn unknown_path(request: HttpRequest) -> Reply {
    authenticate(&request, Counted::Request).await?;
    Err(Failure::not_found("path"))
}

/// Answers a path that exists with a method that it does not take.
pub(crate) async fn unknown_method(request: HttpRequest) -> Reply {
    let pattern = request.match_pattern().unwrap_or_default();
    let routes = || ROUTES.iter().filter(|route| route.path == pattern);
    if routes().all(|route| route.access != Access::Public) {
        authenticate(&request, Counted::Request).await?;
    }
    let allowed: Vec<_> = routes().map(|route| route.verb.allow()).collect();
    Err(Failure::method_not_allowed(&allowed.join(", ")))
}
