//! No safe method changes anything (contract section 0; guarantee G13, row E1): after every GET and
//! HEAD, by everybody, every row of every table is what it was.

use std::collections::BTreeMap;

use serde_json::json;
use web::{PAGES, ROUTES, Route, Verb};

use crate::world::{TASKS, World, of_task};

crate::on_both_engines! {
    no_get_changes_a_row
    a_sign_in_link_survives_previews
}

/// What is noted of a credential that is used: when, to the minute or so, and how long its session
/// goes on.
pub const NOTED: [(&str, &str); 3] = [
    ("api_keys", "last_used_at"),
    ("sessions", "last_seen_at"),
    ("sessions", "expires_at"),
];

/// Queries that ask for a change, as far as a query can.
const QUERIES: [&str; 3] = [
    "",
    "?decision=approve&status=done&taskApprovalMode=on&_method=POST",
    "?wait=0&limit=1&after=0",
];

/// Headers by which frameworks and previews have been made to act or to look ahead.
const HEADERS: [(&str, &str); 4] = [
    ("x-http-method-override", "POST"),
    ("x-http-method", "DELETE"),
    ("sec-purpose", "prefetch;prerender"),
    ("purpose", "preview"),
];

/// Ids of things that exist, by their prefix.
struct Existing(BTreeMap<&'static str, String>);

impl Existing {
    async fn new(world: &World) -> (Self, String) {
        let (desktop, agent) = world.desktop().await;
        let review = world.reviewed(&desktop, &agent).await;
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        let keys = world.get("/api/auth/api-keys").await.is(200);
        let ids = BTreeMap::from([
            ("task", text(&review["id"])),
            ("appr", text(&review["review"]["approvalId"])),
            ("key", text(&keys[0]["id"])),
            ("desk", desktop),
        ]);
        (Self(ids), agent)
    }

    /// The path of a route about the thing it can be about.
    fn path(&self, route: &Route, pending: &str) -> Vec<String> {
        let kind = match route.path {
            path if path.contains("approvals") => "appr",
            path if path.contains("api-keys") => "key",
            path if path.contains("desktops") => "desk",
            _ => "task",
        };
        let path = |id: &str| {
            let path = route.path.replace("{id}", id).replace("{n}", "1");
            path.replace("{name}", "app.css")
        };
        let mut paths = vec![path(&self.0[kind])];
        if kind == "task" && route.path.contains("{id}") {
            paths.push(path(pending));
        }
        paths
    }
}

async fn no_get_changes_a_row(world: &World) {
    let (existing, agent) = Existing::new(world).await;
    let pending = world.task(&existing.0["desk"], json!({})).await;
    let reader = json!({"name": "reads", "kind": "human", "capabilities": ["tasks:read"]});
    let service = json!({"name": "serves", "kind": "service"});
    let writing = json!({"name": "writes", "kind": "agent", "desktopId": existing.0["desk"],
        "capabilities": ["tasks:read", "tasks:write"]});
    let keys = [
        String::new(),
        world.owner.clone(),
        world.key(reader).await,
        world.key(service).await,
        world.key(writing).await,
        agent,
        world.stranger().await,
    ];
    let person = world.person("looks@example.org").await;
    let before = world.db.contents(&NOTED);
    let mut asked = 0;
    for route in ROUTES.iter().chain(PAGES) {
        if route.verb != Verb::Get {
            continue;
        }
        for path in existing.path(route, &pending) {
            for method in ["GET", "HEAD"] {
                for query in QUERIES {
                    let path = format!("{path}{query}");
                    let by_key = keys.iter().map(|key| world.request(key, method, &path));
                    let browsed = world.browse(&person.cookie, method, &path);
                    for mut request in by_key.chain([browsed]) {
                        for (name, value) in HEADERS {
                            request = request.header(name, value);
                        }
                        // the head alone: a stream has no end
                        let answer = request.send().await.expect("an answer");
                        assert!(answer.status().as_u16() < 500, "{method} {path}");
                        asked += 1;
                    }
                }
            }
        }
    }
    assert!(asked > 1_500, "{asked}");
    let after = world.db.contents(&NOTED);
    for (table, rows) in &before {
        assert_eq!(rows, &after[table], "{table}");
    }
    println!("{asked} requests, {} tables", before.len());
    // the comparison sees what one POST does
    world
        .post(&of_task(&pending, "run"), &json!({}))
        .await
        .is(200);
    assert_ne!(world.db.contents(&NOTED), before);
    assert_eq!(world.get(TASKS).await.status, 200);
}

/// Programs that read mail and chat follow every link, some of them with a browser.
async fn a_sign_in_link_survives_previews(world: &World) {
    let user = world.user(world.account, "mail@example.org", None).await;
    let token = world.link(world.account, user).await;
    let before = world.db.contents(&NOTED);
    for path in [
        "/sign-in".to_owned(),
        format!("/sign-in?token={token}"),
        format!("/sign-in/link?token={token}"),
        format!("/sign-in/link/{token}"),
        format!("/sign-in%23{token}"),
    ] {
        for method in ["GET", "HEAD", "OPTIONS"] {
            for agent in [
                "Slackbot-LinkExpanding 1.0",
                "facebookexternalhit/1.1",
                "Mozilla/5.0 SafeLinks",
            ] {
                let mut request = world.browse("", method, &path).header("user-agent", agent);
                for (name, value) in HEADERS {
                    request = request.header(name, value);
                }
                let answer = crate::world::send(request).await;
                assert_eq!(answer.header("set-cookie"), "", "{method} {path}");
            }
        }
    }
    assert_eq!(world.db.contents(&NOTED), before);
    let answer = world.form("", "/sign-in/link", &[("token", &token)]).await;
    assert_eq!(answer.leads(), "/board", "it still lets in, once");
    let again = world.form("", "/sign-in/link", &[("token", &token)]).await;
    assert_ne!(again.status, 303);
}
