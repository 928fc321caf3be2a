//! The workload `idle`: what the program costs when nobody asks anything, and how soon it answers.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::report::{Goal, Report, median};
use super::server::{Server, program};
use super::site::Desktop;
use super::{Engine, Options, failed, milliseconds, resident};
use crate::shell::{Failure, Shell};

/// How long nobody asks anything.
const SILENCE: Duration = Duration::from_secs(5);
/// A megabyte has a million bytes here.
const MEGABYTE: f64 = 1e6;

/// Measures one engine.
///
/// # Errors
/// When something does not start.
pub async fn measure(
    shell: &Shell,
    engine: Engine,
    url: &str,
    options: &Options,
) -> Result<(), Failure> {
    let server = Server::start(shell, url).await?;
    let mut report = Report::new("idle", engine.name());
    let desktop = Desktop::create(&server, &server.key).await?;
    desktop.prepare(&server, 1_000).await?;
    let key = server.key.clone();
    drop(server);
    let (mut starts, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        let begin = Instant::now();
        let server = Server::spawn(shell, url, key.clone(), &[])?;
        answers(&server).await?;
        starts.push(milliseconds(begin.elapsed()));
        tokio::time::sleep(SILENCE).await;
        let megabytes = resident(server.process()).map(|mib| mib * 1_048_576.0 / MEGABYTE);
        idle.extend(megabytes);
    }
    let goal = Some(Goal::AtMost(100.0));
    report.add(
        "start to the first connection",
        median(&mut starts),
        "ms",
        goal,
    );
    let goal = Some(Goal::AtMost(25.0));
    report.add("memory after 5 s of silence", median(&mut idle), "MB", goal);
    report.add("the program", size(shell)?, "MB", goal);
    report.save(shell)
}

/// Waits until somebody accepts connections.
async fn answers(server: &Server) -> Result<(), Failure> {
    for _ in 0..10_000 {
        if TcpStream::connect(server.address).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Err(failed("api serve", &"does not listen"))
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
fn size(shell: &Shell) -> Result<f64, Failure> {
    let path = program(shell, "api").get_program().to_owned();
    let metadata = std::fs::metadata(&path);
    let metadata = metadata.map_err(|e| failed(&path.display().to_string(), &e))?;
    Ok(metadata.len() as f64 / MEGABYTE)
}
