//! Each kind of change, in both kinds of folder.

use super::*;

#[test]
fn added_modified_and_deleted() {
    for mut place in Place::both() {
        place.write("d/changed", "one\ntwo\n");
        place.write("gone", "bye\n");
        place.write("same", "same\n");
        let (files, summary) = place.changes(|place| {
            place.write("d/changed", "one\nTWO\n");
            fs::remove_file(place.path("gone")).unwrap();
            place.write("new", "hi");
            place.mode("new", 0o755);
        });
        let base = AddFile {
            path: None,
            path_base64: None,
            change: FileChange::Added,
            old_path: None,
            old_path_base64: None,
            mode: None,
            old_mode: None,
            diff_base64: None,
            content_base64: None,
            truncated: None,
        };
        let text = |text: &str| Some(text.to_owned());
        let encoded = |text: &str| Some(STANDARD.encode(text));
        let expected = [
            AddFile {
                path: text("d/changed"),
                change: FileChange::Modified,
                mode: text("100644"),
                old_mode: text("100644"),
                diff_base64: encoded(
                    "diff --git a/d/changed b/d/changed\n--- a/d/changed\n+++ b/d/changed\n\
                     @@ -1,2 +1,2 @@\n one\n-two\n+TWO\n",
                ),
                content_base64: encoded("one\nTWO\n"),
                ..base.clone()
            },
            AddFile {
                path: text("gone"),
                change: FileChange::Deleted,
                old_mode: text("100644"),
                diff_base64: encoded(
                    "diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n\
                     +++ /dev/null\n@@ -1 +0,0 @@\n-bye\n",
                ),
                ..base.clone()
            },
            AddFile {
                path: text("new"),
                mode: text("100755"),
                diff_base64: encoded(
                    "diff --git a/new b/new\nnew file mode 100755\n--- /dev/null\n+++ b/new\n\
                     @@ -0,0 +1 @@\n+hi\n\\ No newline at end of file\n",
                ),
                content_base64: encoded("hi"),
                ..base
            },
        ];
        assert_eq!(files, expected);
        assert_eq!(
            summary,
            Summary {
                files: 3,
                ..Summary::default()
            }
        );
        assert_eq!(place.names(|_| {}), [""; 0], "and then nothing");
        let again = place.names(|place| place.write("d/changed", "three\n"));
        assert_eq!(again, ["m d/changed"]);
    }
}

#[test]
fn modes_and_links() {
    for mut place in Place::both() {
        place.write("tool", "x\n");
        place.write("file", "x\n");
        place.write("root", "x\n");
        place.link("link", "one");
        let (files, _) = place.changes(|place| {
            place.mode("tool", 0o700);
            place.mode("root", 0o4755);
            fs::remove_file(place.path("link")).unwrap();
            place.link("link", "two");
            fs::remove_file(place.path("file")).unwrap();
            place.link("file", "/etc/passwd");
        });
        let shown: Vec<_> = files
            .iter()
            .map(|file| {
                (
                    shown(file),
                    file.old_mode.as_deref().unwrap(),
                    file.mode.as_deref().unwrap(),
                )
            })
            .collect();
        let expected = [
            ("m file", "100644", "120000"),
            ("m link", "120000", "120000"),
            ("m root", "100644", "104755"),
            ("m tool", "100644", "100755"),
        ];
        assert_eq!(
            shown,
            expected.map(|(name, old, new)| (name.to_owned(), old, new))
        );
        assert_eq!(content_of(&files[0]).unwrap(), b"/etc/passwd");
        assert_eq!(content_of(&files[1]).unwrap(), b"two");
        assert!(
            diff_of(&files[1]).ends_with(
                "-one\n\\ No newline at end of file\n+two\n\\ No newline at end of file\n"
            )
        );
        assert_eq!(
            diff_of(&files[3]),
            "diff --git a/tool b/tool\nold mode 100644\nnew mode 100755\n"
        );
    }
}

#[test]
fn renamed_as_it_was_and_with_changes() {
    let lines: String = numbered("line ", 0..40);
    for mut place in Place::both() {
        place.write("as/it/was", "content\n");
        place.write("edited", &lines);
        let (files, _) = place.changes(|place| {
            fs::create_dir(place.path("to")).unwrap();
            fs::rename(place.path("as/it/was"), place.path("to/was")).unwrap();
            fs::remove_file(place.path("edited")).unwrap();
            place.write("to/edited", lines.replace("line 7\n", "seven\n"));
        });
        let names: Vec<_> = files
            .iter()
            .map(|file| (shown(file), file.old_path.clone().unwrap()))
            .collect();
        let expected = [("r to/edited", "edited"), ("r to/was", "as/it/was")];
        assert_eq!(
            names,
            expected.map(|(new, old)| (new.to_owned(), old.to_owned()))
        );
        assert!(diff_of(&files[0]).contains("\n-line 7\n+seven\n"));
        assert_eq!(
            diff_of(&files[1]),
            "diff --git a/as/it/was b/to/was\nsimilarity index 100%\n\
             rename from as/it/was\nrename to to/was\n"
        );
        assert_eq!(content_of(&files[1]).unwrap(), b"content\n");
    }
}

#[test]
fn binary_files_have_content_and_no_lines() {
    for mut place in Place::both() {
        place.write("b", b"a\0b");
        let (files, _) = place.changes(|place| place.write("b", b"a\0c"));
        assert_eq!(
            diff_of(&files[0]),
            "diff --git a/b b/b\nBinary files a/b and b/b differ\n"
        );
        assert_eq!(content_of(&files[0]).unwrap(), b"a\0c");
        assert_eq!(files[0].truncated, None);
    }
}

#[test]
fn strange_names_are_told_exactly() {
    let names: [&[u8]; 5] = [
        b"a\nb",
        b"\x1b[31m",
        b"a \"quote\"\\",
        b"\xff\xfe",
        "\u{e4}\u{202e}".as_bytes(),
    ];
    for mut place in Place::both() {
        let (files, _) = place.changes(|place| {
            for name in names {
                place.write(name, "x\n");
            }
        });
        let mut expected = names.to_vec();
        expected.sort_unstable();
        assert_eq!(files.iter().map(path_of).collect::<Vec<_>>(), expected);
        let is_text: Vec<bool> = files.iter().map(|file| file.path.is_some()).collect();
        assert_eq!(is_text, [true, true, true, true, false]);
        let all: String = files.iter().map(diff_of).collect();
        assert!(all.contains(r#"+++ "b/\033[31m""#), "{all}");
        assert!(all.contains(r#"+++ "b/a\nb""#) && all.contains(r#"+++ "b/\377\376""#));
        assert!(!all.contains('\x1b'));
    }
}

#[test]
fn a_change_of_the_same_length_at_once_is_seen() {
    for mut place in Place::both() {
        place.write("f", "one");
        place.changes(|_| {});
        for content in ["two", "six", "ten"] {
            assert_eq!(place.names(|place| place.write("f", content)), ["m f"]);
        }
    }
}

#[test]
fn all_of_a_work_tree_is_looked_at() {
    let mut place = Place::repository();
    place.write("sub/x", "x");
    place.watcher = Watcher::new(place.path("sub"));
    assert_eq!(place.names(|place| place.write("y", "y")), ["a y"]);
    // A repository that a task makes inside does not hide the rest.
    git(&place.path("sub"), &["init", "-q"]);
    assert_eq!(place.names(|place| place.write("y", "z")), ["m y"]);
}

#[test]
fn linked_work_trees_have_their_own_index() {
    let main = Place::repository();
    main.write("kept.log", "one");
    main.write(".gitignore", "*.log");
    main.git(&["add", "-f", "kept.log", ".gitignore"]);
    main.git(&["commit", "-qm", "x"]);
    let tree = main.outside().join("tree");
    main.git(&["worktree", "add", "-q", tree.to_str().unwrap()]);
    fs::write(main.path(".git/info/exclude"), "*.tmp\n").unwrap();
    let mut place = Place {
        watcher: Watcher::new(tree.clone()),
        root: tree,
        ..Place::folder()
    };
    let (files, summary) = place.changes(|place| {
        place.write("kept.log", "two");
        place.write("other.log", "x");
        place.write("other.tmp", "x");
    });
    assert_eq!(files.iter().map(shown).collect::<Vec<_>>(), ["m kept.log"]);
    assert_eq!(summary.ignored, 2);
}
