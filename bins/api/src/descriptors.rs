//! How many files and connections the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use web::ServeConfig;

/// Descriptors of everything but connections: databases, logs, timers.
const OTHERS: u64 = 256;
/// Descriptors of a connection: its own, and the one by which it is ended when it overstays.
const OF_A_CONNECTION: u64 = 2;
/// Connections that a processor must be able to serve, however low the limit is.
const FEWEST: usize = 16;

/// Raises the limit of this process as far as it may, and gives the server as many connections as then fit:
/// one too many must wait, and never keep the database from opening a file.
pub(crate) fn raised() -> ServeConfig {
    let limit = raise();
    let config = fitting(limit);
    let (all, fit) = (connections(ServeConfig::default()), connections(config));
    if fit < all {
        let needed = descriptors(all);
        tracing::warn!(
            limit,
            needed,
            connections = fit,
            "the hard limit of open files (RLIMIT_NOFILE) is low: fewer connections are served at a time"
        );
    }
    config
}

/// The same without raising the limit, which tasks that this process starts would inherit: programs that
/// use `select` do not survive numbers above 1,023.
pub(crate) fn as_they_are() -> ServeConfig {
    fitting(getrlimit(Resource::Nofile).current)
}

/// Sets the soft limit to the hard one; the limit afterwards, `None` for no limit.
fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files (RLIMIT_NOFILE) cannot be raised");
            limit.current
        }
    }
}

/// What a server may take with so many descriptors.
fn fitting(limit: Option<u64>) -> ServeConfig {
    let mut config = ServeConfig::default();
    if let Some(limit) = limit {
        let room = limit.saturating_sub(OTHERS) / OF_A_CONNECTION;
        let room = usize::try_from(room).unwrap_or(usize::MAX) / config.workers();
        config.max_connections = room.clamp(FEWEST, config.max_connections);
    }
    config
}

/// Connections at a time.
fn connections(config: ServeConfig) -> usize {
    config.max_connections * config.workers()
}

/// Descriptors for so many connections and everything else.
fn descriptors(connections: usize) -> u64 {
    connections as u64 * OF_A_CONNECTION + OTHERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_into_the_descriptors() {
        let all = ServeConfig::default();
        assert_eq!(fitting(None), all);
        assert_eq!(fitting(Some(10_000_000)), all);
        for limit in [1_024, 4_096] {
            let few = connections(fitting(Some(limit)));
            assert!(descriptors(few) <= limit, "{few} connections");
            assert!(descriptors(few) > limit / 2, "{few} connections");
        }
        assert_eq!(fitting(Some(0)).max_connections, FEWEST);
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!((raised, limit.current), (limit.maximum, limit.maximum));
    }
}
