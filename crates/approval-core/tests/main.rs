//! The rules, held against tables and properties that were written without looking at the code.

mod activity;
mod audit;
mod dependencies;
mod evidence;
mod fixtures;
mod graphs;
mod invariants;
mod keys;
mod leases;
mod limits;
mod retention;
mod retries;
mod states;
mod texts;
mod transitions;
