//! The log: gapless, chained, silent about contents; and the hints that it grew.

use approval_core::{DecisionRequest, Digest, Outcome, RetryChanges, Settings};
use store::{Change, Command};
use test_support::{Engine, Site, check_chain};

use super::{events_after, hears, log, log_end};

pub async fn the_log_is_gapless_and_its_hashes_chain(site: &mut Site) {
    let secret = "the words of the content";
    let id = site.to_review(secret).await.state.id;
    site.review(id, DecisionRequest::reject("the words of the reviewer"))
        .await;
    let changes = RetryChanges::default();
    site.done(&site.person, Command::RetryTask { task: id, changes })
        .await;
    site.add_desktop("second").await;
    let work = site.start(site.wish(secret)).await;
    site.finish(&work, Outcome::Failed).await;
    let (other, stranger) = site.add_account("eve@example.org");
    let foreign = store::Request {
        account: other,
        ..site.request(
            &stranger,
            Command::CreateDesktop {
                name: "other".to_owned(),
            },
        )
    };
    site.store.submit(foreign).await.unwrap();

    let rows = log(site).await;
    check_chain(site.account, &rows);
    assert!(rows.len() > 15, "{}", rows.len());
    assert_eq!(log_end(site).await, i64::try_from(rows.len()).unwrap());
    for row in &rows {
        assert!(!row.payload.contains("words"), "{}", row.payload);
        // the independent reading of the contract: JSON of the row without `hash`, sorted members
        let json = serde_json::json!({
            "seq": row.seq, "accountId": site.account.to_string(), "type": row.kind,
            "payload": serde_json::from_str::<serde_json::Value>(&row.payload).unwrap(),
            "actor": {"kind": row.actor.kind.as_str(), "name": row.actor.name,
                "id": match row.actor.id {
                    approval_core::PrincipalId::System => None,
                    id => Some(id.to_string()),
                }},
            "at": row.at.to_string(), "prevHash": row.prev_hash,
        });
        let hash = Digest::of(test_support::canonical(&json).as_bytes());
        assert_eq!(row.hash, hash.to_string(), "{json}");
    }
    let account = site.account;
    let page = site.read(move |reads| reads.activity(account, 4, 3)).await;
    assert_eq!(page, rows[4..7]);
    let foreign = site.read(move |reads| reads.activity(other, 0, 9)).await;
    check_chain(other, &foreign);
    assert_eq!(foreign.len(), 1);
}

pub async fn settings_change_one_by_one_and_log_only_changes(site: &mut Site) {
    let change = |task_approval_mode, require_evidence| Command::ChangeSettings {
        task_approval_mode,
        require_evidence,
    };
    let end = log_end(site).await;
    site.done(&site.person, change(None, None)).await;
    site.done(&site.person, change(Some(false), Some(false)))
        .await;
    assert_eq!(log_end(site).await, end);
    site.done(&site.person, change(Some(true), None)).await;
    site.done(&site.person, change(None, Some(true))).await;
    site.done(&site.person, change(Some(true), Some(true)))
        .await;
    assert_eq!(
        events_after(site, end).await,
        ["settings.changed by human", "settings.changed by human"]
    );
    let account = site.account;
    let settings = site.read(move |reads| reads.settings(account)).await;
    let both = Settings {
        task_approval_mode: true,
        require_evidence: true,
    };
    assert_eq!(settings, both);
}

pub async fn listeners_learn_what_was_committed(site: &mut Site) {
    let mut own = site.store.changes();
    // another process on the same database, where there can be one
    let mut other = (site.db.engine() == Engine::Postgres).then(|| site.add_replica().changes());
    // LISTEN takes a moment
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let id = site.queue(site.wish("x")).await;
    let seq = log_end(site).await;
    let account = site.account;
    let desktop = site.desktop.id;
    let work = site.claim().await.unwrap();
    site.print(&work, 0, "hello").await;
    let queued = [
        Change::Activity { account, seq },
        Change::Queued { desktop },
    ];
    for change in queued {
        hears(&mut own, change).await;
    }
    hears(&mut own, Change::Uploaded { task: id }).await;
    if let Some(other) = &mut other {
        for change in queued {
            hears(other, change).await;
        }
    }
}
