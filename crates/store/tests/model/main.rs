//! Random sequences of everything that can be asked of an account, on both engines: after each step
//! every answer and every stored row is what the reference model says (docs/guarantees.md, F2).
//!
//! `cargo xtask torture model` plays many more.

mod ops;
mod play;
mod reference;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use test_support::{Engine, Site, on_both_engines, rounds};

use crate::play::Play;

/// Sequences on each engine, when nobody asks for more.
const SEQUENCES: usize = 64;
/// From so many on, chance must have found everything.
const MANY: usize = 200;
/// Operations in each; about sixty find something to be done to.
const STEPS: usize = 90;

on_both_engines! { check: every_step_is_the_models }

fn check(engine: Engine, check: fn(&RefCell<Site>)) {
    if let Some(site) = Site::open(engine) {
        check(&RefCell::new(site));
    }
}

fn every_step_is_the_models(site: &RefCell<Site>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let sequences = rounds(SEQUENCES);
    let mut runner = TestRunner::new(Config {
        cases: u32::try_from(sequences).expect("fewer than 4,294,967,296"),
        failure_persistence: None,
        // a short sequence is wanted soon, not the shortest one late
        max_shrink_time: 20_000,
        ..Config::default()
    });
    let accounts = Cell::new(0);
    let answers = RefCell::new(BTreeMap::<String, u32>::new());
    let steps = prop::collection::vec(ops::op(), STEPS);
    let outcome = runner.run(&steps, |steps| {
        accounts.set(accounts.get() + 1);
        let mut site = site.borrow_mut();
        runtime.block_on(async {
            let mut play = Play::start(&mut site, accounts.get()).await;
            for op in steps {
                if let Some(answer) = play.step(op).await {
                    *answers.borrow_mut().entry(answer).or_default() += 1;
                }
            }
            play.end().await;
        });
        Ok(())
    });
    let answers = answers.into_inner();
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    println!("{sequences} sequences: {answers:?}");
    if sequences >= MANY {
        play::check_reach(&answers);
    }
}
