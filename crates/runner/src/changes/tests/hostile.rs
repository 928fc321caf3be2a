//! Folders in which an agent did what it could.

use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;

/// Has everything in the configuration that makes git execute something.
fn hostile(folder: &Path, marker: &Path) {
    let command = format!("touch {}; cat", marker.display());
    let hooks = folder.join("evil-hooks");
    fs::create_dir_all(&hooks).unwrap();
    for hook in [
        "post-index-change",
        "pre-commit",
        "reference-transaction",
        "fsmonitor-watchman",
    ] {
        fs::write(
            hooks.join(hook),
            format!("#!/bin/sh\ntouch {}\n", marker.display()),
        )
        .unwrap();
        fs::set_permissions(hooks.join(hook), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let include = folder.join("evil-include");
    fs::write(&include, format!("[core]\n\tpager = {command:?}\n")).unwrap();
    for (name, value) in [
        ("filter.evil.clean", command.as_str()),
        ("filter.evil.smudge", &command),
        ("filter.evil.process", &command),
        ("filter.evil.required", "true"),
        ("core.fsmonitor", &command),
        ("core.hooksPath", hooks.to_str().unwrap()),
        ("diff.evil.textconv", &command),
        ("diff.evil.command", &command),
        ("diff.external", &command),
        ("core.sshCommand", &command),
        ("core.gitProxy", &command),
        ("core.alternateRefsCommand", &command),
        ("credential.helper", &command),
        ("include.path", include.to_str().unwrap()),
    ] {
        git(
            folder,
            &["-c", "core.fsmonitor=false", "config", name, value],
        );
    }
    fs::write(folder.join(".gitattributes"), "* filter=evil diff=evil\n").unwrap();
}

#[test]
fn nothing_is_executed() {
    let mut place = Place::repository();
    let marker = place.outside().join("marker");
    place.write("a", "a\n");
    place.write("sub/f", "f\n");
    git(&place.path("sub"), &["init", "-q"]);
    git(&place.path("sub"), &["add", "f"]);
    git(&place.path("sub"), &["commit", "-qm", "x"]);
    git_command(&place.root)
        .args(["add", "-A"])
        .output()
        .unwrap();
    place.git(&["commit", "-qm", "x"]);
    hostile(&place.root, &marker);
    hostile(&place.path("sub"), &marker);
    let (files, _) = place.changes(|place| {
        place.write("a", "b\n");
        place.write("sub/f", "g\n");
    });
    assert_eq!(
        files.iter().map(shown).collect::<Vec<_>>(),
        ["m a", "m sub/f"]
    );
    assert!(!marker.exists());
    // The trap works: git itself runs into it.
    git_command(&place.root).args(["status"]).output().unwrap();
    assert!(marker.exists());
}

#[test]
fn nothing_is_altered() {
    for mut place in Place::both() {
        place.write("a", "a\n");
        place.write(".gitignore", "ignored\n");
        place.write("ignored", "x\n");
        place.link("link", "a");
        if place.path(".git").exists() {
            place.commit();
            place.git(&["repack", "-adq"]);
            // Git would write this index anew, and the times of the pack.
            place.write("a", "a\n");
        }
        let was = snapshot(&place.root);
        std::thread::sleep(Duration::from_millis(20));
        place.changes(|_| {});
        place.changes(|_| {});
        assert_eq!(snapshot(&place.root), was);
    }
}

#[test]
fn bits_of_the_index_hide_nothing() {
    let mut place = Place::repository();
    for name in ["assumed", "skipped"] {
        place.write(name, "one\n");
    }
    place.commit();
    place.git(&["update-index", "--assume-unchanged", "assumed"]);
    place.git(&["update-index", "--skip-worktree", "skipped"]);
    let names = place.names(|place| {
        place.write("assumed", "two\n");
        place.write("skipped", "two\n");
    });
    assert_eq!(names, ["m assumed", "m skipped"]);
}

#[test]
fn bytes_are_not_converted() {
    let mut place = Place::repository();
    place.write(
        ".gitattributes",
        "* text=auto eol=crlf\n*.id ident\n*.u text working-tree-encoding=UTF-16LE\n",
    );
    place.write("x.txt", "a\r\nb\r\n");
    place.write("x.id", "$Id$\n");
    place.write("x.u", b"a\0\n\0");
    place.commit();
    let (files, _) = place.changes(|place| {
        place.write("x.txt", "a\nb\n");
        place.write("x.id", "$Id: 1 $\n");
        place.write("x.u", b"b\0\n\0");
    });
    let contents: Vec<_> = files.iter().map(|file| content_of(file).unwrap()).collect();
    assert_eq!(
        contents,
        [
            b"$Id: 1 $\n".to_vec(),
            b"a\nb\n".to_vec(),
            b"b\0\n\0".to_vec()
        ]
    );
    assert!(diff_of(&files[1]).ends_with("-a\r\n-b\r\n+a\n+b\n"));
}

#[test]
fn planted_hooks_are_shown() {
    for mut place in Place::both() {
        place.write("nested/x", "x");
        for folder in ["", "nested"] {
            git(&place.path(folder), &["init", "-q"]);
        }
        place.write(".git/modules/m/config", "[core]\n");
        let (files, _) = place.changes(|place| {
            place.write(".git/hooks/pre-commit", "#!/bin/sh\nevil\n");
            place.mode(".git/hooks/pre-commit", 0o755);
            place.write(".git/info/attributes", "* filter=evil\n");
            place.write(".git/objects/ab/cd", "not shown");
            place.write(".git/modules/m/config", "[core]\n\tfsmonitor = evil\n");
            place.write("nested/.git/hooks/post-checkout", "evil\n");
            git(&place.root, &["config", "core.pager", "evil"]);
        });
        let shown: Vec<_> = files.iter().map(shown).collect();
        let expected = [
            "m .git/config",
            "a .git/hooks/pre-commit",
            "a .git/info/attributes",
            "m .git/modules/m/config",
            "a nested/.git/hooks/post-checkout",
        ];
        assert_eq!(shown, expected);
        assert!(diff_of(&files[0]).contains("+\tpager = evil\n"));
        assert_eq!(files[1].mode.as_deref(), Some("100755"));
    }
}

#[test]
fn repositories_inside_hide_nothing() {
    let mut place = Place::repository();
    place.write("a", "a");
    place.commit();
    let names = place.names(|place| {
        place.write("nested/deep/evil.sh", "x");
        git(&place.path("nested"), &["init", "-q"]);
        place.write("pointer/evil.sh", "y");
        place.write("pointer/.git", "gitdir: /nowhere\n");
    });
    let files: Vec<_> = names
        .iter()
        .filter(|name| !name.contains("/.git/"))
        .collect();
    assert_eq!(
        files,
        [
            "a nested/deep/evil.sh",
            "a pointer/.git",
            "a pointer/evil.sh"
        ]
    );
}

/// Nothing that git does not store itself can be kept out of sight in a folder of its name.
#[test]
fn what_does_not_belong_into_a_repository_is_shown() {
    let mut place = Place::repository();
    place.write(".git/modules/libs/foo/HEAD", "ref: refs/heads/main\n");
    let names = place.names(|place| {
        place.write(".git/commondir", "x\n");
        place.write(".git/x/config", "[core]\n");
        place.write(".git/rebase-merge/git-rebase-todo", "exec evil\n");
        place.write(".git/modules/libs/foo/config", "[core]\n");
        place.write(".git/worktrees/w/HEAD", "x\n");
        place.write(".git/worktrees/w/config.worktree", "[core]\n");
        place.write("x/.git/payload.sh", "evil\n");
    });
    let expected = [
        "a .git/commondir",
        "a .git/modules/libs/foo/config",
        "a .git/rebase-merge/git-rebase-todo",
        "a .git/worktrees/w/config.worktree",
        "a .git/x/config",
        "a x/.git/payload.sh",
    ];
    assert_eq!(names, expected);
}

/// What git does all the time is no news.
#[test]
fn a_commit_is_no_change_of_settings() {
    let mut place = Place::repository();
    place.write("a", "one");
    place.commit();
    let names = place.names(|place| {
        place.write("a", "two");
        place.commit();
        place.git(&["branch", "other"]);
        place.git(&["stash", "list"]);
        place.git(&["gc", "-q"]);
    });
    assert_eq!(names, ["m a"]);
}

#[test]
fn what_a_task_makes_invisible_is_no_secret() {
    let mut place = Place::repository();
    let (_, summary) = place.changes(|place| place.write("a", "x"));
    assert!(!summary.is_incomplete);
    let deep: String = (0..120).map(|_| "d/").collect();
    let (_, summary) = place.changes(|place| place.write(format!("{deep}evil"), "x"));
    assert!(summary.is_incomplete, "{summary:?}");
    let (_, summary) = place.changes(|place| place.write("a", "y"));
    assert!(!summary.is_incomplete, "it was there before: {summary:?}");
}

#[test]
fn new_rules_hide_nothing() {
    let mut place = Place::repository();
    place.write("known", "one");
    place.write("log", "x");
    place.write(".gitignore", "log\n");
    let (files, summary) = place.changes(|place| {
        place.write("known", "two");
        place.write("new", "x");
        place.write("log", "y");
        place.write("d/.gitignore", "*\n");
        place.write("d/new", "x");
        place.write(".git/info/exclude", "*\n");
        place.write(".gitignore", "*\n");
    });
    let shown: Vec<_> = files.iter().map(shown).collect();
    let expected = [
        "m .git/info/exclude",
        "m .gitignore",
        "m known",
        "a d/.gitignore",
        "a d/new",
        "a new",
    ];
    let mut expected = expected.to_vec();
    expected.sort_by_key(|name| name[2..].to_owned());
    assert_eq!(shown, expected);
    assert_eq!(summary.ignored, 1);
    fs::remove_dir_all(place.path(".git/info")).unwrap();
}

#[test]
fn without_its_repository_the_rules_hold_still() {
    let mut place = Place::repository();
    place.write(".gitignore", "log\n");
    place.write("log", "x");
    place.write("a", "x");
    let names = place.names(|place| {
        fs::remove_dir_all(place.path(".git")).unwrap();
        place.write("a", "y");
    });
    let outside: Vec<_> = names
        .iter()
        .filter(|name| !name.contains(".git/"))
        .collect();
    assert_eq!(outside, ["m a"]);
}

#[test]
fn what_is_tracked_is_not_ignored() {
    let mut place = Place::repository();
    place.write("build/tracked", "one");
    place.write("build/other", "one");
    place.commit();
    place.git(&["rm", "-q", "--cached", "build/other"]);
    place.write(".gitignore", "build\n");
    let (files, summary) = place.changes(|place| {
        place.write("build/tracked", "two");
        place.write("build/other", "two");
        place.write("build/forced", "x");
        place.git(&["add", "-f", "build/forced"]);
    });
    assert_eq!(
        files.iter().map(shown).collect::<Vec<_>>(),
        ["a build/forced", "m build/tracked"]
    );
    assert_eq!(summary.ignored, 1);
}

#[test]
fn links_are_not_followed() {
    for mut place in Place::both() {
        let secrets = place.outside().join("secrets");
        fs::create_dir(&secrets).unwrap();
        fs::write(secrets.join("f"), "SECRET").unwrap();
        place.write("d/f", "harmless");
        let (files, _) = place.changes(|place| {
            fs::remove_dir_all(place.path("d")).unwrap();
            place.link("d", secrets.to_str().unwrap());
            place.link("passwd", "/etc/passwd");
            place.link(".gitignore", "/etc/passwd");
        });
        let shown: Vec<_> = files.iter().map(shown).collect();
        assert_eq!(shown, ["a .gitignore", "a d", "d d/f", "a passwd"]);
        for file in &files {
            let content = content_of(file).unwrap_or_default();
            let all = format!("{}{}", diff_of(file), String::from_utf8_lossy(&content));
            assert!(!all.contains("SECRET") && !all.contains("root:"), "{all}");
        }
        // Nor while content is read again.
        assert_eq!(walk::content(&place.root, b"d/f", 100), None);
        assert_eq!(walk::content(&place.root, b"passwd", 100_000), None);
    }
}

#[test]
fn links_that_come_and_go_are_not_followed() {
    let mut place = Place::folder();
    let secrets = place.outside().join("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::write(secrets.join("f"), "SECRET").unwrap();
    place.write("real/f", "harmless");
    place.link("link", secrets.to_str().unwrap());
    place.write("file", "harmless");
    place.link("to-file", secrets.join("f").to_str().unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (stop, at) = (stop.clone(), |name: &str| place.path(name));
        let pairs = [["real", "link", "d"], ["file", "to-file", "g"]].map(|pair| pair.map(at));
        move || {
            while !stop.load(Ordering::Relaxed) {
                for [one, other, shown] in &pairs {
                    for from in [one, other] {
                        fs::rename(from, shown).unwrap();
                        fs::rename(shown, from).unwrap();
                    }
                }
            }
        }
    });
    for _ in 0..300 {
        for file in place.changes(|_| {}).0 {
            let content = content_of(&file).unwrap_or_default();
            let all = format!("{}{}", diff_of(&file), String::from_utf8_lossy(&content));
            assert!(!all.contains("SECRET"), "{all}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
}

#[test]
fn set_times_hide_nothing() {
    let mut places = Place::both();
    for place in &places {
        place.write("f", "one");
    }
    // Until the files are so old that their times are enough.
    std::thread::sleep(Duration::from_millis(3_100));
    for place in &mut places {
        let names = place.names(|place| {
            let was = fs::metadata(place.path("f")).unwrap().modified().unwrap();
            let file = fs::OpenOptions::new()
                .write(true)
                .open(place.path("f"))
                .unwrap();
            file.write_all_at(b"two", 0).unwrap();
            file.set_modified(was).unwrap();
        });
        assert_eq!(names, ["m f"]);
    }
}

#[test]
fn fifos_hold_nobody_up() {
    for mut place in Place::both() {
        place.write("was-file", "x");
        fs::create_dir_all(place.path("d/.git")).unwrap();
        let begin = Instant::now();
        let (files, summary) = place.changes(|place| {
            fs::remove_file(place.path("was-file")).unwrap();
            for name in ["was-file", ".gitignore", "d/.git/HEAD", "d/.git/config"] {
                fifo(&place.path(name));
            }
        });
        assert!(begin.elapsed() < Duration::from_secs(5));
        assert_eq!(files.iter().map(shown).collect::<Vec<_>>(), ["d was-file"]);
        assert_eq!(
            summary.notes,
            [r"3 FIFOs, sockets or devices are not shown (.gitignore, d/.git/config, was-file)"]
        );
        assert_eq!(walk::content(&place.root, b"was-file", 100), None);
    }
    let mut place = Place::repository();
    fs::remove_file(place.path(".git/info/exclude")).unwrap();
    fifo(&place.path(".git/info/exclude"));
    fifo(&place.path(".git/index"));
    let (_, summary) = place.changes(|_| {});
    assert!(summary.notes[0].contains("1 files or folders could not be read (.git/index)"));
}

#[test]
fn a_rewritten_object_store_changes_nothing() {
    let mut place = Place::repository();
    place.write("a", "before\n");
    place.commit();
    let (files, _) = place.changes(|place| {
        place.write("a", "after\n");
        fs::remove_dir_all(place.path(".git/objects")).unwrap();
    });
    assert!(diff_of(&files[0]).ends_with("-before\n+after\n"));
}

#[test]
fn another_folder_in_its_place_is_noted() {
    let mut place = Place::folder();
    place.write("a", "a");
    let (files, summary) = place.changes(|place| {
        fs::rename(&place.root, place.outside().join("elsewhere")).unwrap();
        place.write("b", "b");
    });
    assert_eq!(files.iter().map(shown).collect::<Vec<_>>(), ["d a", "a b"]);
    assert!(summary.notes[0].contains("replaced the folder itself"));
}
