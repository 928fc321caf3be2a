//! What the client sends, and what it does with each kind of answer, against a scripted server.

use std::time::{Duration, Instant};

use client::{ApprovalFilter, Client, ClientError, Secret, TaskFilter};
use contract::{
    AppendLogs, ApprovalStatus, Code, CreateDesktop, Decide, PatchSettings, Problem, TaskStatus,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it arrived: its first line, its headers in lower case, its body.
#[derive(Debug)]
struct Seen {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }
}

/// An answer with a JSON body.
fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n{headers}\r\n{body}"
    )
}

/// A refusal with a problem document.
fn refusal(code: Code, headers: &str) -> String {
    let body = serde_json::to_string(&Problem::new(code, "because")).expect("JSON");
    answer(code.status(), headers, &body).replace("application/json", Problem::MEDIA_TYPE)
}

/// Gives one answer a connection, in order (an empty one hangs up), and then what it was asked.
async fn server(answers: Vec<String>) -> (Client, JoinHandle<Vec<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let script = tokio::spawn(async move {
        let mut seen = Vec::new();
        for answer in answers {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut stream = BufReader::new(stream);
            seen.push(read_request(&mut stream).await);
            stream
                .write_all(answer.as_bytes())
                .await
                .expect("the answer is taken");
        }
        seen
    });
    let client = Client::new(&format!("http://{address}"), "csk_human_test").expect("a client");
    (client, script)
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Seen {
    let mut line = String::new();
    stream.read_line(&mut line).await.expect("a request line");
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.expect("a header");
        let Some((name, value)) = header.trim().split_once(": ") else {
            break;
        };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let mut seen = Seen {
        line: line.trim().to_owned(),
        headers,
        body: String::new(),
    };
    let length = seen
        .header("content-length")
        .map_or(0, |text| text.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("the body");
    seen.body = String::from_utf8(body).expect("UTF-8");
    seen
}

const SETTINGS: &str = r#"{"taskApprovalMode":true,"requireEvidence":false}"#;

#[tokio::test]
async fn a_change_is_repeated_with_the_same_key_until_it_is_answered() {
    let (client, script) = server(vec![
        String::new(),
        refusal(Code::Unavailable, "retry-after: 0\r\n"),
        refusal(Code::InProgress, ""),
        answer(200, "", SETTINGS),
    ])
    .await;
    let patch = PatchSettings {
        task_approval_mode: Some(true),
        ..PatchSettings::default()
    };
    assert!(
        client
            .patch_settings(&patch)
            .await
            .expect("it succeeds")
            .task_approval_mode
    );

    let seen = script.await.expect("the script ends");
    let key = seen[0].header("idempotency-key").expect("a key");
    assert_eq!(key.len(), 32);
    for request in &seen {
        assert_eq!(request.line, "PATCH /api/mission-control/settings HTTP/1.1");
        assert_eq!(request.header("idempotency-key"), Some(key));
        assert_eq!(request.header("x-api-key"), Some("csk_human_test"));
        assert_eq!(request.body, r#"{"taskApprovalMode":true}"#);
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_typed() {
    let (client, script) = server(vec![refusal(Code::AlreadyDecided, "")]).await;
    let error = client
        .review_task("task_a", &Decide::approve())
        .await
        .expect_err("refused");
    assert_eq!(error.code(), Some(Code::AlreadyDecided));
    assert_eq!(error.to_string(), "409 already-decided: because");
    assert_eq!(
        script.await.expect("the script ends")[0].body,
        r#"{"decision":"approve"}"#
    );
}

#[tokio::test]
async fn retry_after_is_waited_for_unless_it_is_long() {
    let (client, _script) = server(vec![
        refusal(Code::RateLimited, "retry-after: 1\r\n"),
        answer(200, "", SETTINGS),
    ])
    .await;
    let start = Instant::now();
    client.settings().await.expect("it succeeds");
    assert!(start.elapsed() >= Duration::from_secs(1));

    let (client, _script) = server(vec![refusal(Code::RateLimited, "retry-after: 3600\r\n")]).await;
    let error = client.settings().await.expect_err("told to wait an hour");
    assert_eq!(error.retry_after(), Some(Duration::from_hours(1)));
}

#[tokio::test]
async fn a_claim_and_a_heartbeat_are_sent_once() {
    let (client, script) = server(vec![refusal(Code::Unavailable, "")]).await;
    let error = client
        .claim("desk_a", Duration::from_secs(30))
        .await
        .expect_err("unavailable");
    assert!(error.is_transient());
    let seen = script.await.expect("the script ends");
    assert_eq!(seen[0].line, "POST /api/desktops/desk_a/claim HTTP/1.1");
    assert_eq!(seen[0].body, r#"{"wait":30}"#);
    assert_eq!(seen[0].header("idempotency-key"), None);

    let (client, script) = server(vec![String::new()]).await;
    let lease = Secret::from("token");
    let error = client
        .heartbeat("task_a", &lease)
        .await
        .expect_err("hung up");
    assert!(matches!(error, ClientError::Transport(_)), "{error}");
    let seen = script.await.expect("the script ends");
    assert_eq!(
        seen[0].line,
        "POST /api/mission-control/tasks/task_a/heartbeat HTTP/1.1"
    );
    assert_eq!(seen[0].header("x-lease-token"), Some("token"));
}

#[tokio::test]
async fn no_work_is_none() {
    let nothing = "HTTP/1.1 204 X\r\nconnection: close\r\n\r\n".to_owned();
    let (client, _script) = server(vec![nothing]).await;
    assert_eq!(
        client
            .claim("desk_a", Duration::ZERO)
            .await
            .expect("no work"),
        None
    );
}

#[tokio::test]
async fn logs_are_repeated_under_their_lease() {
    let (client, script) = server(vec![String::new(), answer(202, "", "{}")]).await;
    let logs = AppendLogs {
        entries: Vec::new(),
    };
    client
        .append_logs("task_a", &Secret::from("token"), &logs)
        .await
        .expect("taken");
    for request in script.await.expect("the script ends") {
        assert_eq!(request.header("x-lease-token"), Some("token"));
        assert_eq!(request.header("idempotency-key"), None);
    }
}

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_is_done() {
    let (client, script) = server(vec![String::new(), refusal(Code::NotFound, "")]).await;
    client.delete_desktop("desk_a").await.expect("gone");
    assert_eq!(script.await.expect("the script ends").len(), 2);

    let (client, _script) = server(vec![refusal(Code::NotFound, "")]).await;
    let error = client
        .delete_api_key("key_a")
        .await
        .expect_err("never there");
    assert_eq!(error.code(), Some(Code::NotFound));
}

#[tokio::test]
async fn pages_follow_their_links() {
    let link = "link: </api/mission-control/tasks?cursor=b>; rel=\"next\"\r\nx-total-count: 2\r\n";
    let (client, script) = server(vec![
        answer(200, link, "[]"),
        answer(200, "x-total-count: 2\r\n", "[]"),
    ])
    .await;
    let filter = TaskFilter {
        status: vec![TaskStatus::Review, TaskStatus::Done],
        desktop_id: Some("desk_a".to_owned()),
        limit: Some(1),
    };
    let first = client.tasks(&filter).await.expect("a page");
    assert_eq!(first.total, 2);
    let second = client
        .next_page(&first)
        .await
        .expect("a page")
        .expect("there is one");
    assert_eq!(client.next_page(&second).await.expect("no request"), None);

    let seen = script.await.expect("the script ends");
    assert_eq!(
        seen[0].line,
        "GET /api/mission-control/tasks?status=review%2Cdone&desktopId=desk_a&limit=1 HTTP/1.1"
    );
    assert_eq!(
        seen[1].line,
        "GET /api/mission-control/tasks?cursor=b HTTP/1.1"
    );
}

#[tokio::test]
async fn approvals_are_asked_for_by_status() {
    let empty = answer(200, "x-total-count: 0\r\n", "[]");
    let (client, script) = server(vec![empty; 3]).await;
    for filter in [
        ApprovalFilter::Pending,
        ApprovalFilter::Status(ApprovalStatus::Rejected, 5),
        ApprovalFilter::All(7),
    ] {
        assert!(
            client
                .approvals(&filter)
                .await
                .expect("a page")
                .items
                .is_empty()
        );
    }
    let lines: Vec<String> = script
        .await
        .expect("the script ends")
        .into_iter()
        .map(|seen| seen.line)
        .collect();
    assert_eq!(
        lines,
        [
            "GET /api/mission-control/approvals HTTP/1.1",
            "GET /api/mission-control/approvals?status=rejected&limit=5 HTTP/1.1",
            "GET /api/mission-control/approvals?status=all&limit=7 HTTP/1.1",
        ]
    );
}

#[tokio::test]
async fn an_answer_of_another_program_is_unexpected() {
    let (client, _script) = server(vec![answer(418, "", "<html>")]).await;
    let error = client.settings().await.expect_err("no problem document");
    assert!(
        matches!(error, ClientError::Unexpected { status: 418, .. }),
        "{error}"
    );

    let (client, _script) = server(vec![answer(200, "", "<html>")]).await;
    let error = client.settings().await.expect_err("no settings");
    assert!(
        matches!(error, ClientError::Unexpected { status: 200, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = answer(307, "location: http://127.0.0.1:1/\r\n", "");
    let (client, _script) = server(vec![elsewhere]).await;
    let error = client.settings().await.expect_err("a redirect");
    assert!(
        matches!(error, ClientError::Unexpected { status: 307, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_key_of_the_caller_is_used_as_it_is() {
    let desktop = r#"{"id":"desk_a","name":"n","status":"stopped","lastSeenAt":null,
        "runningTaskIds":[],"createdAt":"2026-03-15T10:05:00.000000Z"}"#;
    let (client, script) = server(vec![answer(201, "", desktop)]).await;
    let client = client.with_idempotency_key("deploy-7").expect("a key");
    let body = CreateDesktop {
        name: "n".to_owned(),
    };
    assert_eq!(
        client.create_desktop(&body).await.expect("created").id,
        "desk_a"
    );
    let seen = script.await.expect("the script ends");
    assert_eq!(seen[0].header("idempotency-key"), Some("deploy-7"));
}
