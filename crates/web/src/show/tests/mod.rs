//! Tests of what is shown.

mod ansi;
mod diff;
mod fixtures;
mod hostile;
mod visible;

use super::visible::{is_invisible, is_mark};
use super::{Run, Shown};

/// `text[class|text]…`: the runs on one line.
fn picture(runs: &[Run]) -> String {
    let one = |run: &Run| match run.class.as_ref() {
        "" => run.text.clone(),
        class => format!("[{class}|{}]", run.text),
    };
    runs.iter().map(one).collect()
}

fn pictured(shown: &Shown) -> String {
    picture(&shown.runs)
}

/// What everything that is shown has in common: our classes, nothing invisible, no towers of marks.
fn assert_safe(runs: &[Run]) {
    let mut marks = 4;
    for run in runs {
        assert!(!run.text.is_empty(), "an empty run");
        for class in run.class.split(' ') {
            let is_ours = matches!(class, "" | "esc" | "mark" | "mixed" | "cut")
                || matches!(
                    class,
                    "a-bold" | "a-dim" | "a-italic" | "a-underline" | "a-inverse" | "a-strike"
                )
                || ["a-fg-", "a-bg-"].iter().any(|prefix| {
                    class
                        .strip_prefix(prefix)
                        .and_then(|number| number.parse::<u8>().ok())
                        .is_some_and(|number| number < 16)
                });
            assert!(is_ours, "class {class:?}");
        }
        let is_drawn = run.class.starts_with("esc");
        for c in run.text.chars() {
            assert!(
                !is_invisible(c) || (!is_drawn && matches!(c, '\n' | '\t')),
                "{:?} holds {c:?}",
                run.text
            );
            if is_mark(c) {
                marks += 1;
                assert!(marks <= 4, "too many marks in {:?}", run.text);
            } else {
                marks = if matches!(c, '\n' | '\t') { 4 } else { 0 };
            }
        }
        if is_drawn || run.class == "cut" {
            marks = 4;
        }
    }
}

/// The bytes that were shown: exactly the original, as nothing is left out.
fn original(runs: &[Run]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for run in runs {
        if !run.class.starts_with("esc") {
            bytes.extend(run.text.bytes());
            continue;
        }
        let (name, times) = run.text.split_once(" ×").unwrap_or((&run.text, "1"));
        let times: usize = times.replace(',', "").parse().unwrap();
        let one = if name == "CR" {
            vec![b'\r']
        } else if let Some(code) = name.strip_prefix("U+") {
            let c = char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap();
            c.to_string().into_bytes()
        } else {
            vec![u8::from_str_radix(name, 16).unwrap()]
        };
        bytes.extend(one.repeat(times));
    }
    bytes
}
