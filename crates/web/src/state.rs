//! What all handlers share.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use actix_web::web::Bytes;
use actix_web::{HttpRequest, web};
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::auth::{Authenticator, Cidr, Site};
use crate::connections::Connections;
use crate::large::LargeBodies;
use crate::limits::Limits;
use crate::live::Hub;
use crate::rest::{Claims, Readiness};

/// What a deployment chooses (contract sections 7 and 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebConfig {
    /// Requests a minute a credential; 0 switches this limit and that of decisions off.
    pub rate_limit: u32,
    /// MiB that a runner may upload a minute a credential, at least 8; 0 switches this limit off.
    pub upload_limit: u32,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// The address under which people and programs reach the server.
    pub public_url: Option<String>,
    /// Tasks of the local desktop run without confinement as the server's own user: people are
    /// warned of that (contract section 8).
    pub unconfined: bool,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            rate_limit: 1_200,
            upload_limit: 600,
            trusted_proxies: Vec::new(),
            public_url: None,
            unconfined: false,
        }
    }
}

/// What all handlers share. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// The parts of [`AppState`].
pub struct Shared {
    pub(crate) store: Store,
    pub(crate) auth: Authenticator,
    pub(crate) limits: Limits,
    pub(crate) large_bodies: LargeBodies,
    pub(crate) connections: Arc<Connections>,
    pub(crate) hub: Hub,
    pub(crate) claims: Claims,
    pub(crate) readiness: Readiness,
    pub(crate) unconfined: bool,
    public_url: Option<String>,
    openapi: OnceLock<Bytes>,
}

impl AppState {
    /// The state of a server on `store`.
    pub fn new(store: Store, config: WebConfig) -> Self {
        Self(Arc::new(Shared {
            auth: Authenticator::new(
                store.clone(),
                config.trusted_proxies,
                Site::new(config.public_url.as_deref()),
            ),
            limits: Limits::new(config.rate_limit, config.upload_limit),
            large_bodies: LargeBodies::default(),
            connections: Arc::default(),
            hub: Hub::new(store.clone()),
            claims: Claims::default(),
            readiness: Readiness::default(),
            unconfined: config.unconfined,
            public_url: config.public_url,
            openapi: OnceLock::new(),
            store,
        }))
    }

    /// Passes on changes to whoever waits, until `stop`; then everything that waits ends.
    /// [`crate::serve`] does this itself.
    pub async fn run(&self, stop: CancellationToken) {
        tokio::select! {
            () = self.hub.run(&self.auth, &self.limits, stop) => {}
            () = self.connections.watch() => {}
        }
    }

    /// The OpenAPI document, made when it is first asked for.
    pub(crate) fn openapi(&self) -> Bytes {
        let make = || {
            let mut document = crate::openapi();
            document.servers = self
                .public_url
                .as_ref()
                .map(|url| vec![utoipa::openapi::Server::new(url)]);
            serde_json::to_vec(&document).unwrap_or_default().into()
        };
        self.openapi.get_or_init(make).clone()
    }

    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        request
            .app_data::<web::Data<Self>>()
            .map(|state| Self::clone(state))
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppState").finish_non_exhaustive()
    }
}
