//! What git says, as the measure of what is said here.

use std::io::Write;

use super::super::ignore::Rules;
use super::*;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.roll(of.len())]
    }
}

fn files_in(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let all = snapshot(folder).into_iter();
    let files = all.filter(|(path, known)| {
        known.0 & 0o170_000 != 0o040_000
            && !path.components().any(|part| part.as_os_str() == ".git")
    });
    files
        .map(|(path, known)| {
            let path = path.strip_prefix(folder).unwrap().to_owned();
            (path, (known.0 & 0o170_100, known.2))
        })
        .collect()
}

/// Applies diffs to what a folder was, and compares with what it is.
fn applied(was: &Path, files: &[AddFile], is: &Path) {
    let all: Vec<u8> = files
        .iter()
        .flat_map(|file| STANDARD.decode(file.diff_base64.as_ref().unwrap()).unwrap())
        .collect();
    let mut apply = git_command(was)
        .args(["apply", "--whitespace=nowarn", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    apply.stdin.take().unwrap().write_all(&all).unwrap();
    let output = apply.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&all);
    assert!(output.status.success(), "{output:?}\n{text}");
    assert_eq!(files_in(was), files_in(is), "{text}");
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .unwrap();
    assert!(copied.success());
}

#[test]
fn git_applies_the_diffs() {
    let names: [&[u8]; 9] = [
        b"a",
        b"d/b",
        b"d/c c",
        b"d/e/tab\there",
        b"new\nline",
        b"q\"uote",
        b"\xff",
        "d/\u{e4}".as_bytes(),
        b"back\\slash",
    ];
    let mut dice = Dice(7);
    for round in 0..25 {
        for mut place in Place::both() {
            let content = |dice: &mut Dice, from: &str| {
                let mut lines: Vec<String> = from.lines().map(str::to_owned).collect();
                for _ in 0..=dice.roll(4) {
                    let at = dice.roll(lines.len() + 1);
                    if dice.roll(3) == 0 && at < lines.len() {
                        lines.remove(at);
                    } else {
                        let line = dice.one(&["x", "", "y\r", "-- a", "++ b", "@@ -1 +1 @@"]);
                        lines.insert(at, line.to_owned());
                    }
                }
                lines.join("\n") + dice.one(&["\n", "", "\n\n"])
            };
            let long: String = numbered("", 0..60);
            for name in names {
                if dice.roll(3) > 0 {
                    place.write(name, content(&mut dice, &long));
                }
            }
            let was = place.outside().join("was");
            copy(&place.root, &was);
            let (files, _) = place.changes(|place| {
                for name in names {
                    let path = place.path(name);
                    match (dice.roll(6), path.exists()) {
                        (0, true) => fs::remove_file(&path).unwrap(),
                        (1, true) => {
                            let to = place.path(format!("moved{}", dice.roll(1000)));
                            fs::rename(&path, to).unwrap();
                        }
                        (2, true) => {
                            fs::remove_file(&path).unwrap();
                            place.link(name, "some/where");
                        }
                        (3, true) => {
                            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
                        }
                        (4, true) => {
                            let old = fs::read_to_string(&path).unwrap();
                            place.write(name, content(&mut dice, &old));
                        }
                        (0..4, false) => place.write(name, content(&mut dice, "")),
                        _ => {}
                    }
                }
                place.write("empty", "");
            });
            assert!(!files.is_empty(), "{round}");
            applied(&was, &files, &place.root);
        }
    }
}

#[test]
fn rules_ignore_what_git_ignores() {
    let place = Place::repository();
    let names = ["a", "b", "ab", "a.o", "#x", "!y", "c d", "[", "é", "-", "]"];
    let parts = [
        "a",
        "b",
        "*",
        "**",
        "?",
        "[ab]",
        "[!a]",
        "[a-c]",
        "[^b-]",
        "[]a]",
        "[[:alpha:]]",
        "\\",
        ".o",
        "#",
        "!",
        " ",
        "/",
        "/",
        "/**/",
        "x",
        "[",
        "é",
    ];
    let mut dice = Dice(1);
    let (mut ignored, mut kept) = (0, 0);
    for _ in 0..60 {
        let lines: Vec<String> = (0..=dice.roll(3))
            .map(|_| (0..=dice.roll(4)).map(|_| dice.one(&parts)).collect())
            .collect();
        let content = lines.join("\n");
        place.write(".gitignore", &content);
        let rules = Rules::parse(content.as_bytes());
        let paths: Vec<String> = (0..60)
            .map(|_| {
                (0..=dice.roll(3))
                    .map(|_| dice.one(&names))
                    .collect::<Vec<_>>()
                    .join("/")
            })
            .collect();
        // None of them exists, so none is a folder.
        let mut command = git_command(&place.root)
            .args(["check-ignore", "--no-index", "--stdin", "-z", "-v", "-n"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input: Vec<u8> = paths
            .iter()
            .flat_map(|path| [path.as_bytes(), b"\0"].concat())
            .collect();
        command.stdin.take().unwrap().write_all(&input).unwrap();
        let output = command.wait_with_output().unwrap();
        let fields: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
        for (path, said) in paths.iter().zip(fields.chunks(4)) {
            let by_git = !said[2].is_empty() && !said[2].starts_with(b"!");
            // Like the walk: what is in an ignored folder is ignored.
            let ours = path
                .match_indices('/')
                .map(|(at, _)| (&path[..at], true))
                .chain([(path.as_str(), false)])
                .any(|(path, is_folder)| rules.decide(path.as_bytes(), is_folder) == Some(true));
            assert_eq!(ours, by_git, "{path:?} by {content:?}: {said:?}");
            *(if by_git { &mut ignored } else { &mut kept }) += 1;
        }
    }
    assert!(ignored > 500 && kept > 500, "{ignored} {kept}");
}

#[test]
fn the_walk_sees_what_git_sees() {
    let mut place = Place::repository();
    place.write(
        ".gitignore",
        "*.o\n/build/\n!keep.o\nlogs/**\n!logs/x\nnode_modules\n",
    );
    place.write("sub/.gitignore", "!a.o\n*.txt\n!/b.txt\ndeep/*/c\n");
    place.write(".git/info/exclude", "excluded\n*.o2\n");
    place.commit();
    let paths = [
        "a.o",
        "keep.o",
        "build/x",
        "sub/build/x",
        "logs/x",
        "logs/y/x",
        "node_modules/m/i.js",
        "sub/a.o",
        "sub/b.txt",
        "sub/c.txt",
        "sub/d/b.txt",
        "sub/deep/1/c",
        "sub/deep/1/2/c",
        "excluded",
        "sub/excluded/x",
        "z.o2",
        "plain",
    ];
    let (files, summary) = place.changes(|place| {
        for path in paths {
            place.write(path, path);
        }
    });
    let ours: Vec<String> = files.iter().filter_map(|file| file.path.clone()).collect();
    let said = place
        .git(&["ls-files", "--others", "--exclude-standard"])
        .stdout;
    let mut gits: Vec<&str> = str::from_utf8(&said).unwrap().lines().collect();
    gits.sort_unstable();
    assert_eq!(ours, gits);
    assert_eq!(
        usize::try_from(summary.ignored).unwrap(),
        paths.len() - ours.len()
    );
}

#[test]
fn indexes_of_every_version_are_read() {
    for format in ["sha1", "sha256"] {
        let place = Place::folder();
        place.git(&["init", "-q", "--object-format", format]);
        for n in 0..30 {
            place.write(
                format!("{}/{n}", "d".repeat(n)).trim_start_matches('/'),
                "x",
            );
        }
        place.commit();
        let said = place.git(&["ls-files", "-z"]).stdout;
        let gits: Vec<&[u8]> = said
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .collect();
        for version in ["2", "3", "4"] {
            place.git(&["update-index", "--index-version", version]);
            if version != "2" {
                place.git(&["update-index", "--skip-worktree", "0"]);
            }
            let index = fs::read(place.path(".git/index")).unwrap();
            assert_eq!(
                git_index::names(&index).unwrap(),
                gits,
                "{format} {version}"
            );
            for length in 0..index.len() {
                // Extensions at the end may be missing, names may not.
                let names = git_index::names(&index[..length]);
                assert!(names.is_none_or(|names| names == gits), "{length}");
            }
        }
    }
}
