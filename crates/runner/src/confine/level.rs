//! How far this system can confine.

use std::fmt::{self, Display};

/// What confinement means on this system. Printed, it reads as a line for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// No confinement.
    None {
        /// Why not.
        reason: &'static str,
    },
    /// Confinement by the kernel's Landlock.
    #[cfg(target_os = "linux")]
    Landlock {
        /// The version of what the kernel offers, as far as this program knows it; at least 1.
        abi: u32,
    },
}

impl Level {
    /// Whether the kernel can tell which sockets in folders a task may connect to.
    pub(crate) const fn knows_sockets(self) -> bool {
        match self {
            Self::None { .. } => false,
            #[cfg(target_os = "linux")]
            Self::Landlock { abi } => abi >= 9,
        }
    }

    /// Whether tasks can be confined.
    pub const fn confines(self) -> bool {
        !matches!(self, Self::None { .. })
    }
}

impl Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::None { reason } => write!(f, "none: {reason}"),
            #[cfg(target_os = "linux")]
            Self::Landlock { abi } => landlock::describe(abi, f),
        }
    }
}

/// What this system can do. Asks the kernel and restricts nobody.
pub fn level() -> Level {
    #[cfg(target_os = "linux")]
    return landlock::level();
    #[cfg(not(target_os = "linux"))]
    Level::None {
        reason: "not supported on this system",
    }
}

#[cfg(target_os = "linux")]
mod landlock {
    use std::fmt;

    use landlock::{LandlockStatus, RestrictSelf};

    use super::Level;

    const ABSENT: &str = "the kernel has no Landlock (it needs Linux 5.13 or newer)";
    const OFF: &str = "Landlock is not enabled in this kernel (boot parameter lsm=)";

    /// What later versions have added: the version, the kernel it came with, and the means of
    /// access that are open before.
    const ADDED: &[(u32, &str, &[&str])] = &[
        (3, "6.2", &["truncation of files"]),
        (5, "6.10", &["control of devices"]),
        (6, "6.12", &["signals", "abstract sockets"]),
        (9, "7.1", &["sockets in folders"]),
    ];

    pub(super) fn level() -> Level {
        // With nothing to restrict the crate only asks the kernel, and that cannot fail.
        match RestrictSelf::default().no_new_privs(false).apply() {
            Ok(status) => of(status.landlock),
            Err(_) => Level::None { reason: ABSENT },
        }
    }

    fn of(status: LandlockStatus) -> Level {
        match status {
            LandlockStatus::NotEnabled => Level::None { reason: OFF },
            LandlockStatus::NotImplemented => Level::None { reason: ABSENT },
            LandlockStatus::Available { effective_abi, .. } => Level::Landlock {
                abi: effective_abi as u32,
            },
        }
    }

    pub(super) fn describe(abi: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Landlock (ABI {abi}): files")?;
        for (_, _, names) in ADDED.iter().filter(|(since, ..)| *since <= abi) {
            write!(f, ", {}", names.join(", "))?;
        }
        for (_, kernel, names) in ADDED.iter().filter(|(since, ..)| *since > abi) {
            let names = names.join(" and ");
            write!(f, "; not {names}: the kernel is older than {kernel}")?;
        }
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn people_read_what_is_missing_and_why() {
            let text = |abi| Level::Landlock { abi }.to_string();
            assert_eq!(
                text(9),
                "Landlock (ABI 9): files, truncation of files, control of devices, signals, \
                 abstract sockets, sockets in folders"
            );
            assert_eq!(
                text(5),
                "Landlock (ABI 5): files, truncation of files, control of devices; \
                 not signals and abstract sockets: the kernel is older than 6.12; \
                 not sockets in folders: the kernel is older than 7.1"
            );
            assert_eq!(
                of(LandlockStatus::NotEnabled).to_string(),
                format!("none: {OFF}")
            );
        }

        #[test]
        fn asking_restricts_nobody() {
            level();
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            assert!(std::fs::read_dir("/etc").is_ok());
            let before = status.lines().find(|line| line.starts_with("NoNewPrivs"));
            level();
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let after = status.lines().find(|line| line.starts_with("NoNewPrivs"));
            assert_eq!(before, after);
        }
    }
}
