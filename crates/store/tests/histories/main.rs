//! Histories of concurrent clients: is there, for each task, an order of what they did in which a
//! sequential account would have given the very answers they got (docs/guarantees.md, L5)? On PostgreSQL
//! the clients speak to three stores, as to three server processes.
//!
//! `cargo xtask torture histories` plays many more.

mod clients;
mod search;
mod spec;
mod traps;

use test_support::{Engine, Site, check_chain, on_both_engines, rounds};

use crate::clients::play;

/// Histories on each engine, when nobody asks for more.
const HISTORIES: usize = 2;
/// Stores on one PostgreSQL.
const STORES: usize = 3;

on_both_engines! { hold: every_history_is_that_of_a_sequential_account }

fn hold(engine: Engine, check: fn(&mut Site, usize)) {
    if let Some(mut site) = Site::open(engine) {
        let stores = match engine {
            Engine::Sqlite => 1,
            Engine::Postgres => STORES,
        };
        check(&mut site, stores);
    }
}

fn every_history_is_that_of_a_sequential_account(site: &mut Site, stores: usize) {
    let mut all = vec![site.store.clone()];
    all.extend((1..stores).map(|_| site.add_replica()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut total = clients::Figures::default();
    for number in 0..rounds(HISTORIES) {
        runtime.block_on(async {
            (site.account, site.person) = site.add_account(&format!("{number}@example.org"));
            site.desktop = site.add_desktop("one").await;
            let history = play(site, &all, number).await;
            total.add(&history.figures());
            for task in 0..history.tasks() {
                let (start, calls) = history.of_task(task);
                assert!(
                    search::order(start, &calls).is_some(),
                    "history {number}: no order explains task {task}, from {start:?}:\n{}",
                    search::shown(&calls)
                );
            }
            let account = site.account;
            let log = site.read(move |reads| reads.activity(account, 0, 100_000));
            check_chain(account, &log.await);
        });
    }
    println!("{} histories: {total:?}", rounds(HISTORIES));
    total.check_reach();
}
