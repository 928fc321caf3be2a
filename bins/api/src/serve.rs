//! `api serve`: the server alone.

use store::Store;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use web::AppState;

use crate::Failure;
use crate::cli::{Metrics, Serve};
use crate::descriptors;
use crate::listen::{listen, listen_at_every_localhost};

pub(crate) fn run(options: &Serve) -> Result<(), Failure> {
    let store = Store::open(&options.disk.store(options.database.url()?))?;
    let listeners = listen_at_every_localhost(options.listen)?;
    let address = listeners[0].local_addr()?;
    let limits = descriptors::raised();
    let state = AppState::new(store.clone(), options.web.config());
    let served: Result<_, Failure> = runtime()?.block_on(async {
        let stop = stop_on_signal()?;
        serve_metrics(&options.metrics, &stop)?;
        tracing::info!(%address, "listening");
        Ok(web::serve(listeners, state, stop, limits).await?)
    });
    store.close();
    tracing::info!("stopped");
    served
}

/// Starts the listener of `/metrics`, if there is to be one.
pub(crate) fn serve_metrics(options: &Metrics, stop: &CancellationToken) -> Result<(), Failure> {
    let Some(address) = options.metrics_listen else {
        return Ok(());
    };
    let listener = listen(address)?;
    let metrics = web::Metrics::install()?;
    let stop = stop.clone();
    tokio::spawn(async move {
        if let Err(error) = metrics.serve(listener, stop).await {
            tracing::error!(%error, "/metrics is not served any more");
        }
    });
    Ok(())
}

/// The runtime of everything but the connections, which have threads of their own.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
}

/// A token that SIGTERM or SIGINT cancels: the server drains and exits with 0.
pub(crate) fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: finishing the requests under way");
        stopped.cancel();
    });
    Ok(stop)
}
