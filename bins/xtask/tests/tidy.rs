//! House rules that no compiler checks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file of our crates and programs with this extension or name.
fn files(matches: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root().join("crates"), root().join("bins")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target") {
                    directories.push(path);
                }
            } else if matches(&path) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty());
    found
}

fn sources() -> Vec<PathBuf> {
    files(|path| path.extension().is_some_and(|extension| extension == "rs"))
}

fn shown(path: &Path) -> String {
    let root = root();
    path.strip_prefix(&root)
        .unwrap_or(path)
        .display()
        .to_string()
}

#[test]
fn every_module_says_what_it_is() {
    let silent: Vec<String> = sources()
        .iter()
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            !(text.starts_with("//! ") || text.starts_with("#![doc = include_str!"))
        })
        .map(|path| shown(path))
        .collect();
    assert_eq!(silent, Vec::<String>::new(), "modules without //! in front");
}

#[test]
fn nothing_is_left_open_and_no_test_is_switched_off() {
    // Put together here, so that this file does not accuse itself.
    let marks = [
        ["todo", "!"].concat(),
        ["unimplemented", "!"].concat(),
        ["#[ign", "ore"].concat(),
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
    ];
    let mut found = Vec::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                found.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn both_engines_have_the_same_migrations() {
    let names = |engine: &str| -> BTreeSet<String> {
        fs::read_dir(root().join("migrations").join(engine))
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                for file in ["up.sql", "down.sql"] {
                    assert!(path.join(file).is_file(), "{} lacks {file}", shown(&path));
                }
                path.file_name().unwrap().to_str().unwrap().to_owned()
            })
            .collect()
    };
    let sqlite = names("sqlite");
    assert!(!sqlite.is_empty());
    assert_eq!(sqlite, names("postgres"));
}

#[test]
fn only_the_store_names_diesel() {
    let naming: Vec<String> = files(|path| path.ends_with("Cargo.toml"))
        .iter()
        .filter(|path| {
            fs::read_to_string(path)
                .unwrap()
                .lines()
                .any(|line| line.starts_with("diesel"))
        })
        .map(|path| shown(path))
        .collect();
    assert_eq!(naming, ["crates/store/Cargo.toml"]);
}

#[test]
fn every_mistake_on_purpose_has_a_suite_that_must_notice_it() {
    let text = fs::read_to_string(root().join("crates/store/src/sabotage.rs")).unwrap();
    let names = text.lines().filter_map(|line| {
        let name = line.split_once(" = \"")?.1.strip_suffix("\",")?;
        (!name.contains(' ')).then_some(name)
    });
    let mistakes: BTreeSet<&str> = names.collect();
    assert!(mistakes.len() > 5);
    let controls = fs::read_to_string(root().join("bins/xtask/src/controls.rs")).unwrap();
    let uncontrolled: Vec<_> = mistakes
        .iter()
        .filter(|mistake| !controls.contains(&format!("\"{mistake}\" \"F")))
        .collect();
    assert_eq!(uncontrolled, Vec::<&&str>::new());
}

#[test]
fn every_test_that_a_guarantee_names_is_there() {
    let guarantees = fs::read_to_string(root().join("docs/guarantees.md")).unwrap();
    let sources: String = sources()
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let quoted = guarantees.split('`').skip(1).step_by(2);
    let tests: BTreeSet<&str> = quoted
        .filter_map(|text| text.rsplit("::").next())
        .filter(|text| text.matches('_').count() > 2)
        .filter(|text| text.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    assert!(tests.len() > 50, "{}", tests.len());
    let gone: Vec<_> = tests
        .iter()
        .filter(|test| !sources.contains(&format!("fn {test}")))
        .collect();
    assert_eq!(gone, Vec::<&&str>::new());
}
