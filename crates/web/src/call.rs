//! An authorised call: who asks, and the ways to the store. Handlers take one as their first
//! argument; there is none without the gate.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse};
use approval_core::{
    AccountId, DesktopId, Digest, Principal, PrincipalId, Refusal, SessionId, UserId,
};
use store::{
    ActingSession, Answer, Answered, Command, CompleteRequest, Credential, CredentialId,
    Idempotency, ReadError, Reads, Request, Scope, Store,
};

use crate::live::{Hub, Open};
use crate::problem::{Failure, Reply};
use crate::render::{self, Viewer};
use crate::state::AppState;

/// The credential of a request that the gate let pass.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) credential: Arc<Credential>,
    /// SHA-256 of the secret of the browser's origin that came along.
    pub(crate) origin: Option<Digest>,
}

impl Caller {
    /// Who it is: the key, or the person behind a session.
    pub(crate) fn principal(&self) -> PrincipalId {
        self.credential.principal.identity.id
    }
}

/// An authorised call.
pub(crate) struct Call {
    pub(crate) request: HttpRequest,
    pub(crate) state: AppState,
    caller: Caller,
}

impl FromRequest for Call {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Caller>().cloned();
        let state = AppState::of(request);
        let call = caller.zip(state).map(|(caller, state)| Self {
            request: request.clone(),
            state,
            caller,
        });
        ready(call.ok_or_else(|| {
            tracing::error!("a handler was reached without the gate");
            Failure::internal()
        }))
    }
}

impl Call {
    pub(crate) fn account(&self) -> AccountId {
        self.caller.credential.account
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.caller.credential.principal
    }

    /// The person who is signed in.
    ///
    /// # Errors
    /// 403 for a key: what belongs to a person is not for programs.
    pub(crate) fn person(&self) -> Result<UserId, Failure> {
        match self.principal().identity.id {
            PrincipalId::User(user) => Ok(user),
            PrincipalId::Key(_) | PrincipalId::System => {
                Err(Refusal::Forbidden("this is for people who are signed in".to_owned()).into())
            }
        }
    }

    /// The session of the person who is signed in.
    pub(crate) fn session(&self) -> Option<SessionId> {
        match self.caller.credential.id {
            CredentialId::Session(session) => Some(session),
            CredentialId::Key(_) => None,
        }
    }

    pub(crate) fn viewer(&self) -> Viewer {
        Viewer::of(&self.caller.credential.principal)
    }

    /// What the caller may see.
    pub(crate) fn scope(&self) -> Scope {
        Scope {
            account: self.account(),
            desktop: self.caller.credential.principal.confined_to(),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.state.store
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.state.hub
    }

    /// An agent's own desktop; every other one does not exist for it.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn own_desktop(&self, desktop: DesktopId) -> Result<DesktopId, Failure> {
        self.scope()
            .desktop
            .filter(|own| *own == desktop)
            .ok_or_else(|| Failure::not_found("desktop"))
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reads<'_>) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Failure> {
        Ok(self.store().read(read).await?)
    }

    /// Has a command decided and carried out.
    pub(crate) async fn submit(
        &self,
        command: Command,
        idempotency: Option<Idempotency>,
    ) -> Result<Answered, Failure> {
        let request = Request {
            account: self.account(),
            principal: self.caller.credential.principal.clone(),
            session: self.session().map(|id| ActingSession {
                id,
                origin: self.caller.origin,
            }),
            idempotency,
            command,
        };
        Ok(self.store().submit(request).await?)
    }

    /// A request to end an attempt, by this caller.
    pub(crate) fn completion(
        &self,
        idempotency: Option<Idempotency>,
        lease: store::Leased,
        report: approval_core::Report,
        output: Option<Vec<u8>>,
        log_entries: Option<u64>,
    ) -> CompleteRequest {
        CompleteRequest {
            account: self.account(),
            principal: self.caller.credential.principal.clone(),
            idempotency,
            lease,
            report,
            output,
            log_entries,
        }
    }

    /// Opens a wait or a stream.
    ///
    /// # Errors
    /// 429 when the caller has too many.
    pub(crate) fn open(&self) -> Result<Open, Failure> {
        let place = self.state.limits.open(self.principal().identity.id)?;
        Ok(self.hub().open(self.caller.credential.id, place))
    }

    /// Shows the answer to a command.
    pub(crate) fn answer(&self, status: StatusCode, answered: &Answered) -> Reply {
        let viewer = self.viewer();
        let mut response = HttpResponse::build(status);
        if answered.replayed {
            response.insert_header(("idempotency-replayed", "true"));
        }
        if status == StatusCode::CREATED
            && let Some(path) = path_of(&answered.answer)
        {
            response.insert_header((LOCATION, path));
        }
        Ok(match &answered.answer {
            Answer::Task(view) => response.json(viewer.task(view)),
            Answer::Approval(view) => response.json(viewer.approval(view)),
            Answer::Settings(settings) => response.json(render::settings(*settings)),
            Answer::Desktop(view) => response.json(render::desktop(view)),
            Answer::Heartbeat {
                expires_at,
                cancel_requested,
            } => response.json(render::heartbeat(*expires_at, *cancel_requested)),
            Answer::Accepted => response.finish(),
            Answer::Key(_)
            | Answer::User(_)
            | Answer::Session(_)
            | Answer::Claim(_)
            | Answer::Pruned(_) => {
                return Err(unexpected_answer());
            }
        })
    }
}

/// The store gave another answer than the command asks for.
pub(crate) fn unexpected_answer() -> Failure {
    tracing::error!("the store gave another answer than was asked for");
    Failure::internal()
}

/// Where a created thing is found.
fn path_of(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Task(view) => Some(format!("/api/mission-control/tasks/{}", view.state.id)),
        Answer::Desktop(view) => Some(format!("/api/desktops/{}", view.id)),
        Answer::Key(_)
        | Answer::Approval(_)
        | Answer::Settings(_)
        | Answer::User(_)
        | Answer::Session(_)
        | Answer::Claim(_)
        | Answer::Heartbeat { .. }
        | Answer::Pruned(_)
        | Answer::Accepted => None,
    }
}
