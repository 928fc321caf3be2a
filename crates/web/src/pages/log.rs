//! `/activity`: the log of the account, newest first.

use store::ActivityPage as Rows;

use super::events;
use super::fields::Fields;
use super::frame::{Live, frame};
use super::html;
use super::view::Nav;
use super::view::activity::{ActivityList, ActivityLog, ActivityPage};
use super::view::board::Choice;
use crate::call::Call;
use crate::problem::{Failure, Reply};
use crate::show;

/// Rows of a page.
const LENGTH: i64 = 50;

/// What the log can be filtered by: types, or what they begin with.
const TYPES: &[(&str, &str)] = &[
    ("", "Everything"),
    ("task.", "Tasks"),
    ("approval.", "Approvals"),
    ("approval.resolved", "Decisions"),
    ("settings.", "Settings"),
    ("desktop.", "Desktops"),
    ("key.", "API keys"),
];

/// The log.
pub(crate) async fn page(call: Call, query: Fields) -> Reply {
    let chosen = kind(&query).unwrap_or_default();
    let types = TYPES.iter().map(|(value, label)| Choice {
        value: (*value).to_owned(),
        label: show::line(label),
        selected: *value == chosen,
    });
    let page = ActivityPage {
        types: types.collect(),
        log: read(&call, &query).await?,
        frame: frame(&call, "Activity", Nav::Activity, Live::Account).await?,
    };
    html::ok(&call.request, &page)
}

/// Its rows alone, for the page that keeps itself current.
pub(crate) async fn list(call: Call, query: Fields) -> Reply {
    let log = read(&call, &query).await?;
    html::ok(&call.request, &ActivityList { log })
}

/// The type that is asked for, if it is one of ours.
fn kind(query: &Fields) -> Option<&'static str> {
    let asked = query.text("type")?;
    TYPES
        .iter()
        .map(|(value, _)| *value)
        .find(|value| *value == asked)
}

async fn read(call: &Call, query: &Fields) -> Result<ActivityLog, Failure> {
    let account = call.account();
    let before: Option<i64> = query.parsed("before");
    let kind = kind(query).filter(|kind| !kind.is_empty());
    let (rows, names) = call
        .read(move |reads| {
            let rows: Rows = reads.activity_before(account, before, kind, LENGTH)?;
            let names = events::names(reads, account, &rows.rows)?;
            Ok((rows, names))
        })
        .await?;
    let chosen = kind.map(|kind| format!("?type={kind}")).unwrap_or_default();
    let live = match before {
        // older rows do not change
        Some(_) => String::new(),
        None => format!("/activity/list{chosen}"),
    };
    Ok(ActivityLog {
        live,
        events: events::in_words(call, &rows.rows, &names),
        older: rows.next.map(|seq| older(kind, seq)),
        is_filtered: kind.is_some(),
    })
}

fn older(kind: Option<&str>, before: i64) -> String {
    let kind = kind.map(|kind| format!("type={kind}&")).unwrap_or_default();
    format!("/activity?{kind}before={before}")
}
