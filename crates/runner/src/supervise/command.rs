//! The command line of a task: its program, below the helpers that watch and confine it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::confine::Confinement;

/// The first argument that makes a supervisor of the program.
pub(super) const SUPERVISE: &str = "supervise";
/// The first argument that makes it confine itself.
pub(super) const CONFINE: &str = "confine";

/// What to start for `command` to run supervised, and confined if there is a confinement.
///
/// `helper` is a program whose `main` begins with [`helper`](super::helper): the running one.
pub(crate) fn command(
    helper: &Path,
    confinement: Option<&Confinement>,
    command: Vec<OsString>,
) -> Vec<OsString> {
    let mut line = vec![helper.into(), SUPERVISE.into(), "--".into()];
    if let Some(confinement) = confinement {
        line.extend([helper.into(), CONFINE.into()]);
        line.extend(flags("--write", &confinement.write));
        line.extend(flags("--read", &confinement.read));
        line.extend(flags("--protect", &confinement.protect));
        line.extend(confinement.local_sockets.then(|| "--local-sockets".into()));
        line.push("--".into());
    }
    line.extend(command);
    line
}

fn flags(name: &'static str, paths: &[PathBuf]) -> impl Iterator<Item = OsString> {
    paths
        .iter()
        .flat_map(move |path| [OsStr::new(name).to_owned(), path.into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(confinement: Option<&Confinement>) -> String {
        let shell = ["/bin/sh", "-c", "true"].map(OsString::from).to_vec();
        let line = command(Path::new("/bin/desktop"), confinement, shell);
        line.join(OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn the_helpers_come_before_the_command() {
        assert_eq!(line(None), "/bin/desktop supervise -- /bin/sh -c true");
        let confinement = Confinement {
            write: vec!["/work".into(), "/t".into()],
            read: vec!["/models".into()],
            protect: vec!["/data".into()],
            local_sockets: true,
        };
        assert_eq!(
            line(Some(&confinement)),
            "/bin/desktop supervise -- /bin/desktop confine --write /work --write /t \
             --read /models --protect /data --local-sockets -- /bin/sh -c true"
        );
    }
}
