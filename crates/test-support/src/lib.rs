//! What tests of several crates share. A dev-dependency only.

mod activity;
mod canonical;
pub mod corpus;
mod db;
mod rounds;
pub mod server;
mod site;

pub use activity::check_chain;
pub use canonical::canonical;
pub use db::{Engine, Rows, TestDb, migrate};
pub use rounds::rounds;
pub use site::{Runner, Site, Work, claim, log_entry, task};

/// Makes a test of each check for each engine: `on_both_engines!(play: one_check, another)` calls
/// `play(engine, one_check)` in `sqlite::one_check` and `postgres::one_check`.
#[macro_export]
macro_rules! on_both_engines {
    ($play:ident: $($check:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $check() { super::$play($crate::Engine::Sqlite, super::$check); })+
        }
        mod postgres {
            $(#[test] fn $check() { super::$play($crate::Engine::Postgres, super::$check); })+
        }
    };
}
