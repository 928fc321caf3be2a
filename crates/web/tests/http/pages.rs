//! Forms act by the same commands as REST, and every page keeps the browser to our own files
//! (contract sections 2, 3, 6; guarantees A6, E1, E11).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use web::{Access, PAGES, Verb};

use crate::people::{Person, filled, value};
use crate::world::{TASKS, World, of_task, send};

crate::on_both_engines! {
    a_task_is_created_once
    what_was_typed_is_kept
    a_task_is_run_cancelled_and_retried
    a_decision_is_about_what_was_on_the_screen
    the_second_decision_learns_of_the_first
    switches_and_desktops
    keys_are_shown_once_and_never_wider
    every_page_has_its_headers
    changed_files_are_called_out
    files_are_kept_for_good
    only_our_own_words_are_shown
}

async fn owner(world: &World) -> Person {
    world.person("owner@example.org").await
}

async fn count(world: &World, path: &str) -> usize {
    world
        .get(path)
        .await
        .is(200)
        .as_array()
        .expect("a list")
        .len()
}

/// The id in an address such as `/tasks/ID?done=created`.
fn id_of(address: &str) -> String {
    let id = address.strip_prefix("/tasks/").expect("a task");
    id.split('?').next().unwrap_or_default().to_owned()
}

async fn a_task_is_created_once(world: &World) {
    let person = owner(world).await;
    let (desktop, _) = world.desktop().await;
    let [one, two] = [
        world.task(&desktop, json!({})).await,
        world.task(&desktop, json!({})).await,
    ];
    let form = world.page(&person.cookie, "/tasks/new").await.shows(200);
    let key = value(&form, "idempotencyKey");
    assert!(key.len() >= 32);
    let fields = [
        ("idempotencyKey", key.as_str()),
        ("type", "command"),
        ("title", "A <b>title</b>"),
        ("content", "make\r\nmake install"),
        ("desktopId", &desktop),
        ("requiresApproval", "on"),
        ("dependsOn", &one),
        ("dependsOn", &two),
        ("autoRun", "on"),
        ("onDependencyFailure", "cancel"),
    ];
    let created = world.form(&person.cookie, "/tasks/new", &fields).await;
    let address = created.leads().to_owned();
    assert!(address.ends_with("?done=created"), "{address}");
    let task = world.get(&of_task(&id_of(&address), "")).await.is(200);
    for (name, expected) in [
        ("type", json!("command")),
        ("title", json!("A <b>title</b>")),
        ("content", json!("make\nmake install")),
        ("desktopId", json!(desktop)),
        ("requiresApproval", json!(true)),
        ("dependsOn", json!([one, two])),
        ("autoRun", json!(true)),
        ("onDependencyFailure", json!("cancel")),
        ("status", json!("pending")),
    ] {
        assert_eq!(task[name], expected, "{name}");
    }
    assert_eq!(task["createdBy"]["id"], person.user.to_string());
    let page = world.page(&person.cookie, &address).await.shows(200);
    assert!(page.contains("Task created.") && !page.contains("<b>title"));
    // an impatient second press, and two at once
    let (again, more) = tokio::join!(
        world.form(&person.cookie, "/tasks/new", &fields),
        world.form(&person.cookie, "/tasks/new", &fields)
    );
    assert_eq!([again.leads(), more.leads()], [&address, &address]);
    assert_eq!(count(world, TASKS).await, 3);
    // the dialog gets its answer in a header
    let dialog = world
        .browse(&person.cookie, "POST", "/tasks/new")
        .header("hx-request", "true");
    let dialog = send(filled(dialog, &fields)).await;
    assert_eq!(
        (dialog.status, dialog.header("hx-redirect")),
        (204, address.as_str())
    );
}

async fn what_was_typed_is_kept(world: &World) {
    let person = owner(world).await;
    let (desktop, _) = world.desktop().await;
    let long = "t".repeat(201);
    let stranger = world.strange_person().await;
    let theirs = world
        .form(&stranger.cookie, "/desktops", &[("name", "theirs")])
        .await;
    assert_eq!(theirs.status, 201);
    for (title, content, desktop_id, depends_on) in [
        (long.as_str(), "what was typed", desktop.as_str(), ""),
        ("a title", "", &desktop, ""),
        ("a title", "what was typed", "", ""),
        ("a title", "what was typed", "nonsense", ""),
        (
            "a title",
            "what was typed",
            "desk_00000000000000000000000000",
            "",
        ),
        (
            "a title",
            "what was typed",
            &desktop,
            "task_00000000000000000000000000",
        ),
        ("a title", "what was typed", &desktop, "nonsense"),
    ] {
        let fields = [
            ("title", title),
            ("content", content),
            ("desktopId", desktop_id),
            ("dependsOn", depends_on),
            ("requiresApproval", "on"),
        ];
        let answer = world.form(&person.cookie, "/tasks/new", &fields).await;
        let page = answer.shows(422);
        assert!(page.contains(&format!("value=\"{title}\"")), "{title}");
        assert!(
            page.contains(&format!(">{content}</textarea>")),
            "{content}"
        );
        assert!(page.contains("role=\"alert\"") && page.contains("<html"));
        let part = world
            .browse(&person.cookie, "POST", "/tasks/new")
            .header("hx-request", "true");
        let part = send(filled(part, &fields)).await.shows(422);
        assert!(part.contains(content) && !part.contains("<html"));
    }
    let nul = world
        .form(&person.cookie, "/tasks/new", &[("content", "a\0b")])
        .await;
    assert_eq!(nul.status, 400);
    let huge = "x".repeat(3 << 20);
    let huge = world
        .form(&person.cookie, "/tasks/new", &[("content", &huge)])
        .await;
    assert_eq!(huge.status, 413);
    assert_eq!(count(world, TASKS).await, 0);
}

async fn a_task_is_run_cancelled_and_retried(world: &World) {
    let person = owner(world).await;
    let (desktop, _) = world.desktop().await;
    let task = world.task(&desktop, json!({"title": "first"})).await;
    let page = format!("/tasks/{task}");
    let send_to = |call: &str| format!("{page}/{call}");
    for _ in 0..2 {
        // a second press finds it running
        assert_eq!(
            world
                .form(&person.cookie, &send_to("run"), &[])
                .await
                .leads(),
            page
        );
        assert_eq!(world.status(&task).await, "running");
    }
    world
        .page(&person.cookie, &send_to("cancel"))
        .await
        .shows(200);
    assert_eq!(world.status(&task).await, "running");
    let cancelled = world.form(&person.cookie, &send_to("cancel"), &[]).await;
    assert_eq!(cancelled.leads(), format!("{page}?done=cancelled"));
    assert_eq!(
        world
            .form(&person.cookie, &send_to("cancel"), &[])
            .await
            .leads(),
        page
    );
    assert_eq!(world.status(&task).await, "cancelled");
    let form = world
        .page(&person.cookie, &send_to("retry"))
        .await
        .shows(200);
    let key = value(&form, "idempotencyKey");
    let bad = [("content", ""), ("title", &"t".repeat(201))];
    assert!(
        world
            .form(&person.cookie, &send_to("retry"), &bad)
            .await
            .shows(422)
            .contains("role=\"alert\"")
    );
    let fields = [
        ("idempotencyKey", key.as_str()),
        ("content", "a\r\nb"),
        ("title", "second"),
        ("run", "on"),
    ];
    let retried = world.form(&person.cookie, &send_to("retry"), &fields).await;
    let address = retried.leads().to_owned();
    let view = world.get(&of_task(&id_of(&address), "")).await.is(200);
    let got = [
        &view["content"],
        &view["title"],
        &view["status"],
        &view["retryOf"],
    ];
    assert_eq!(
        got,
        [
            &json!("a\nb"),
            &json!("second"),
            &json!("running"),
            &json!(task)
        ]
    );
    let again = world.form(&person.cookie, &send_to("retry"), &fields).await;
    assert_eq!(again.leads(), address, "once");
    assert_eq!(count(world, TASKS).await, 2);
}

async fn a_decision_is_about_what_was_on_the_screen(world: &World) {
    let person = owner(world).await;
    let (desktop, agent) = world.desktop().await;
    let task = world.reviewed(&desktop, &agent).await;
    let sealed = task["evidenceSha256"].as_str().expect("a digest");
    let path = format!("/tasks/{}/decide", task["id"].as_str().expect("an id"));
    let before = world.head().await;
    let form = world
        .page(&person.cookie, &format!("{path}?decision=approve"))
        .await
        .shows(200);
    assert!(form.contains(&format!("<code>{sealed}</code>")));
    assert_eq!(value(&form, "evidenceSha256"), sealed);
    let other = "0".repeat(64);
    let fields = [
        ("decision", "approve"),
        ("evidenceSha256", other.as_str()),
        ("feedback", "kept <note>"),
    ];
    let mismatch = world.form(&person.cookie, &path, &fields).await.shows(409);
    assert!(mismatch.contains("evidence has changed") && mismatch.contains("kept &#60;note&#62;"));
    assert_eq!(value(&mismatch, "evidenceSha256"), sealed);
    // no decision, or none that there is, is not a rejection
    for word in ["", "Approve", "approved"] {
        let fields = [("decision", word), ("evidenceSha256", sealed)];
        world.form(&person.cookie, &path, &fields).await.shows(422);
    }
    let long = "n".repeat(10_001);
    let long = [("decision", "reject"), ("feedback", long.as_str())];
    world.form(&person.cookie, &path, &long).await.shows(422);
    let require = json!({"requireEvidence": true});
    let settings = world.request(&world.owner, "PATCH", "/api/mission-control/settings");
    send(settings.json(&require)).await.is(200);
    world
        .form(&person.cookie, &path, &[("decision", "approve")])
        .await
        .shows(428);
    assert_eq!(world.head().await, before + 1, "only the setting");
    let key = value(&form, "idempotencyKey");
    let fields = [
        ("idempotencyKey", key.as_str()),
        ("decision", "reject"),
        ("evidenceSha256", sealed),
        ("feedback", "line\r\nline"),
    ];
    let rejected = world.form(&person.cookie, &path, &fields).await;
    assert!(rejected.leads().ends_with("?done=rejected"));
    let task = world
        .get(&of_task(task["id"].as_str().expect("an id"), ""))
        .await
        .is(200);
    let review = &task["review"];
    assert_eq!(task["status"], "failed");
    assert_eq!(
        (&review["decision"], &review["feedback"]),
        (&json!("reject"), &json!("line\nline"))
    );
    assert_eq!(review["decidedBy"]["id"], person.user.to_string());
    let repeated = world.form(&person.cookie, &path, &fields).await;
    assert_eq!(repeated.leads(), rejected.leads(), "the same press again");
}

async fn the_second_decision_learns_of_the_first(world: &World) {
    let person = owner(world).await;
    let colleague = world.person("colleague@example.org").await;
    let (desktop, agent) = world.desktop().await;
    let task = world.reviewed(&desktop, &agent).await;
    let path = format!("/tasks/{}/decide", task["id"].as_str().expect("an id"));
    let approve = [("decision", "approve")];
    world.form(&person.cookie, &path, &approve).await.leads();
    let before = world.head().await;
    for decision in ["approve", "reject"] {
        let second = world
            .form(&colleague.cookie, &path, &[("decision", decision)])
            .await
            .shows(409);
        assert!(second.contains("owner@example.org") && second.contains("changed nothing"));
    }
    let other = world
        .form(&person.cookie, &path, &[("decision", "reject")])
        .await
        .shows(409);
    assert!(other.contains("Your rejection changed nothing"));
    let same = world.form(&person.cookie, &path, &approve).await.shows(200);
    assert!(
        !same.contains("changed nothing"),
        "what stands is what was wished"
    );
    world.page(&colleague.cookie, &path).await.shows(200);
    assert_eq!(world.head().await, before);
    assert_eq!(
        world.status(task["id"].as_str().expect("an id")).await,
        "done"
    );
}

async fn switches_and_desktops(world: &World) {
    let person = owner(world).await;
    let settings = "/settings/mission-control";
    let (gate, evidence) = (("taskApprovalMode", "on"), ("requireEvidence", "on"));
    let shown = [("shown", "taskApprovalMode"), ("shown", "requireEvidence")];
    for (fields, expected) in [
        (vec![gate], [true, false]),
        // from a page that was opened before the gate was closed: it stays so
        (vec![evidence], [true, true]),
        (vec![], [true, true]),
        (vec![shown[0], shown[1], evidence], [false, true]),
    ] {
        world.form(&person.cookie, settings, &fields).await.leads();
        let now = world.get("/api/mission-control/settings").await.is(200);
        let now = [&now["taskApprovalMode"], &now["requireEvidence"]];
        assert_eq!(now, [&json!(expected[0]), &json!(expected[1])]);
    }
    let page = world.page(&person.cookie, "/desktops").await.shows(200);
    let key = value(&page, "idempotencyKey");
    let fields = [("idempotencyKey", key.as_str()), ("name", "build <1>")];
    let added = world.form(&person.cookie, "/desktops", &fields).await;
    let page = added.shows(201);
    assert_eq!(
        page.matches("csk_agent_").count(),
        2,
        "in the command and alone"
    );
    assert!(page.contains(&format!("--server http://{}", world.address())));
    let again = world.form(&person.cookie, "/desktops", &fields).await;
    assert_eq!(
        again.leads(),
        "/desktops",
        "a second press shows and makes nothing"
    );
    assert_eq!(count(world, "/api/desktops").await, 1);
    assert_eq!(count(world, "/api/auth/api-keys").await, 2);
    let (_, rest) = page.split_once("id=\"key\"").expect("the key");
    let secret = rest.split(['>', '<']).nth(1).expect("its text");
    let desktops = world.get("/api/desktops").await.is(200);
    let id = desktops[0]["id"].as_str().expect("an id");
    let claim = format!("/api/desktops/{id}/claim");
    assert_eq!(
        world.post_as(secret, &claim, &json!({})).await.status,
        204,
        "it works"
    );
    for path in [
        "/desktops",
        "/desktops/list",
        "/settings/api-keys",
        "/activity",
        "/board",
    ] {
        let page = world.page(&person.cookie, path).await.shows(200);
        assert!(!page.contains("csk_agent_"), "{path}");
    }
    world
        .form(&person.cookie, "/desktops", &[("name", "")])
        .await
        .shows(422);
    let remove = format!("/desktops/{id}/remove");
    let asked = world.page(&person.cookie, &remove).await.shows(200);
    let key = value(&asked, "idempotencyKey");
    for press in ["first", "second"] {
        let fields = [("idempotencyKey", key.as_str())];
        let answer = world.form(&person.cookie, &remove, &fields).await;
        assert_eq!(answer.leads(), "/desktops?done=removed", "{press}");
    }
    // somebody who comes later
    world.form(&person.cookie, &remove, &[]).await.shows(404);
    assert_eq!(count(world, "/api/desktops").await, 0);
    world
        .get_as(secret, TASKS)
        .await
        .problem(401, "unauthenticated");
}

async fn keys_are_shown_once_and_never_wider(world: &World) {
    let person = owner(world).await;
    let address = "/settings/api-keys";
    let key = value(
        &world.page(&person.cookie, address).await.shows(200),
        "idempotencyKey",
    );
    let fields = [
        ("idempotencyKey", key.as_str()),
        ("name", "a script"),
        ("kind", "service"),
        ("capability", "tasks:read"),
        ("capability", "tasks:write"),
    ];
    let page = world
        .form(&person.cookie, address, &fields)
        .await
        .shows(201);
    let (_, rest) = page.split_once("id=\"key\"").expect("the key");
    let secret = rest.split(['>', '<']).nth(1).expect("its text").to_owned();
    world.get_as(&secret, TASKS).await.is(200);
    world
        .get_as(&secret, "/api/auth/api-keys")
        .await
        .problem(403, "forbidden");
    let again = world.form(&person.cookie, address, &fields).await;
    assert_eq!(again.leads(), address);
    assert_eq!(count(world, "/api/auth/api-keys").await, 2);
    assert!(
        !world
            .page(&person.cookie, address)
            .await
            .shows(200)
            .contains(&secret[..20])
    );
    // wider than its maker, or than its kind
    let narrow =
        json!({"name": "narrow", "kind": "human", "capabilities": ["keys:write", "tasks:read"]});
    let narrow = world.key(narrow).await;
    let no_keys = json!({"name": "no keys", "kind": "human", "capabilities": ["desktops:write", "tasks:read"]});
    let no_keys = world.key(no_keys).await;
    let before = world.head().await;
    let wider = [
        ("name", "wider"),
        ("kind", "human"),
        ("capability", "approvals:decide"),
    ];
    let by_key = world
        .request(&narrow, "POST", address)
        .header("accept", "text/html");
    let refused = send(filled(by_key, &wider)).await.shows(403);
    assert!(refused.contains("role=\"alert\"") && !refused.contains("csk_"));
    // a desktop comes with a key: whoever may not make one makes neither
    let add = world.request(&no_keys, "POST", "/desktops");
    let add = add.header("accept", "text/html");
    send(filled(add, &[("name", "alone")])).await.shows(403);
    for wrong in [
        [
            ("name", "wide"),
            ("kind", "service"),
            ("capability", "approvals:decide"),
        ],
        [
            ("name", "wide"),
            ("kind", "agent"),
            ("capability", "tasks:read"),
        ],
        [
            ("name", "wide"),
            ("kind", "human"),
            ("capability", "tasks:raed"),
        ],
        [("name", "wide"), ("kind", ""), ("capability", "tasks:read")],
        [
            ("name", ""),
            ("kind", "human"),
            ("capability", "tasks:read"),
        ],
    ] {
        let page = world.form(&person.cookie, address, &wrong).await;
        let page = page.shows(422);
        assert!(page.contains("role=\"alert\""), "{wrong:?}");
    }
    assert_eq!(world.head().await, before, "and nothing happened");
    let keys = world.get("/api/auth/api-keys").await.is(200);
    let key = keys
        .as_array()
        .expect("keys")
        .iter()
        .find(|key| key["name"] == "a script");
    let revoke = format!(
        "{address}/{}/revoke",
        key.expect("it")["id"].as_str().expect("an id")
    );
    let asked = world.page(&person.cookie, &revoke).await.shows(200);
    world.get_as(&secret, TASKS).await.is(200);
    let key = value(&asked, "idempotencyKey");
    for press in ["first", "second"] {
        let fields = [("idempotencyKey", key.as_str())];
        let answer = world.form(&person.cookie, &revoke, &fields).await;
        assert!(answer.leads().ends_with("?done=revoked"), "{press}");
    }
    world.form(&person.cookie, &revoke, &[]).await.shows(404);
    world
        .get_as(&secret, TASKS)
        .await
        .problem(401, "unauthenticated");
}

async fn every_page_has_its_headers(world: &World) {
    let person = owner(world).await;
    let (desktop, agent) = world.desktop().await;
    let task = world.reviewed(&desktop, &agent).await;
    let task = task["id"].as_str().expect("an id");
    let pages = PAGES.iter().filter(|route| route.verb == Verb::Get);
    for route in pages.filter(|route| !matches!(route.path, "/" | "/live" | "/assets/{name}")) {
        let id = if route.path.starts_with("/desktops") {
            &desktop
        } else {
            task
        };
        // a key by that id is none: the page that says so has the same headers
        let path = route.path.replace("{id}", id);
        let path = if path == "/board/older" {
            format!("{path}?status=done")
        } else {
            path
        };
        let cookie = if route.access == Access::Public {
            ""
        } else {
            &person.cookie
        };
        let request = world
            .browse(cookie, "GET", &path)
            .header("accept-encoding", "gzip");
        let answer = send(request).await;
        assert!(
            matches!(answer.status, 200 | 404),
            "{path}: {}",
            answer.status
        );
        let policy = answer.header("content-security-policy");
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(
                policy.split("; ").any(|part| part == directive),
                "{path}: {directive}"
            );
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{policy}"
        );
        for (name, expected) in [
            ("content-type", "text/html; charset=utf-8"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
            ("content-encoding", "gzip"),
        ] {
            assert_eq!(answer.header(name), expected, "{path}: {name}");
        }
        let plain = send(world.browse(cookie, "GET", &path)).await;
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        let text = plain.text();
        let secret = person.cookie.split('=').nth(1).expect("the secret");
        assert!(!text.contains(secret) && !text.contains("csk_"), "{path}");
        for inline in ["<script>", " style=\"", " onclick=", "javascript:", "hx-on"] {
            assert!(!text.contains(inline), "{path}: {inline}");
        }
    }
    let live = world
        .browse(&person.cookie, "GET", "/live")
        .header("accept-encoding", "gzip, br");
    let live = live.send().await.expect("an answer");
    let encoding = live.headers().get("content-encoding");
    assert!(
        encoding.is_none_or(|encoding| encoding == "identity"),
        "{encoding:?}"
    );
    for path in [format!("{TASKS}?limit=200"), "/openapi.json".to_owned()] {
        let answer = send(world.request(&world.owner, "GET", &path)).await;
        let policy = answer.header("content-security-policy");
        assert!(!policy.contains("'self'"), "{path}: JSON is no page");
    }
}

async fn changed_files_are_called_out(world: &World) {
    let person = owner(world).await;
    let (desktop, agent) = world.desktop().await;
    let task = world
        .task(&desktop, json!({"requiresApproval": true, "autoRun": true}))
        .await;
    let (_, token) = world.claim(&desktop, &agent).await;
    let [diff, says_binary, content, nul] = [
        "--- a\n+++ b\n@@ -1 +1,2 @@\n-x\n+y\n+z\n",
        "Binary files a/logo and b/logo differ\n",
        "text",
        "\u{89}PNG\0",
    ]
    .map(|text| STANDARD.encode(text));
    let files = json!({"files": [
        {"path": "a.txt", "change": "modified", "mode": "100644", "oldMode": "100644", "diffBase64": diff, "contentBase64": content},
        {"path": "b.png", "change": "added", "mode": "100644", "contentBase64": nul},
        {"path": "c.ico", "change": "modified", "mode": "100644", "oldMode": "100644", "diffBase64": says_binary},
        {"path": "d.sh", "change": "modified", "mode": "100755", "oldMode": "100644"},
        {"path": "e.link", "change": "added", "mode": "120000"},
        {"path": "f.gone", "change": "deleted", "oldMode": "100644", "truncated": true},
    ]});
    world
        .leased(&agent, &token, &of_task(&task, "files"), &files)
        .await
        .is(202);
    let page = format!("/tasks/{task}?tab=files");
    let page = world.page(&person.cookie, &page).await.shows(200);
    let rows: Vec<String> = page
        .split("<tr><td>")
        .skip(1)
        .map(|row| words(row.split("</tr>").next().unwrap_or_default()))
        .collect();
    assert_eq!(
        rows[..6],
        [
            "a.txt Modified +2 −1",
            "b.png Binary Added",
            "c.ico Binary Modified",
            "d.sh Now executable Modified",
            "e.link Symbolic link Added",
            "f.gone Cut at upload Deleted",
        ]
    );
    let heads = page
        .split("<summary>")
        .skip(1)
        .map(|head| words(head.split("</summary>").next().unwrap_or_default()));
    // the first of all is the one for a phone
    let heads: Vec<String> = heads.filter(|head| head.contains('.')).skip(1).collect();
    assert_eq!(
        heads,
        [
            "a.txt Modified +2 −1",
            "b.png Added Binary",
            "c.ico Modified Binary",
            "d.sh Modified Now executable",
            "e.link Added Symbolic link",
            "f.gone Deleted Cut at upload",
        ]
    );
    let raw = |n: usize, part: &str| page.contains(&of_task(&task, &format!("files/{n}/{part}\"")));
    let offered: Vec<(bool, bool)> = (1..=4).map(|n| (raw(n, "diff"), raw(n, "raw"))).collect();
    assert_eq!(
        offered,
        [(true, true), (false, true), (true, false), (false, false)],
        "diff and content as downloads"
    );
    assert!(page.contains("there are no lines to compare"));
    assert!(page.contains("sent no diff of this file"));
}

/// What a piece of a page says.
fn words(html: &str) -> String {
    let texts = html.split('<').map(|tag| match tag.split_once('>') {
        Some((_, text)) => text,
        None => tag,
    });
    let said: Vec<&str> = texts.flat_map(str::split_whitespace).collect();
    said.join(" ")
}

async fn files_are_kept_for_good(world: &World) {
    let page = world.page("", "/sign-in").await.shows(200);
    let mut seen = 0;
    for part in page.split("/assets/").skip(1) {
        let address = format!("/assets/{}", part.split('"').next().unwrap_or_default());
        let (_, hash) = address.split_once("?v=").expect("a hash");
        let file = send(world.request("", "GET", &address)).await;
        assert_eq!(file.status, 200, "{address}");
        assert_eq!(
            file.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        assert_eq!(file.header("etag"), format!("\"{hash}\""));
        assert_eq!(file.header("set-cookie"), "");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        seen += 1;
    }
    assert!(seen >= 3, "{seen}");
    for none in [
        "/assets/nothing",
        "/assets/..%2fCargo.toml",
        "/assets/%2e%2e",
        "/assets/app.css%00",
    ] {
        let answer = send(world.request("", "GET", none)).await;
        assert!(
            matches!(answer.status, 400 | 401 | 404),
            "{none}: {}",
            answer.status
        );
        assert_ne!(
            answer.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
    }
    send(world.request("", "GET", "/assets/nothing"))
        .await
        .problem(404, "not-found");
}

async fn only_our_own_words_are_shown(world: &World) {
    let person = owner(world).await;
    let board = world
        .page(&person.cookie, "/board?done=cancelled")
        .await
        .shows(200);
    assert!(board.contains("Task cancelled."));
    let markers = [
        "%3Cscript%3Eevilword",
        "evilword",
        "%22%3E%3Cimg%20src=x%20evilword",
    ];
    for path in [
        "/board",
        "/approvals",
        "/activity",
        "/desktops",
        "/settings/account",
        "/settings/api-keys",
    ] {
        for marker in markers {
            let page = world
                .page(&person.cookie, &format!("{path}?done={marker}"))
                .await
                .shows(200);
            assert!(!page.contains("evilword"), "{path} {marker}");
        }
    }
    let sign_in = world
        .page("", "/sign-in?error=evilword&email=%22%3E%3Cscript%3Eevil")
        .await
        .shows(200);
    assert!(!sign_in.contains("evilword") && !sign_in.contains("<script>evil"));
    let found = world
        .page(&person.cookie, "/board?q=%22%3E%3Cscript%3Eevil")
        .await
        .shows(200);
    assert!(!found.contains("<script>evil"));
}
