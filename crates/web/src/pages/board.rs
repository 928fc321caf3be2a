//! `/board`: all tasks in five columns.

use std::collections::HashMap;

use approval_core::{DesktopId, Status, TaskId};
use contract::Code;
use store::{BoardColumn, BoardFilter, BoardView};

use super::fields::Fields;
use super::frame::{Live, can, frame};
use super::html;
use super::translate::{kind, short, status, when};
use super::view::Nav;
use super::view::board::{Board, BoardColumns, BoardPage, Card, Choice, Column, Filter, OlderPage};
use crate::call::Call;
use crate::clock;
use crate::problem::{Failure, Reply};
use crate::show;

/// Cards of a column.
const CARDS: i64 = 50;
/// Longest text to look for, in characters.
const LONGEST_TEXT: usize = 200;

/// The board.
pub(crate) async fn page(call: Call, query: Fields) -> Reply {
    let view = read(&call, &query).await?;
    let page = BoardPage {
        frame: frame(&call, "Board", Nav::Board, Live::Account).await?,
        filter: filter_form(&query, &view.desktops),
        board: board(&call, &query, &view),
    };
    html::ok(&call.request, &page)
}

/// Its columns alone, for the page that keeps itself current.
pub(crate) async fn columns(call: Call, query: Fields) -> Reply {
    let view = read(&call, &query).await?;
    let board = board(&call, &query, &view);
    html::ok(&call.request, &BoardColumns { board })
}

/// What a column has beyond its first cards.
pub(crate) async fn older(call: Call, query: Fields) -> Reply {
    let statuses = statuses(&query)?;
    let after: Option<TaskId> = query.parsed("cursor");
    let (scope, filter) = (call.scope(), board_filter(&query));
    let (column, desktops) = call
        .read(move |reads| reads.board_column(scope, statuses, &filter, after))
        .await?;
    let names = names(&desktops);
    let first = statuses.first().copied().unwrap_or(Status::Pending);
    let page = OlderPage {
        frame: frame(&call, "Older tasks", Nav::Board, Live::Account).await?,
        status: status(first),
        back: with_filter("/board", &query, &[]),
        cards: cards(&column, &names),
        older: older_address(&query, &column),
    };
    html::ok(&call.request, &page)
}

async fn read(call: &Call, query: &Fields) -> Result<BoardView, Failure> {
    let (scope, filter) = (call.scope(), board_filter(query));
    call.read(move |reads| reads.board(scope, &filter)).await
}

fn board_filter(query: &Fields) -> BoardFilter {
    BoardFilter {
        desktop: query.parsed("desktop"),
        text: text(query),
        limit: CARDS,
    }
}

fn text(query: &Fields) -> Option<String> {
    let text = query
        .text("q")
        .map(str::trim)
        .filter(|text| !text.is_empty());
    text.map(|text| text.chars().take(LONGEST_TEXT).collect())
}

/// The column that `status` names: cancelled tasks stand with the failed ones.
fn statuses(query: &Fields) -> Result<&'static [Status], Failure> {
    match query.text("status") {
        Some("pending") => Ok(&[Status::Pending]),
        Some("running") => Ok(&[Status::Running]),
        Some("review") => Ok(&[Status::Review]),
        Some("done") => Ok(&[Status::Done]),
        Some("failed") => Ok(&[Status::Failed, Status::Cancelled]),
        _ => Err(Failure::new(
            Code::InvalidQuery,
            "status is not a column of the board",
        )),
    }
}

fn board(call: &Call, query: &Fields, view: &BoardView) -> Board {
    let names = names(&view.desktops);
    let columns: Vec<Column> = view
        .columns
        .iter()
        .map(|column| shown_column(query, column, &names))
        .collect();
    let is_filtered = is_filtered(query);
    Board {
        live: with_filter("/board/columns", query, &[]),
        no_desktop: view.desktops.is_empty() && !is_filtered,
        is_empty: columns.iter().all(|column| column.count == 0) && !is_filtered,
        is_filtered,
        can_write: can(call).write,
        columns,
    }
}

fn shown_column(query: &Fields, column: &BoardColumn, names: &Names<'_>) -> Column {
    let first = column.statuses.first().copied().unwrap_or(Status::Pending);
    Column {
        status: status(first),
        count: column.count,
        cards: cards(column, names),
        older: older_address(query, column),
        searched: column.searched,
    }
}

type Names<'a> = HashMap<DesktopId, &'a str>;

fn names(desktops: &[(DesktopId, String)]) -> Names<'_> {
    desktops
        .iter()
        .map(|(id, name)| (*id, name.as_str()))
        .collect()
}

fn cards(column: &BoardColumn, names: &Names<'_>) -> Vec<Card> {
    column.cards.iter().map(|task| card(task, names)).collect()
}

fn card(task: &store::Card, names: &Names<'_>) -> Card {
    let since = task
        .completed_at
        .or(task.started_at)
        .unwrap_or(task.created_at);
    Card {
        id: task.id.to_string(),
        title: short(&task.title),
        status: status(task.status),
        kind: kind(task.task_type),
        desktop: show::line(
            names
                .get(&task.desktop)
                .copied()
                .unwrap_or("a removed desktop"),
        ),
        since: when(since, clock::now()),
        gated: task.requires_approval || task.gated,
        blocked_by: task.blocked_by,
        unclaimed: task.status == Status::Running && !task.claimed,
        attempt: task.attempt.into(),
    }
}

fn filter_form(query: &Fields, desktops: &[(DesktopId, String)]) -> Filter {
    let chosen: Option<DesktopId> = query.parsed("desktop");
    Filter {
        text: text(query).unwrap_or_default(),
        desktops: desktops
            .iter()
            .map(|desktop| choice(desktop, chosen))
            .collect(),
        is_set: is_filtered(query),
    }
}

/// A desktop to choose.
pub(super) fn choice((id, name): &(DesktopId, String), chosen: Option<DesktopId>) -> Choice {
    Choice {
        value: id.to_string(),
        label: show::line(name),
        selected: chosen == Some(*id),
    }
}

fn is_filtered(query: &Fields) -> bool {
    text(query).is_some() || query.parsed::<DesktopId>("desktop").is_some()
}

fn older_address(query: &Fields, column: &BoardColumn) -> Option<String> {
    let next = column.next?.to_string();
    let word = column.statuses.first()?.as_str();
    Some(with_filter(
        "/board/older",
        query,
        &[("status", word), ("cursor", &next)],
    ))
}

/// An address with the filter of the board and more parameters.
fn with_filter(path: &str, query: &Fields, more: &[(&str, &str)]) -> String {
    let mut parameters = form_urlencoded::Serializer::new(String::new());
    if let Some(desktop) = query.parsed::<DesktopId>("desktop") {
        parameters.append_pair("desktop", &desktop.to_string());
    }
    if let Some(text) = text(query) {
        parameters.append_pair("q", &text);
    }
    parameters.extend_pairs(more);
    match parameters.finish() {
        parameters if parameters.is_empty() => path.to_owned(),
        parameters => format!("{path}?{parameters}"),
    }
}
