//! `/live`: what a page is told while it is open (contract section 4; guarantees E2, G8).

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::people::Person;
use crate::world::{Event, Events, World, of_task};

crate::on_both_engines! {
    a_page_hears_what_has_changed
    a_page_goes_on_where_it_was
    a_page_follows_a_log
    a_page_hears_nothing_foreign
    a_page_hears_that_its_session_is_over
}

async fn open(world: &World, person: &Person, path: &str, last: Option<&str>) -> Events {
    let mut request = world.browse(&person.cookie, "GET", path);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = request.timeout(Duration::from_mins(1)).send().await;
    Events::new(response.expect("an answer"))
}

async fn next(events: &mut Events, name: &str) -> Event {
    let event = async {
        loop {
            let event = events.next().await.expect("an event");
            if event.name == name {
                return event;
            }
        }
    };
    timeout(Duration::from_secs(10), event).await.expect("soon")
}

fn data(event: &Event) -> Value {
    serde_json::from_str(&event.data).expect("JSON")
}

async fn a_page_hears_what_has_changed(world: &World) {
    let person = world.person("owner@example.org").await;
    let (desktop, agent) = world.desktop().await;
    let mut events = open(world, &person, "/live", None).await;
    let task = world
        .task(
            &desktop,
            json!({"requiresApproval": true, "content": "secret words"}),
        )
        .await;
    let change = data(&next(&mut events, "change").await);
    let created = json!({"types": ["task.created"], "tasks": [task], "pending": 0});
    assert_eq!(change, created, "and no contents");
    world.work(&desktop, &agent, &task).await;
    let mut types = Vec::new();
    let last = loop {
        let event = next(&mut events, "change").await;
        let change = data(&event);
        types.extend(
            change["types"]
                .as_array()
                .expect("types")
                .iter()
                .map(Value::to_string),
        );
        if types.iter().any(|kind| kind.contains("approval.created")) {
            assert_eq!(change["pending"], 1);
            assert_eq!(change["tasks"], json!([task]));
            break event;
        }
    };
    assert!(
        types.iter().any(|kind| kind.contains("task.completed")),
        "{types:?}"
    );
    assert_eq!(last.id, world.head().await.to_string());
    world
        .form(
            &person.cookie,
            &format!("/tasks/{task}/decide"),
            &[("decision", "approve")],
        )
        .await
        .leads();
    let change = data(&next(&mut events, "change").await);
    assert_eq!(
        change,
        json!({"types": ["approval.resolved"], "tasks": [task], "pending": 0})
    );
}

async fn a_page_goes_on_where_it_was(world: &World) {
    let person = world.person("owner@example.org").await;
    let (desktop, _) = world.desktop().await;
    let page = world.page(&person.cookie, "/board").await.shows(200);
    let (_, address) = page
        .split_once("/live?after=")
        .expect("the stream of the page");
    let after: i64 = address
        .split(['"', '&'])
        .next()
        .expect("a number")
        .parse()
        .expect("a number");
    assert_eq!(after, world.head().await, "from what the page shows");
    // between the page and its stream
    let missed = world.task(&desktop, json!({})).await;
    let path = format!("/live?after={after}");
    let event = next(&mut open(world, &person, &path, None).await, "change").await;
    assert_eq!(data(&event)["tasks"], json!([missed]));
    let later = world.task(&desktop, json!({})).await;
    let event = next(
        &mut open(world, &person, &path, Some(&event.id)).await,
        "change",
    )
    .await;
    assert_eq!(data(&event)["tasks"], json!([later]), "the header wins");
    // a number of the future hides nothing
    let mut ahead = open(world, &person, "/live?after=999999", None).await;
    let new = world.task(&desktop, json!({})).await;
    assert_eq!(
        data(&next(&mut ahead, "change").await)["tasks"],
        json!([new])
    );
}

async fn log(world: &World, lease: (&str, &str), task: &str, sent: i64, base64: &str) {
    let entry =
        json!({"seq": sent, "stream": "stdout", "at": "2026-03-15T10:05:00Z", "base64": base64});
    let logs = json!({"entries": [entry]});
    world
        .leased(lease.0, lease.1, &of_task(task, "logs"), &logs)
        .await
        .is(202);
}

async fn a_page_follows_a_log(world: &World) {
    let person = world.person("owner@example.org").await;
    let (desktop, agent) = world.desktop().await;
    let task = world.task(&desktop, json!({"autoRun": true})).await;
    let (_, token) = world.claim(&desktop, &agent).await;
    let path = format!("/live?task={task}&log=-1");
    let mut events = open(world, &person, &path, None).await;
    // <img onerror=x>\n and then ESC[31mred\n
    log(
        world,
        (&agent, &token),
        &task,
        0,
        "PGltZyBvbmVycm9yPXg+Cg==",
    )
    .await;
    let event = next(&mut events, "log").await;
    assert!(
        event.data.contains("img onerror=x") && !event.data.contains("<img"),
        "{event:?}"
    );
    log(world, (&agent, &token), &task, 1, "G1szMW1yZWQK").await;
    let event = next(&mut events, "log").await;
    assert!(
        event.data.contains("a-fg-1") && event.data.contains("red"),
        "{event:?}"
    );
    assert!(
        !event.data.contains('\u{1b}') && !event.data.contains("onerror"),
        "once each"
    );
    // a page that shows the first entry gets the second alone
    let mut later = open(world, &person, &format!("/live?task={task}&log=0"), None).await;
    assert!(!next(&mut later, "log").await.data.contains("onerror"));
}

async fn a_page_hears_nothing_foreign(world: &World) {
    let person = world.person("owner@example.org").await;
    let stranger = world.strange_person().await;
    let (desktop, agent) = world.desktop().await;
    let task = world.task(&desktop, json!({"autoRun": true})).await;
    let (_, token) = world.claim(&desktop, &agent).await;
    log(world, (&agent, &token), &task, 0, "eAo=").await;
    let mut ours = open(world, &person, &format!("/live?task={task}&log=-1"), None).await;
    next(&mut ours, "log").await;
    let path = format!("/live?task={task}&log=-1");
    let mut theirs = open(world, &stranger, &path, None).await;
    log(world, (&agent, &token), &task, 1, "eAo=").await;
    next(&mut ours, "log").await;
    let heard = timeout(Duration::from_secs(2), theirs.next()).await;
    assert!(heard.is_err(), "{heard:?}");
}

async fn a_page_hears_that_its_session_is_over(world: &World) {
    let person = world.person("owner@example.org").await;
    let mut events = open(world, &person, "/live", None).await;
    world.form(&person.cookie, "/sign-out", &[]).await.leads();
    world.desktop().await;
    let end = async {
        next(&mut events, "ended").await;
        events.next().await
    };
    let after = timeout(Duration::from_secs(5), end).await.expect("in time");
    assert_eq!(after, None, "and nothing afterwards");
}
