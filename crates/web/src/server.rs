//! The server itself: connections, limits, and how it stops.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::{App, HttpServer};
use tokio_util::sync::CancellationToken;

use crate::state::AppState;

/// Limits of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServeConfig {
    /// Threads that serve connections; `None`: as many as there are processors.
    pub workers: Option<usize>,
    /// Most connections a worker.
    pub max_connections: usize,
    /// How long the head of a request may take.
    pub request_timeout: Duration,
    /// How long an idle connection stays open.
    pub keep_alive: Duration,
    /// How long requests under way may take to finish once the server stops.
    pub drain: Duration,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            workers: None,
            max_connections: 10_000,
            request_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            drain: Duration::from_secs(25),
        }
    }
}

/// Serves until `stop`. Streams and waits then end at once, requests under way finish within
/// [`ServeConfig::drain`]. Signals are the caller's business.
///
/// # Errors
/// When a listener cannot be used.
pub async fn serve(
    listeners: Vec<TcpListener>,
    state: AppState,
    stop: CancellationToken,
    config: ServeConfig,
) -> std::io::Result<()> {
    let for_workers = state.clone();
    let stop = stop.child_token();
    let mut builder = HttpServer::new(move || App::new().configure(crate::configure(&for_workers)))
        .client_request_timeout(config.request_timeout)
        .keep_alive(config.keep_alive)
        .max_connections(config.max_connections)
        .shutdown_timeout(config.drain.as_secs())
        // a client that has gone frees its wait at once
        .h1_allow_half_closed(false)
        .shutdown_signal(stop.clone().cancelled_owned());
    if let Some(workers) = config.workers {
        builder = builder.workers(workers);
    }
    for listener in listeners {
        builder = builder.listen(listener)?;
    }
    let running = builder.run();
    let serving = async {
        let end = running.await;
        stop.cancel();
        end
    };
    let (end, ()) = tokio::join!(serving, state.run(stop.clone()));
    end
}
