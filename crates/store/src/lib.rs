//! Countersign: store.

pub mod connection;
pub mod migrations;
pub mod server_lock;
pub mod url;
