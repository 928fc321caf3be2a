//! Counts and durations of requests for Prometheus, on a listener of their own (contract
//! section 7). Labels are methods, route patterns and codes: never a path, an id or a key.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::{App, HttpResponse, HttpServer, web};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

const REQUESTS: &str = "countersign_http_requests_total";
const SECONDS: &str = "countersign_http_request_seconds";
/// Upper bounds of the buckets, in seconds.
const BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 60.0];
/// How often old samples are folded together.
const UPKEEP: Duration = Duration::from_secs(5);

/// What was recorded in this process so far.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts recording. Once a process.
    ///
    /// # Errors
    /// When something else records already.
    pub fn install() -> Result<Self, BuildError> {
        let seconds = Matcher::Full(SECONDS.to_owned());
        let recorder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &BUCKETS)?;
        let handle = recorder.install_recorder()?;
        metrics::describe_counter!(REQUESTS, "Requests answered, by method, route and status");
        metrics::describe_histogram!(SECONDS, "Time to the head of the answer, in seconds");
        Ok(Self(handle))
    }

    /// Serves `GET /metrics` until `stop`. There is no credential: keep the listener private.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        let shown = self.0.clone();
        let server = HttpServer::new(move || {
            let handle = shown.clone();
            let show = move || std::future::ready(page(&handle));
            App::new().route("/metrics", web::get().to(show))
        });
        let server = server
            .workers(1)
            .shutdown_signal(stop.clone().cancelled_owned());
        let server = server.listen(listener)?.run();
        let upkeep = async {
            while !stop.is_cancelled() {
                self.0.run_upkeep();
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(UPKEEP) => {}
                }
            }
        };
        tokio::join!(server, upkeep).0
    }
}

fn page(handle: &PrometheusHandle) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(handle.render())
}

/// Records one answer; does nothing when nobody installed [`Metrics`].
pub(crate) fn record(method: &Method, route: &str, status: u16, elapsed: Duration) {
    let labels = [
        ("method", method.to_string()),
        ("route", route.to_owned()),
        ("status", status.to_string()),
    ];
    metrics::counter!(REQUESTS, &labels).increment(1);
    metrics::histogram!(SECONDS, &labels[..2]).record(elapsed.as_secs_f64());
}
