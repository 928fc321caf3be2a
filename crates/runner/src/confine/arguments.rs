//! The arguments of the helper `confine`. They come from a runner, not from people.

use std::ffi::OsString;

use super::Confinement;

/// Reads `--write PATH… --read PATH… --protect PATH… --local-sockets -- COMMAND…`, in any order
/// before the `--`.
///
/// # Errors
/// A sentence about what was expected.
pub(super) fn parse(
    mut args: impl Iterator<Item = OsString>,
) -> Result<(Confinement, Vec<OsString>), String> {
    let mut confinement = Confinement::default();
    loop {
        let flag = args.next().ok_or("expected -- and a command")?;
        let paths = match flag.to_str() {
            Some("--") => break,
            Some("--local-sockets") => {
                confinement.local_sockets = true;
                continue;
            }
            Some("--write") => &mut confinement.write,
            Some("--read") => &mut confinement.read,
            Some("--protect") => &mut confinement.protect,
            _ => return Err(format!("unexpected argument {}", flag.display())),
        };
        let path = args.next();
        paths.push(
            path.ok_or_else(|| format!("{} without a path", flag.display()))?
                .into(),
        );
    }
    let command: Vec<OsString> = args.collect();
    if command.is_empty() {
        return Err("expected a command after --".to_owned());
    }
    Ok((confinement, command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Confinement, Vec<OsString>), String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn flags_end_where_the_command_begins() {
        let (confinement, command) =
            parsed("--write /a --protect /d --local-sockets --write /b --read /c -- ls --read /x")
                .unwrap();
        let expected = Confinement {
            write: vec!["/a".into(), "/b".into()],
            read: vec!["/c".into()],
            protect: vec!["/d".into()],
            local_sockets: true,
        };
        assert_eq!(confinement, expected);
        assert_eq!(command, ["ls", "--read", "/x"]);
    }

    #[test]
    fn nothing_is_guessed() {
        for line in ["", "--", "ls", "--write", "--write /a", "--exec /a -- ls"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
