//! Tests of what is shown.

mod ansi;
mod diff;
mod fixtures;
mod hostile;
mod visible;

use super::invariants::{assert_accounted, assert_safe, original};
use super::{Run, Shown};

/// `text[class|text]…`: the runs on one line.
fn picture(runs: &[Run]) -> String {
    let one = |run: &Run| match run.class.as_ref() {
        "" => run.text.clone(),
        class => format!("[{class}|{}]", run.text),
    };
    runs.iter().map(one).collect()
}

fn pictured(shown: &Shown) -> String {
    picture(&shown.runs)
}
