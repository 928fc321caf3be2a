//! Changes by session cookie come from the dashboard itself and from nowhere else (contract
//! sections 6 and 7; guarantees E1, E6).

use reqwest::RequestBuilder;
use serde_json::json;

use crate::people::{PASSWORD, filled};
use crate::world::{TASKS, World, of_task, send};

crate::on_both_engines! {
    nothing_comes_from_elsewhere
    our_own_pages_and_keys_are_let_in
    bodies_that_other_sites_can_send_are_no_forms
}

type Headers = Vec<(&'static str, String)>;

/// What a request from elsewhere looks like, to a server at `host`.
fn vectors(host: &str) -> Vec<Headers> {
    let port = host.rsplit(':').next().unwrap_or_default();
    let mut all: Vec<Headers> = vec![Vec::new()];
    for site in [
        "cross-site",
        "same-site",
        "none",
        "",
        "Same-Origin",
        "same-origin ,cross-site",
        "same-origin;",
        "null",
    ] {
        all.push(vec![("sec-fetch-site", site.to_owned())]);
        // a good Origin beside it is the work of an old proxy or of an attacker
        all.push(vec![
            ("sec-fetch-site", site.to_owned()),
            ("origin", format!("http://{host}")),
        ]);
    }
    let twice = ["same-origin", "cross-site"].map(|site| ("sec-fetch-site", site.to_owned()));
    all.push(twice.to_vec());
    for origin in [
        "null".to_owned(),
        String::new(),
        "http://127.0.0.1".to_owned(),
        "http://127.0.0.1:1".to_owned(),
        format!("http://{host}0"),
        format!("http://{host}.evil.example"),
        format!("http://evil.example/{host}"),
        format!("http://evil.example#{host}"),
        format!("http://evil.example?{host}"),
        format!("http://evil.example@{host}"),
        format!("http://{host}@evil.example"),
        format!("http://{host}/"),
        format!("http://{host}, http://evil.example"),
        format!("http://localhost:{port}"),
        format!("http://127.1:{port}"),
        format!("http://2130706433:{port}"),
        format!("http://0x7f000001:{port}"),
        format!("http://[::1]:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
        format!("//{host}"),
        host.to_owned(),
        "https://evil.example".to_owned(),
        "file://".to_owned(),
    ] {
        all.push(vec![("origin", origin)]);
    }
    let twice = [format!("http://{host}"), "http://evil.example".to_owned()];
    all.push(twice.map(|origin| ("origin", origin)).to_vec());
    // only a Referer is nothing
    all.push(vec![("referer", format!("http://{host}/board"))]);
    all
}

fn with(mut request: RequestBuilder, headers: &Headers) -> RequestBuilder {
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request
}

async fn nothing_comes_from_elsewhere(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let task = world.reviewed(&desktop, &agent).await;
    let task = task["id"].as_str().expect("an id").to_owned();
    let person = world.person("owner@example.org").await;
    let known = world
        .user(world.account, "known@example.org", Some(PASSWORD))
        .await;
    let token = world.link(world.account, known).await;
    let before = world.head().await;
    let by_cookie = |method: &str, path: &str| {
        world
            .request("", method, path)
            .header("cookie", &person.cookie)
    };
    let requests = || {
        let nobody = |path| world.request("", "POST", path);
        let decision = json!({"decision": "approve"});
        let sign_in = [("email", "known@example.org"), ("password", PASSWORD)];
        [
            filled(
                by_cookie("POST", &format!("/tasks/{task}/decide")),
                &[("decision", "approve")],
            ),
            filled(
                by_cookie("POST", "/settings/mission-control"),
                &[("taskApprovalMode", "on")],
            ),
            filled(by_cookie("POST", "/sign-out/everywhere"), &[]),
            by_cookie("POST", &of_task(&task, "review")).json(&decision),
            by_cookie("PATCH", "/api/mission-control/settings")
                .json(&json!({"taskApprovalMode": true})),
            by_cookie("POST", &of_task(&task, "cancel")),
            by_cookie("DELETE", &format!("/api/desktops/{desktop}")),
            filled(nobody("/sign-in"), &sign_in),
            filled(nobody("/sign-in/link"), &[("token", &token)]),
        ]
    };
    let mut vectors = vectors(&world.address().to_string());
    // other sites can only send these without asking first
    for media in ["text/plain", "multipart/form-data; boundary=x"] {
        vectors.push(vec![
            ("sec-fetch-site", "cross-site".to_owned()),
            ("content-type", media.to_owned()),
        ]);
    }
    assert!(vectors.len() >= 40, "{}", vectors.len());
    for headers in &vectors {
        for request in requests() {
            let answer = send(with(request, headers)).await;
            answer.problem(403, "cross-site");
            assert_eq!(answer.header("set-cookie"), "", "{headers:?}");
        }
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1:80:80",
        "evil.example:8080",
        "localhost@evil.example",
    ] {
        let own = vec![
            ("host", host.to_owned()),
            ("origin", format!("http://{host}")),
            ("sec-fetch-site", "same-origin".to_owned()),
        ];
        for request in requests()
            .into_iter()
            .chain([by_cookie("GET", "/board"), by_cookie("GET", TASKS)])
        {
            let answer = send(with(request, &own)).await;
            assert!(
                matches!(answer.status, 400 | 403),
                "{host}: {}",
                answer.status
            );
            assert!(!answer.text().contains(&task), "{host}");
        }
    }
    assert_eq!(world.head().await, before, "and nothing happened");
    assert_eq!(world.status(&task).await, "review");
    world.page(&person.cookie, "/board").await.shows(200);
    // nor was the link used up
    world
        .form("", "/sign-in/link", &[("token", &token)])
        .await
        .leads();
}

async fn our_own_pages_and_keys_are_let_in(world: &World) {
    let person = world.person("owner@example.org").await;
    let host = world.address().to_string();
    let desktops = "/api/desktops";
    for headers in [
        vec![("sec-fetch-site", "same-origin".to_owned())],
        vec![("origin", format!("http://{host}"))],
        vec![
            ("sec-fetch-site", "same-origin".to_owned()),
            ("origin", format!("http://{host}")),
        ],
    ] {
        let request = world
            .request("", "POST", desktops)
            .header("cookie", &person.cookie);
        let request = with(request.json(&json!({"name": "by cookie"})), &headers);
        send(request).await.is(201);
    }
    // a key is in no browser: nobody can make one send it
    for headers in vectors(&host) {
        let request = world
            .request(&world.owner, "POST", desktops)
            .json(&json!({"name": "by key"}));
        send(with(request, &headers)).await.is(201);
    }
    let named = world
        .request(&world.owner, "GET", TASKS)
        .header("host", "gate.internal");
    send(named).await.is(200);
    let beside = world
        .request(&world.owner, "POST", desktops)
        .header("cookie", &person.cookie);
    send(beside.json(&json!({"name": "by key, beside a cookie"})))
        .await
        .is(201);
}

async fn bodies_that_other_sites_can_send_are_no_forms(world: &World) {
    let person = world.person("owner@example.org").await;
    let before = world.head().await;
    for media in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/json",
    ] {
        let form = world.browse(&person.cookie, "POST", "/settings/mission-control");
        let form = form
            .header("content-type", media)
            .body("taskApprovalMode=on");
        assert_eq!(send(form).await.status, 415, "{media}");
    }
    for media in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
    ] {
        let call = world.browse(&person.cookie, "PATCH", "/api/mission-control/settings");
        let call = call
            .header("content-type", media)
            .body(r#"{"taskApprovalMode":true}"#);
        assert_eq!(send(call).await.status, 415, "{media}");
    }
    assert_eq!(world.head().await, before, "and nothing happened");
}
