//! The server itself: connections, limits, and how it stops.

use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer};
use store::sabotage::Mistake;
use tokio_util::sync::CancellationToken;

use crate::state::AppState;

/// Threads a worker may have for reads and for large bodies.
const BLOCKING_THREADS: usize = 16;

/// Limits of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServeConfig {
    /// Threads that serve connections; `None`: as many as there are processors.
    pub workers: Option<usize>,
    /// Most connections a worker.
    pub max_connections: usize,
    /// How long the first head of a connection may take.
    pub request_timeout: Duration,
    /// How long a connection stays open between an answer and the head of the next request, whatever
    /// comes over it until then.
    pub keep_alive: Duration,
    /// How long requests under way may take to finish once the server stops.
    pub drain: Duration,
}

impl ServeConfig {
    /// Threads that serve connections.
    pub fn workers(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        self.workers.unwrap_or_else(processors)
    }
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
    let stop = stop.child_token();
    let running = start(listeners, &state, &stop, config)?;
    let serving = async {
        let end = running.await;
        stop.cancel();
        end
    };
    let (end, ()) = tokio::join!(serving, state.run(stop.clone()));
    end
}

fn start(
    listeners: Vec<TcpListener>,
    state: &AppState,
    stop: &CancellationToken,
    config: ServeConfig,
) -> std::io::Result<Server> {
    let (state, connections) = (state.clone(), Arc::clone(&state.connections));
    let keep_alive = config.keep_alive;
    let mut server = HttpServer::new(move || App::new().configure(crate::configure(&state)))
        // an answer of several pieces must not wait for the acknowledgement of the first
        .tcp_nodelay(true)
        .client_request_timeout(request_timeout(config))
        .keep_alive(config.keep_alive)
        .workers(config.workers())
        .max_connections(config.max_connections)
        // reads queue for threads, not for connections of the pool
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .shutdown_timeout(config.drain.as_secs())
        .on_connect(move |connection, extensions| {
            connections.add(connection, extensions, keep_alive);
        })
        // a client that has gone frees its wait at once
        .h1_allow_half_closed(false)
        .shutdown_signal(stop.clone().cancelled_owned());
    for listener in listeners {
        server = server.listen(listener)?;
    }
    Ok(server.run())
}

/// 0 is no limit at all.
fn request_timeout(config: ServeConfig) -> Duration {
    if Mistake::NoRequestTimeout.made() {
        Duration::ZERO
    } else {
        config.request_timeout
    }
}
