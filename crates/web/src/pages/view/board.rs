//! `/board` and its fragments.

use askama::Template;

use super::{Frame, Kind, Status, When};
use crate::show::Shown;

/// `/board`.
#[derive(Template)]
#[template(path = "board.html")]
pub struct BoardPage {
    pub frame: Frame,
    pub filter: Filter,
    pub board: Board,
}

/// `/board/columns`.
#[derive(Template)]
#[template(path = "board/columns.html")]
pub struct BoardColumns {
    pub board: Board,
}

/// `/board/older`.
#[derive(Template)]
#[template(path = "board_older.html")]
pub struct OlderPage {
    pub frame: Frame,
    pub status: Status,
    /// Back to the board, with the filter.
    pub back: String,
    pub cards: Vec<Card>,
    /// The next page.
    pub older: Option<String>,
}

/// The form above the columns.
#[derive(Clone, Debug)]
pub struct Filter {
    pub text: String,
    /// All desktops to choose from.
    pub desktops: Vec<Choice>,
    /// Whether anything is filtered.
    pub is_set: bool,
}

/// One entry of a list to choose from.
#[derive(Clone, Debug)]
pub struct Choice {
    pub value: String,
    pub label: Shown,
    pub selected: bool,
}

/// The five columns.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is something the template asks"
)]
#[derive(Clone, Debug)]
pub struct Board {
    /// `/board/columns?…` with the filter.
    pub live: String,
    /// Pending, Running, Review, Done, Failed.
    pub columns: Vec<Column>,
    /// No desktop exists: the first thing to do is to add one.
    pub no_desktop: bool,
    /// Nothing at all is on the board (and no filter is set).
    pub is_empty: bool,
    pub is_filtered: bool,
    pub can_write: bool,
}

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    pub status: Status,
    /// Of all tasks in it, not only of those shown.
    pub count: i64,
    pub cards: Vec<Card>,
    /// `/board/older?…`.
    pub older: Option<String>,
    /// With a text filter only so many of the newest tasks were looked at.
    pub searched: Option<i64>,
}

/// One task on the board.
#[derive(Clone, Debug)]
pub struct Card {
    pub id: String,
    pub title: Shown,
    pub status: Status,
    pub kind: Kind,
    pub desktop: Shown,
    /// Since when it is where it is.
    pub since: When,
    /// Whether a decision will be asked for, or was.
    pub gated: bool,
    /// How many tasks it waits for.
    pub blocked_by: usize,
    /// Running, but no desktop has taken it yet.
    pub unclaimed: bool,
    pub attempt: i64,
}
