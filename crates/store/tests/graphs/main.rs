//! Random graphs of tasks under random commands, on both engines (contract section 3, docs/guarantees.md
//! G10): a task starts once, only when all it depends on is done, and is told which attempts those are.
//! The rule alone is held to this with many more graphs in `crates/approval-core/tests/graphs.rs`.
//!
//! `cargo xtask torture graphs-stored` draws more.

mod graph;
mod log;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use test_support::{Engine, Site, on_both_engines, rounds};

use crate::graph::{Graph, node};

/// Graphs on SQLite, when nobody asks for more.
const GRAPHS: usize = 30;
/// And on PostgreSQL, where each command goes a longer way.
const GRAPHS_ON_POSTGRES: usize = 10;
/// Most nodes of one.
const NODES: usize = 6;
/// Commands before everybody does their best.
const COMMANDS: usize = 30;

on_both_engines! { check: a_task_starts_once_after_its_parents_and_reads_what_was_approved }

fn check(engine: Engine, check: fn(&RefCell<Site>, usize)) {
    if let Some(site) = Site::open(engine) {
        let graphs = match engine {
            Engine::Sqlite => GRAPHS,
            Engine::Postgres => GRAPHS_ON_POSTGRES,
        };
        check(&RefCell::new(site), rounds(graphs));
    }
}

fn a_task_starts_once_after_its_parents_and_reads_what_was_approved(
    site: &RefCell<Site>,
    graphs: usize,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut runner = TestRunner::new(Config {
        cases: u32::try_from(graphs).expect("fewer than 4,294,967,296"),
        failure_persistence: None,
        max_shrink_iters: 50,
        ..Config::default()
    });
    let drawn = (
        prop::collection::vec(node(), 2..=NODES),
        prop::collection::vec(any::<usize>(), COMMANDS),
    );
    let accounts = Cell::new(0);
    let seen = RefCell::new(BTreeMap::<&str, u32>::new());
    let outcome = runner.run(&drawn, |(nodes, choices)| {
        accounts.set(accounts.get() + 1);
        let mut site = site.borrow_mut();
        runtime.block_on(async {
            let mut graph = Graph::new(&mut site, accounts.get(), nodes).await;
            for choice in choices {
                graph.event(choice).await;
            }
            graph.finish().await;
            for (what, times) in log::check(&graph).await {
                *seen.borrow_mut().entry(what).or_default() += times;
            }
        });
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let seen = seen.into_inner();
    println!("{graphs} graphs: {seen:?}");
    for kind in ["start", "start on a retry", "approved", "done", "dead"] {
        assert!(seen.get(kind) > Some(&0), "{kind} is rare: {seen:?}");
    }
}
