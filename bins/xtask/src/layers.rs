//! `cargo xtask layers`: what a crate must *not* know, directly or through others, checked against
//! the resolved dependency graph. `deny.toml` checks the direct edges; this also sees the way round.

use std::collections::BTreeSet;

use clap::Args;

use crate::shell::{Failure, Shell, cargo};

/// Check that no crate depends on what its layer must not know
#[derive(Args)]
pub struct Options {}

/// A crate of ours and what must not be among its dependencies, at any depth.
struct Layer {
    package: &'static str,
    /// Why, for the message.
    because: &'static str,
    never: &'static [&'static str],
}

const LAYERS: &[Layer] = &[
    Layer {
        package: "approval-core",
        because: "the rules are pure: no IO, no async, no serialisation by default",
        never: &[
            "tokio",
            "futures-util",
            "serde",
            "serde_json",
            "diesel",
            "diesel-async",
            "libsqlite3-sys",
            "tokio-postgres",
            "actix-web",
            "reqwest",
            "tracing",
            "contract",
            "store",
            "web",
            "client",
            "runner",
        ],
    },
    Layer {
        package: "contract",
        because: "the wire types serve client and server alike",
        never: &[
            "tokio",
            "diesel",
            "actix-web",
            "reqwest",
            "approval-core",
            "store",
            "web",
        ],
    },
    Layer {
        package: "store",
        because: "persistence knows no HTTP",
        never: &[
            "actix-web",
            "reqwest",
            "contract",
            "web",
            "client",
            "runner",
        ],
    },
    Layer {
        package: "web",
        because: "the server does not call itself",
        never: &["reqwest", "client", "runner"],
    },
    Layer {
        package: "client",
        because: "a client needs no server and no database",
        never: &["actix-web", "diesel", "libsqlite3-sys", "store", "web"],
    },
    Layer {
        package: "runner",
        because: "a desktop needs no server and no database",
        never: &["actix-web", "diesel", "libsqlite3-sys", "store", "web"],
    },
    Layer {
        package: "desktop",
        because: "a desktop needs no server and no database",
        never: &["actix-web", "diesel", "libsqlite3-sys", "store", "web"],
    },
    Layer {
        package: "migrate",
        because: "the migration tool builds without the server",
        never: &[
            "actix-web",
            "reqwest",
            "contract",
            "web",
            "client",
            "runner",
        ],
    },
];

/// Checks every layer.
///
/// # Errors
/// Names each forbidden dependency and why it is forbidden.
pub fn check(shell: &Shell) -> Result<(), Failure> {
    let mut faults = Vec::new();
    for layer in LAYERS {
        let reached = dependencies(shell, layer.package)?;
        for name in layer.never {
            if reached.contains(*name) {
                faults.push(format!(
                    "{} depends on {name}, but {} (see: cargo tree -p {} -i {name})",
                    layer.package, layer.because, layer.package
                ));
            }
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Failure::Check(faults.join("\n")))
    }
}

/// The names of everything a package depends on with its default features, tests left out.
fn dependencies(shell: &Shell, package: &str) -> Result<BTreeSet<String>, Failure> {
    let tree = shell.output(&mut cargo([
        "tree",
        "--package",
        package,
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    Ok(tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect())
}
