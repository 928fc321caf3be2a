//! Looks for an order of calls that explains their answers, after Wing and Gong with the memory of Lowe:
//! a call that was answered before another was made comes before it, and one whose answer is not known
//! may have taken effect at any moment after it was made, or never.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::spec::{Answer, Op, State};

/// One call, with its place in the order of all beginnings and ends.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub op: Op,
    pub made: u64,
    /// When and what was answered; `None` when nobody heard.
    pub answered: Option<(u64, Answer)>,
}

/// Which calls have their place already: one bit each.
type Placed = [u64; 4];
/// So many fit.
const MOST: usize = 256;

/// An order of the calls, by their numbers, in which `start` gives their answers; `None`: there is none.
///
/// # Panics
/// Above 256 calls.
pub fn order(start: State, calls: &[Call]) -> Option<Vec<usize>> {
    assert!(calls.len() <= MOST, "{} calls of one task", calls.len());
    let mut search = Search {
        calls,
        dead_ends: HashSet::new(),
        order: Vec::new(),
    };
    let found = search.go_on([0; 4], start);
    search.order.reverse();
    found.then_some(search.order)
}

struct Search<'a> {
    calls: &'a [Call],
    /// From here nothing leads to the end.
    dead_ends: HashSet<(Placed, State)>,
    /// What was found, the last call first.
    order: Vec<usize>,
}

impl Search<'_> {
    fn go_on(&mut self, placed: Placed, state: State) -> bool {
        let calls = self.calls;
        let open = || (0..calls.len()).filter(|n| !is_placed(&placed, *n));
        // what is answered first of all that is open: a call made later than that cannot come first
        let ends = open().filter_map(|n| calls[n].answered.map(|(end, _)| end));
        let Some(first_end) = ends.min() else {
            return true;
        };
        if self.dead_ends.contains(&(placed, state)) {
            return false;
        }
        let mut branches = Vec::new();
        for n in open().filter(|n| calls[*n].made < first_end) {
            let Some((next, answer)) = state.apply(calls[n].op) else {
                continue;
            };
            match calls[n].answered {
                Some((_, given)) if given != answer => {}
                // it may as well never have happened
                None if next == state => {}
                // what never changes anything may come as early as it can: nothing else need be tried
                Some(_) if calls[n].op == Op::Read || answer.is_refusal() => {
                    branches = vec![(n, next)];
                    break;
                }
                _ => branches.push((n, next)),
            }
        }
        for (n, next) in branches {
            if self.go_on(with(placed, n), next) {
                self.order.push(n);
                return true;
            }
        }
        self.dead_ends.insert((placed, state));
        false
    }
}

fn is_placed(placed: &Placed, n: usize) -> bool {
    placed[n / 64] & (1 << (n % 64)) != 0
}

fn with(mut placed: Placed, n: usize) -> Placed {
    placed[n / 64] |= 1 << (n % 64);
    placed
}

/// The calls by the order in which they were made.
pub fn shown(calls: &[Call]) -> String {
    let mut calls = calls.to_vec();
    calls.sort_by_key(|call| call.made);
    let mut text = String::new();
    for call in calls {
        let (made, op) = (call.made, call.op);
        let _infallible = match call.answered {
            Some((end, answer)) => writeln!(text, "{made:>5} to {end:>5}  {op:?}: {answer:?}"),
            None => writeln!(text, "{made:>5} to     ?  {op:?}"),
        };
    }
    text
}
