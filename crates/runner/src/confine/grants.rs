//! What a confined task may reach: what it was given, and what every build needs.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Confinement;

/// What may be done with a file, or with all below a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Access {
    /// Read and list.
    Read,
    /// Read, list and execute.
    Execute,
    /// Everything files and folders are for.
    Write,
    /// Read and write, as devices that only give or take bytes need.
    Device,
}

/// A path without symbolic links, and what may be done with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Grant {
    pub(super) path: PathBuf,
    pub(super) access: Access,
}

/// What every build needs of the system. Not here: `/tmp`, `/home`, `/root`, `/run`, `/srv`,
/// `/var`, and `/etc` as a whole.
const SYSTEM: &[(Access, &[&str])] = &[
    (
        Access::Execute,
        &[
            "/usr",
            "/bin",
            "/sbin",
            "/lib",
            "/lib32",
            "/lib64",
            "/opt",
            "/nix/store",
            "/gnu/store",
            "/snap",
        ],
    ),
    (
        Access::Read,
        &[
            // Files of other processes in it have checks of their own, which Landlock tightens.
            "/proc",
            "/sys/devices/system",
            "/sys/fs/cgroup",
            "/run/systemd/resolve",
        ],
    ),
    (
        Access::Device,
        &[
            "/dev/null",
            "/dev/zero",
            "/dev/full",
            "/dev/random",
            "/dev/urandom",
        ],
    ),
    (Access::Write, &["/dev/shm"]),
];

/// What every build needs of `/etc`: how names, times, certificates and libraries are found. The
/// rest is not for tasks: an environment file with a password may lie there. A star ends a name
/// of which only the beginning is known.
const ETC: &[&str] = &[
    "ld.so.*",
    "ssl/certs",
    "ssl/cert.pem",
    "ssl/openssl.cnf",
    "ca-certificates*",
    "crypto-policies",
    "pki/ca-trust",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "pki/tls/openssl.d",
    "resolv.conf",
    "hosts",
    "host.conf",
    "gai.conf",
    "nsswitch.conf",
    "passwd",
    "group",
    "services",
    "protocols",
    "localtime",
    "timezone",
    "locale.alias",
    "locale.conf",
    "alternatives",
    "gitconfig",
    "profile",
    "profile.d",
    "bash.bashrc",
    "bashrc",
    "inputrc",
    "login.defs",
    "terminfo",
    "magic",
    "magic.mime",
    "mime.types",
    "os-release",
    "debian_version",
    "lsb-release",
    "fonts",
    "java*",
    "python3*",
    "perl",
];

/// What tool chains keep in the home of their user. Their keys are there too, and not here.
const HOME: &[(Access, &[&str])] = &[
    (
        Access::Execute,
        &[
            ".cargo/bin",
            ".cargo/config.toml",
            ".cargo/env",
            ".rustup",
            ".local/bin",
            ".local/lib",
            ".nvm",
            ".bun",
            ".deno",
            ".pyenv",
            "go/bin",
        ],
    ),
    // Git does not start when it may not read its settings. Passwords are in a file of their own.
    (
        Access::Read,
        &[
            ".gitconfig",
            ".config/git/config",
            ".config/git/ignore",
            ".config/git/attributes",
        ],
    ),
    (
        Access::Write,
        &[
            ".cache",
            ".cargo/registry",
            ".cargo/git",
            // Cargo locks the two above by these.
            ".cargo/.package-cache",
            ".cargo/.package-cache-mutate",
            ".cargo/.global-cache",
            ".npm",
            "go/pkg",
        ],
    ),
];

/// All that a task may reach. `home` is its `HOME`.
///
/// # Errors
/// A sentence, when a path that was asked for does not exist, or would lay open a protected one.
pub(super) fn of(confinement: &Confinement, home: Option<&Path>) -> Result<Vec<Grant>, String> {
    let protected = real_or_future(&confinement.protect)?;
    let mut grants = HashSet::new();
    for (access, paths) in [
        (Access::Write, &confinement.write),
        (Access::Execute, &confinement.read),
    ] {
        for asked in paths {
            let path =
                fs::canonicalize(asked).map_err(|error| format!("{}: {error}", asked.display()))?;
            if let Some(protected) = laid_open(&path, &protected) {
                return Err(format!(
                    "{} would give access to {}, which is protected",
                    asked.display(),
                    protected.display()
                ));
            }
            grants.insert(Grant { path, access });
        }
    }
    let usual = usual(home).into_iter();
    grants.extend(usual.filter(|grant| laid_open(&grant.path, &protected).is_none()));
    Ok(grants.into_iter().collect())
}

/// What exists of the lists above.
fn usual(home: Option<&Path>) -> Vec<Grant> {
    let mut grants = Vec::new();
    for &(access, paths) in SYSTEM {
        grants.extend(paths.iter().filter_map(|path| grant(path.as_ref(), access)));
    }
    let etc = ETC
        .iter()
        .flat_map(|name| matching(Path::new("/etc"), name));
    grants.extend(etc.filter_map(|path| grant(&path, Access::Read)));
    if let Some(home) = home.and_then(|home| fs::canonicalize(home).ok()) {
        for &(access, paths) in HOME {
            let granted = paths
                .iter()
                .filter_map(|path| grant(&home.join(path), access));
            // A link from a home to itself, or to what is above it, gives everything away.
            grants.extend(granted.filter(|grant| !home.starts_with(&grant.path)));
        }
    }
    grants
}

/// The grant, if there is something at the path.
fn grant(path: &Path, access: Access) -> Option<Grant> {
    let path = fs::canonicalize(path).ok()?;
    Some(Grant { path, access })
}

/// What has this name in the folder; a star at its end stands for anything.
fn matching(folder: &Path, name: &str) -> Vec<PathBuf> {
    let Some(beginning) = name.strip_suffix('*') else {
        return vec![folder.join(name)];
    };
    let begins = |name: &OsStr| name.as_encoded_bytes().starts_with(beginning.as_bytes());
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| begins(&entry.file_name()))
        .map(|entry| entry.path())
        .collect()
}

/// The protected path that a grant of this one would lay open: one that is in it, around it, or
/// the same.
fn laid_open<'a>(path: &Path, protected: &'a [PathBuf]) -> Option<&'a PathBuf> {
    protected
        .iter()
        .find(|protected| protected.starts_with(path) || path.starts_with(protected))
}

/// The paths without symbolic links. One that does not exist may do so later, below what exists
/// of it.
fn real_or_future(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let real = |path: &PathBuf| {
        let absolute = std::path::absolute(path)?;
        for existing in absolute.ancestors() {
            match fs::canonicalize(existing) {
                Ok(real) => {
                    let rest = absolute.strip_prefix(existing).unwrap_or(Path::new(""));
                    return Ok(real.join(rest).components().collect());
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::NotFound.into())
    };
    let paths = paths.iter();
    paths
        .map(|path| real(path).map_err(|error| format!("{}: {error}", path.display())))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder without symbolic links in its own path.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    fn of_home(home: &Path, protect: &[&Path]) -> Vec<PathBuf> {
        let confinement = Confinement {
            protect: protect.iter().map(Into::into).collect(),
            ..Confinement::default()
        };
        let grants = of(&confinement, Some(home)).unwrap();
        let paths = grants.into_iter().map(|grant| grant.path);
        let mut paths: Vec<_> = paths.filter(|path| path.starts_with(home)).collect();
        paths.sort();
        paths
    }

    #[test]
    fn a_home_gives_its_tool_chains_only() {
        let (_guard, home) = folder();
        for name in [".ssh", ".cache", ".cargo/bin", "go"] {
            fs::create_dir_all(home.join(name)).unwrap();
        }
        fs::write(home.join(".cargo/credentials.toml"), "").unwrap();
        symlink(&home, home.join(".nvm")).unwrap();
        symlink("/", home.join(".npm")).unwrap();
        assert_eq!(
            of_home(&home, &[]),
            [home.join(".cache"), home.join(".cargo/bin")]
        );
        let everything = of(&Confinement::default(), Some(&home)).unwrap();
        assert!(everything.iter().all(|grant| grant.path != Path::new("/")));
    }

    #[test]
    fn a_usual_grant_yields_to_protection() {
        let (_guard, home) = folder();
        fs::create_dir_all(home.join(".cache/countersign")).unwrap();
        fs::create_dir_all(home.join(".npm")).unwrap();
        let npm = home.join(".npm");
        for protect in [".cache", ".cache/countersign", ".cache/not/yet", "."] {
            let protect = home.join(protect);
            let left = of_home(&home, &[&protect]);
            assert!(!left.contains(&home.join(".cache")), "{protect:?}");
        }
        let data = home.join(".cache/countersign");
        assert_eq!(of_home(&home, &[&data]), [npm]);
    }

    #[test]
    fn what_is_asked_for_may_not_contain_what_is_protected() {
        let (_guard, folder) = folder();
        fs::create_dir_all(folder.join("data/inner")).unwrap();
        fs::create_dir_all(folder.join("database")).unwrap();
        symlink(folder.join("data"), folder.join("link")).unwrap();
        let ask = |write: &str, protect: &str| {
            let confinement = Confinement {
                write: vec![folder.join(write)],
                protect: vec![folder.join(protect)],
                ..Confinement::default()
            };
            of(&confinement, None)
        };
        for (write, protect) in [
            ("", "data"),
            ("data", "data"),
            ("data/inner", "data"),
            ("link", "data"),
            ("data", "link"),
            ("data", "link/later"),
        ] {
            let refused = ask(write, protect).unwrap_err();
            assert!(refused.contains("is protected"), "{refused}");
        }
        assert!(ask("database", "data").is_ok(), "only the names are alike");
        assert!(ask("missing", "data").unwrap_err().contains("missing"));
    }

    #[test]
    fn a_star_stands_for_the_rest_of_a_name() {
        let (_guard, folder) = folder();
        for name in ["java-17", "java", "lib-java"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let mut found = matching(&folder, "java*");
        found.sort();
        assert_eq!(found, [folder.join("java"), folder.join("java-17")]);
    }

    #[test]
    fn the_rest_of_etc_is_not_granted() {
        let etc = Path::new("/etc");
        for grant in of(&Confinement::default(), None).unwrap() {
            assert!(!etc.starts_with(&grant.path), "{grant:?}");
            for secret in ["/etc/shadow", "/etc/ssl/private", "/etc/environment"] {
                assert!(!Path::new(secret).starts_with(&grant.path), "{grant:?}");
            }
        }
    }
}
