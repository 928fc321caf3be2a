//! Authorisation is on the matched call, never on the text of the path (guarantee E6).

use std::fmt::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use web::{Access, ROUTES};

use crate::world::World;

crate::on_both_engines! {
    no_spelling_of_a_path_leads_past_the_gate
}

/// The status of a request exactly as written here: clients of their own tidy paths.
async fn status(world: &World, method: &str, target: &str, host: &str) -> u16 {
    let mut request = format!("{method} {target} HTTP/1.1\r\n");
    let _ = write!(
        request,
        "host: {host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    let mut stream = TcpStream::connect(world.address())
        .await
        .expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("{method} {target}: {answer:?}"))
}

fn spellings(path: &str) -> Vec<String> {
    let encode = |encoded: String, byte: u8| format!("{encoded}%{byte:02x}");
    let encoded = path.bytes().fold(String::new(), encode);
    vec![
        path.to_owned(),
        format!("{path}/"),
        format!("/{path}"),
        format!("{path}//"),
        format!("{path}?x"),
        format!("{path}?x-api-key=csk_human_1"),
        format!("{path};x"),
        format!("{path}%00"),
        format!("{path}%20"),
        format!("{path}/."),
        format!("{path}/../healthz"),
        format!("/healthz/..{path}"),
        format!("/healthz{path}"),
        format!("/healthz%2f..{path}"),
        format!("/healthz/%2e%2e{path}"),
        format!("/healthz;{path}"),
        format!("/healthz?{path}"),
        format!("http://other.example{path}"),
        path.to_uppercase(),
        path.replace('/', "%2f"),
        path.replace('/', "\\"),
        format!("/{encoded}"),
    ]
}

async fn no_spelling_of_a_path_leads_past_the_gate(world: &World) {
    let guarded = ROUTES.iter().filter(|route| route.access != Access::Public);
    for route in guarded {
        let path = route
            .path
            .replace("{id}", "task_00000000000000000000000000")
            .replace("{desktop}", "desk_00000000000000000000000000")
            .replace("{n}", "1");
        for target in spellings(&path) {
            let status = status(world, route.verb.as_str(), &target, "localhost").await;
            // the query of a public call is nobody's business, and it takes only GET
            let is_healthz = target.starts_with("/healthz?");
            let public = is_healthz && matches!(status, 200 | 405);
            assert!(
                public || matches!(status, 400 | 401),
                "{target} answers {status}"
            );
        }
    }
    for host in ["", "other.example", "localhost/healthz", "127.0.0.1:1"] {
        let status = status(world, "GET", "/api/mission-control/tasks", host).await;
        assert!(matches!(status, 400 | 401), "{host} answers {status}");
    }
}
