//! Authorisation: on the matched route, before the body is read (contract section 0).

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::ACCEPT;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse};
use approval_core::{ActorKind, Capability, Digest, Principal, PrincipalId, Refusal};
use store::Credential;
use store::sabotage::Mistake;

use crate::auth::origin_secret;
use crate::call::Caller;
use crate::large::announced;
use crate::limits::Counted;
use crate::pages;
use crate::problem::{Failure, Reply};
use crate::routes::{Access, PAGES, ROUTES, Route, Surface};
use crate::state::AppState;

/// Lets a request of `route` pass, with its [`Caller`], or answers it: 401, 429, 403.
pub(crate) async fn gate(
    route: &'static Route,
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if let Err(failure) = admit(route, &mut request).await {
        let refusal = route.surface.refusal(request.request(), &failure);
        return Ok(request.into_response(refusal));
    }
    let answered = next.call(request).await?;
    match count_refused_lease(route, &answered) {
        Ok(()) => Ok(route.surface.shown(answered)),
        Err(failure) => Ok(answered.into_response(failure.response())),
    }
}

impl Surface {
    /// Pages show the whole account: they are for whoever may read it, and never for agents.
    fn check(self, principal: &Principal) -> Result<(), Failure> {
        match self {
            Self::Rest => Ok(()),
            Self::Page => Access::Account(Capability::TasksRead).check(principal),
        }
    }

    /// A refusal for a program, or for a person.
    fn refusal(self, request: &HttpRequest, failure: &Failure) -> HttpResponse {
        match self {
            Self::Page if is_for_people(request) => pages::refusal(request, failure),
            Self::Rest | Self::Page => failure.response(),
        }
    }

    /// What a handler answered; its failure becomes a page where a person asked.
    fn shown(self, answered: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        let error = answered.response().error();
        let failure = error.and_then(|error| error.as_error::<Failure>()).cloned();
        match failure {
            Some(failure) if self == Self::Page => {
                let page = self.refusal(answered.request(), &failure);
                answered.into_response(page)
            }
            _ => answered,
        }
    }
}

/// Only a valid lease token exempts a call from the limit (contract section 7); that it was none
/// is known afterwards. Whatever else is wrong with a call is refused before its lease is looked at.
fn count_refused_lease(route: &Route, answered: &ServiceResponse<BoxBody>) -> Result<(), Failure> {
    let request = answered.request();
    let leased = matches!(counted(route, request), Counted::Leased { .. });
    let caller = request.extensions().get::<Caller>().cloned();
    match (AppState::of(request), caller) {
        (Some(state), Some(caller)) if leased && answered.status().is_client_error() => {
            state.limits.count(caller.principal(), Counted::Request)
        }
        _ => Ok(()),
    }
}

async fn admit(route: &Route, request: &mut ServiceRequest) -> Result<(), Failure> {
    if route.access == Access::Public {
        return Ok(());
    }
    let counted = counted(route, request.request());
    let mut caller = authenticate(request.request(), counted).await?;
    route.surface.check(&caller.credential.principal)?;
    route.access.check(&caller.credential.principal)?;
    caller.origin = shown_origin(route, request, &caller.credential).await?;
    request.extensions_mut().insert(caller);
    Ok(())
}

/// What is kept of the origin's secret that came along with a change by a session that is bound.
///
/// # Errors
/// 403 `cross-site` without it: whoever has only the cookie may look, and change nothing.
async fn shown_origin(
    route: &Route,
    request: &mut ServiceRequest,
    credential: &Credential,
) -> Result<Option<Digest>, Failure> {
    if request.method().is_safe() || credential.origin.is_none() {
        return Ok(None);
    }
    let in_header = origin_secret::in_header(request.headers());
    let shown = match route.surface {
        Surface::Page if in_header.is_none() => origin_secret::taken_from_form(request).await?,
        Surface::Page | Surface::Rest => in_header,
    };
    if credential.is_shown_by(shown) {
        Ok(shown)
    } else {
        Err(Failure::other_origin())
    }
}

async fn authenticate(request: &HttpRequest, counted: Counted) -> Result<Caller, Failure> {
    let state = AppState::of(request).ok_or_else(Failure::internal)?;
    let credential = state.auth.authenticate(request).await?;
    state
        .limits
        .count(credential.principal.identity.id, counted)?;
    Ok(Caller {
        credential,
        origin: None,
    })
}

fn counted(route: &Route, request: &HttpRequest) -> Counted {
    let leased = request.headers().contains_key("x-lease-token");
    match route.access {
        Access::Runner if leased => Counted::Leased {
            bytes: announced(request.headers()),
        },
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
            Self::Capability(Capability::SettingsWrite) if Mistake::RouteUnguarded.made() => Ok(()),
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
            Self::Person => match principal.identity.id {
                PrincipalId::User(_) => Ok(()),
                PrincipalId::Key(_) | PrincipalId::System => {
                    forbidden("this is for people who are signed in".to_owned())
                }
            },
            Self::Runner if is_agent => Ok(()),
            Self::Runner => forbidden("this needs the agent key of the desktop".to_owned()),
        }
    }
}

/// Answers a path that does not exist; without a credential nobody learns even that.
pub(crate) async fn unknown_path(request: HttpRequest) -> HttpResponse {
    let failure = match authenticate(&request, Counted::Request).await {
        Ok(_) => Failure::not_found("path"),
        Err(failure) => failure,
    };
    Surface::asked_for(&request).refusal(&request, &failure)
}

/// Whether a browser asks, for a page or a part of one; a program gets a problem document from
/// every path.
fn is_for_people(request: &HttpRequest) -> bool {
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok());
    accept.is_some_and(|media| media.contains("text/html"))
        || request.headers().contains_key("hx-request")
}

impl Surface {
    /// What a request to nowhere expects: a browser outside the API, a page.
    fn asked_for(request: &HttpRequest) -> Self {
        if is_for_people(request) && !request.path().starts_with("/api/") {
            Self::Page
        } else {
            Self::Rest
        }
    }
}

/// Answers a path that exists with a method that it does not take.
pub(crate) async fn unknown_method(request: HttpRequest) -> Reply {
    let pattern = request.match_pattern().unwrap_or_default();
    let routes = || {
        let all = ROUTES.iter().chain(PAGES);
        all.filter(|route| route.path == pattern)
    };
    if routes().all(|route| route.access != Access::Public) {
        authenticate(&request, Counted::Request).await?;
    }
    let allowed: Vec<_> = routes().map(|route| route.verb.allow()).collect();
    Err(Failure::method_not_allowed(&allowed.join(", ")))
}
