//! What is logged, and what never is (`docs/logging.md`; guarantee E11).

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use test_support::Engine;
use tracing_subscriber::fmt::MakeWriter;

use crate::world::{TASKS, World, of_task, send};

/// Everything that is logged in this process.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut captured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        captured.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_logged_without_secrets() {
    let captured = Captured::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(captured.clone())
        .init();
    let world = World::start(Engine::Sqlite).await.expect("SQLite");
    let (desktop, agent) = world.desktop().await;
    let canary = "canary-in-the-content";
    let body = json!({"content": canary, "title": canary, "requiresApproval": true});
    let task = world.task(&desktop, body).await;
    world.post(&of_task(&task, "run"), &json!({})).await.is(200);
    let (_, token) = world.claim(&desktop, &agent).await;
    let report = json!({"outcome": "succeeded", "output": canary, "error": canary});
    let complete = of_task(&task, "complete");
    world
        .leased(&agent, &token, &complete, &report)
        .await
        .is(200);
    let reject = json!({"decision": "reject", "feedback": canary, "surprise": canary});
    world.post(&of_task(&task, "review"), &reject).await.is(400);
    let nonsense = format!("csk_human_{}", "0".repeat(72));
    let query = world.request(&nonsense, "GET", &format!("{TASKS}?cursor={canary}"));
    send(query.header("x-request-id", "named-by-the-client"))
        .await
        .is(401);

    let logged = {
        let bytes = captured.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    for secret in [
        world.owner.as_str(),
        &agent,
        &token,
        &nonsense,
        canary,
        "csk_",
    ] {
        assert!(!logged.contains(secret), "{secret} was logged");
    }
    let line = logged
        .lines()
        .find(|line| line.contains("named-by-the-client"));
    let line = line.expect("a line of the request");
    for field in [
        "method=GET",
        "route=\"/api/mission-control/tasks\"",
        "status=401",
        "principal=\"-\"",
    ] {
        assert!(line.contains(field), "{field}: {line}");
    }
    assert!(
        logged.contains("route=\"/api/mission-control/tasks/{id}/review\" status=400"),
        "{logged}"
    );
    world.end().await;
}
