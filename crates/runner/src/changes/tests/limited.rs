//! What is too much, and how fast the rest is.

use std::time::{Duration, Instant};

use super::super::diff::{Side, diff};
use super::super::tree::{Entry, Kind, Stamp};
use super::*;

#[test]
fn of_too_many_paths_those_that_matter_are_listed() {
    for mut place in Place::both() {
        place.write("zz-known", "one");
        let (files, summary) = place.changes(|place| {
            place.write("zz-known", "two");
            place.write(".git/hooks/x", "x");
            for n in 0..10_003 {
                place.write(format!("many/{n:05}"), "");
            }
        });
        assert_eq!((summary.files, summary.omitted), (10_000, 5));
        let names: Vec<_> = files.iter().map(path_of).collect();
        assert!(names.is_sorted());
        assert_eq!(names[0], b".git/hooks/x");
        assert_eq!(names[9_999], b"zz-known");
        assert_eq!(
            summary.notes,
            ["5 more files changed than the 10000 that are listed"]
        );
    }
}

#[test]
fn floods_of_ignored_files_are_counted() {
    let mut place = Place::repository();
    let (files, summary) = place.changes(|place| {
        place.write(".gitignore", "node_modules\n");
        for n in 0..1_500 {
            place.write(format!("node_modules/{n}"), "");
        }
    });
    assert_eq!(files.len(), 1_001);
    assert!(
        summary.notes[0].contains("500 new files are ignored now"),
        "{summary:?}"
    );
    let (files, summary) = place.changes(|_| {});
    assert_eq!((files.len(), summary.ignored), (0, 1_500));
}

#[test]
fn large_and_sparse_files_are_told_by_size_and_times() {
    for mut place in Place::both() {
        let sparse = |place: &Place, name: &str, size| {
            fs::File::create(place.path(name))
                .unwrap()
                .set_len(size)
                .unwrap();
        };
        sparse(&place, "huge", 1 << 40);
        let begin = Instant::now();
        let (files, summary) = place.changes(|place| {
            sparse(place, "huge", (1 << 40) + 1);
            sparse(place, "large", 5 << 20);
        });
        assert!(begin.elapsed() < Duration::from_secs(5));
        assert_eq!(
            files.iter().map(shown).collect::<Vec<_>>(),
            ["m huge", "a large"]
        );
        for file in &files {
            assert_eq!((&file.content_base64, &file.diff_base64), (&None, &None));
            assert_eq!(file.truncated, Some(true));
        }
        assert!(
            summary
                .notes
                .iter()
                .any(|note| note.contains("1 files are too large to be read"))
        );
        assert!(
            summary
                .notes
                .iter()
                .any(|note| note.starts_with("2 changed files are listed without"))
        );
    }
}

#[test]
fn a_look_that_is_cut_says_so_and_still_sees_known_files() {
    for mut place in Place::both() {
        place.watcher.limits = Some(Limits {
            entries: 30,
            ..Limits::of(true)
        });
        place.write("m/known", "one");
        let (files, summary) = place.changes(|place| {
            place.write("m/known", "two");
            for n in 0..50 {
                place.write(format!("a{n}/x"), "x");
            }
        });
        assert!(
            files.iter().any(|file| shown(file) == "m m/known"),
            "{summary:?}"
        );
        assert!(
            summary.notes[0].contains("the look after the task was ended"),
            "{summary:?}"
        );
        assert!(files.len() < 50);

        let (files, summary) = place.changes(|_| {});
        assert_eq!(
            files.len(),
            0,
            "what was not seen before is not new: {summary:?}"
        );
        assert!(
            summary.notes[0].contains("the look before the task was ended"),
            "{summary:?}"
        );
    }
}

#[test]
fn memory_is_not_filled() {
    // Each name of this index begins with all of the one before.
    let entry = |flags: u16, tail: &[u8]| [&[0; 60], &flags.to_be_bytes()[..], tail].concat();
    let first = entry(0xfff, &[b"\0", &b"n".repeat(1 << 14)[..], b"\0"].concat());
    let others = entry(0xfff, b"\0x\0").repeat(1 << 12);
    let count = (1_u32 << 12) + 1;
    let head = [&b"DIRC\0\0\0\x04"[..], &count.to_be_bytes()].concat();
    let index = [head, first, others, vec![0; 20]].concat();
    assert_eq!(git_index::names(&index), None);

    let mut place = Place::repository();
    place.watcher.limits = Some(Limits {
        path_bytes: 1_000,
        ..Limits::of(true)
    });
    place.write(".gitignore", "x\n".repeat(100_000));
    let (_, summary) = place.changes(|place| {
        for n in 0..300 {
            place.write(format!("{n:0>100}"), "");
        }
    });
    assert!(summary.notes[0].contains("the look after the task was ended"));
    let is_said = |note: &String| note.contains("1 ignore files are too long");
    assert!(summary.notes.iter().any(is_said), "{summary:?}");
}

#[test]
fn a_great_many_same_files_are_renamed_soon() {
    let mut place = Place::folder();
    let copies = 4_000;
    for n in 0..copies {
        place.write(format!("a{n}"), "same");
    }
    let begin = Instant::now();
    let (files, _) = place.changes(|place| {
        for n in 0..copies {
            fs::rename(place.path(format!("a{n}")), place.path(format!("b{n}"))).unwrap();
        }
    });
    assert_eq!(files.len(), copies);
    assert!(files.iter().all(|file| file.change == FileChange::Renamed));
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn deep_folders_are_not_descended_into_for_ever() {
    let mut place = Place::folder();
    let (_, summary) = place.changes(|place| place.write(format!("{}f", "d/".repeat(150)), "x"));
    assert!(
        summary.notes[0].contains("1 folders are too deep"),
        "{summary:?}"
    );
}

#[test]
fn copies_that_have_no_room_are_missed_by_name() {
    let mut place = Place::folder();
    place.watcher.limits = Some(Limits {
        copies: 5,
        ..Limits::of(false)
    });
    place.write("a", "1234");
    place.write("b", "5678");
    let (files, summary) = place.changes(|place| {
        place.write("a", "1");
        place.write("b", "2");
    });
    let lacks: Vec<_> = files
        .iter()
        .map(|file| file.diff_base64.is_none())
        .collect();
    assert_eq!(lacks, [false, true]);
    assert_eq!(content_of(&files[1]).unwrap(), b"2");
    assert!(summary.notes[0].contains("1 changed files are listed without"));
}

#[test]
fn room_of_old_copies_is_used_again() {
    let mut place = Place::folder();
    place.watcher.limits = Some(Limits {
        copies: 4_000,
        ..Limits::of(false)
    });
    for n in 0..20 {
        let (files, _) = place.changes(|place| place.write("a", format!("{n}{}", "x".repeat(900))));
        assert!(files[0].diff_base64.is_some(), "{n}");
    }
}

/// The number of lines that the heads of hunks announce, and those that are there.
fn counted(diff: &str) -> (usize, usize) {
    let (mut said, mut found) = (0, 0);
    for line in diff.lines() {
        if let Some(head) = line.strip_prefix("@@ ") {
            for range in head.trim_end_matches(" @@").split(' ') {
                said += range
                    .split_once(',')
                    .map_or(1, |(_, n)| n.parse::<usize>().unwrap());
            }
        } else if said > 0 {
            found += match line.as_bytes().first() {
                Some(b' ') => 2,
                Some(b'\\') => 0,
                _ => 1,
            };
        }
    }
    (said, found)
}

#[test]
fn cut_diffs_can_be_read() {
    let lines = |from: usize| numbered("", from..from + 4_000);
    let (old, new) = (lines(0), lines(2_000));
    let side = |content| Side {
        path: b"f",
        mode: 0o100_644,
        content,
    };
    let until = Instant::now() + Duration::from_secs(5);
    let diff = |longest| {
        let (old, new) = (side(old.as_bytes()), side(new.as_bytes()));
        diff(Some(old), Some(new), None, longest, until)
    };
    assert!(!diff(1 << 20).is_cut);
    for longest in [0, 100, 150, 1_000, 5_000, 12_000] {
        let cut = diff(longest);
        assert!(cut.is_cut && cut.bytes.len() <= longest.max(100));
        let (said, found) = counted(str::from_utf8(&cut.bytes).unwrap());
        assert_eq!(said, found);
        assert_eq!(said > 0, longest >= 150, "{longest}");
    }
}

#[test]
fn contents_made_to_be_slow_are_not() {
    let sides = [
        ("a\n".repeat(2 << 20), "a\n".repeat(1 << 20)),
        ("a\nb\n".repeat(40_000), "b\nc\na\n".repeat(30_000)),
        (numbered("", 0..90_000), numbered("", (0..90_000).rev())),
        ("x".repeat(4 << 20), "y".repeat(4 << 20)),
    ];
    for (old, new) in sides {
        let begin = Instant::now();
        let (old, new) = (
            Side {
                path: b"f",
                mode: 0o100_644,
                content: old.as_bytes(),
            },
            Side {
                path: b"f",
                mode: 0o100_644,
                content: new.as_bytes(),
            },
        );
        let made = diff(
            Some(old),
            Some(new),
            None,
            limits::DIFF,
            begin + limits::DIFF_TIME,
        );
        assert!(made.bytes.len() <= limits::DIFF);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(4), "{took:?}");
        println!("{took:?} {}", made.is_cut);
    }
    let rules =
        ignore::Rules::parse(&[b"*a".repeat(500), b"/**/".to_vec(), b"**/x/".repeat(200)].concat());
    let begin = Instant::now();
    let path = [b"a".repeat(250), b"/x".repeat(1_000)].concat();
    rules.decide(&path, false);
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_small_folder_is_quick() {
    for mut place in Place::both() {
        for n in 0..50 {
            place.write(format!("d/{n}"), numbered("", 0..100));
        }
        let begin = Instant::now();
        place.changes(|place| place.write("d/7", "x"));
        println!("small {:?}", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn a_large_tree_is_quick_the_second_time() {
    let mut place = Place::repository();
    for n in 0..20_000 {
        let path = place.path(format!("{}/{n}", n % 200));
        if n < 200 {
            fs::create_dir(path.parent().unwrap()).unwrap();
        }
        fs::write(path, n.to_string()).unwrap();
    }
    let begin = Instant::now();
    place.changes(|_| {});
    let first = begin.elapsed();
    std::thread::sleep(Duration::from_secs(3));
    place.changes(|_| {});
    let begin = Instant::now();
    place.changes(|_| {});
    println!("first {first:?}, then {:?}", begin.elapsed());
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn times_are_not_trusted_until_they_can_tell() {
    let stamp = Stamp {
        device: 1,
        inode: 1,
        size: 1,
        raw_mode: 0o100_644,
        modified: (0, 0),
        changed: (100, 0),
    };
    let entry = Entry {
        kind: Kind::File,
        mode: 0o100_644,
        stamp,
        digest: None,
        newly_ignored: false,
    };
    let is_known = |begun| {
        let entries = [(b"f".to_vec(), entry.clone())].into();
        let look = Look {
            entries,
            begun,
            ..Look::default()
        };
        look.known(b"f", &stamp).is_some()
    };
    assert_eq!(
        [99, 100, 101, 102, 103].map(is_known),
        [false, false, false, false, true]
    );
}

#[test]
fn a_receiver_that_is_gone_ends_it() {
    let mut place = Place::folder();
    let before = place.watcher.before().unwrap();
    place.write("a", "a");
    let result = place.watcher.after(before, &mut |_| Err(Stopped));
    assert!(matches!(result, Err(ChangesError::Stopped)));
    assert_eq!(
        place.names(|place| place.write("b", "b")),
        ["a b"],
        "and the next task is told"
    );
}
