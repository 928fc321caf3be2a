//! Rebuilds the crate when a migration is added: `embed_migrations!` alone only notices edits.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
