//! A thousand ways to lie with an exported log (guarantees E10, suite F12). The forger may write the
//! whole file; the checker has the file and one head that was kept before.

use serde_json::Value;
use test_support::{TestDb, canonical};

use crate::audit::{busy_log, export, head, said, verify};
use crate::evidence::sha256;
use crate::rest::text;
use crate::site::Site;

/// How many lies.
const TAMPERS: u64 = 1_000;

/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let end = u64::try_from(end).expect("small");
        usize::try_from(self.0 % end).expect("small")
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

/// An export, line by line.
#[derive(Clone)]
struct Forgery {
    lines: Vec<String>,
    /// The lines that are rows; then come approvals and the trailer.
    rows: std::ops::Range<usize>,
}

impl Forgery {
    fn of(export: &str) -> Self {
        let lines: Vec<String> = export.lines().map(ToOwned::to_owned).collect();
        let rows = lines.iter().filter(|line| line.starts_with("{\"seq\":"));
        let rows = 1..rows.count() + 1;
        Self { lines, rows }
    }

    fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }

    fn approvals(&self) -> Vec<usize> {
        (self.rows.end..self.lines.len() - 1).collect()
    }

    /// The approvals that were decided.
    fn decided(&self) -> Vec<usize> {
        let mut decided = self.approvals();
        decided.retain(|line| !self.lines[*line].contains("\"status\":\"pending\""));
        decided
    }

    fn value(&self, line: usize) -> Value {
        serde_json::from_str(&self.lines[line]).expect("JSON")
    }

    /// The line of the row of this type about the approval.
    fn row_about(&self, approval: usize, kind: &str) -> usize {
        let id = text(&self.value(approval)["approval"]["id"]);
        let is_about = |line: &usize| {
            let row = self.value(*line);
            row["type"] == kind && row["payload"]["approvalId"] == id.as_str()
        };
        self.rows.clone().find(is_about).expect("a row")
    }

    fn replace(&mut self, line: usize, from: &str, to: &str) {
        let before = self.lines[line].clone();
        self.lines[line] = before.replace(from, to);
        assert_ne!(self.lines[line], before, "{from} is there");
    }

    /// Gives a row the hash that it should have.
    fn rehash(&mut self, line: usize) -> String {
        let mut row = self.value(line);
        let old = row.as_object_mut().expect("a row").remove("hash");
        let new = sha256(canonical(&row));
        let old = format!("\"hash\":\"{}\"", text(&old.expect("a hash")));
        let to = format!("\"hash\":\"{new}\"");
        self.lines[line] = self.lines[line].replace(&old, &to);
        new
    }

    /// Gives all rows from here on the hashes that they should have, and the trailer its head.
    fn rechain(&mut self, from: usize) {
        for line in from..self.rows.end {
            let hash = self.rehash(line);
            if line + 1 < self.rows.end {
                let old = text(&self.value(line + 1)["prevHash"]);
                let (old, new) = (
                    format!("\"prevHash\":\"{old}\""),
                    format!("\"prevHash\":\"{hash}\""),
                );
                self.lines[line + 1] = self.lines[line + 1].replace(&old, &new);
            }
        }
        self.end_anew();
    }

    /// A trailer that fits what is before it.
    fn end_anew(&mut self) {
        let last = self.value(self.rows.end - 1);
        let (seq, hash) = (&last["seq"], text(&last["hash"]));
        let approvals = self.approvals().len();
        let trailer = format!(
            "{{\"head\":{{\"seq\":{seq},\"hash\":\"{hash}\"}},\"rows\":{},\"approvals\":{approvals}}}",
            self.rows.len()
        );
        *self.lines.last_mut().expect("a trailer") = trailer;
    }

    /// Changes a letter or a digit to another one, somewhere in `line[range]`.
    fn alter(&mut self, dice: &mut Dice, line: usize, range: std::ops::Range<usize>) {
        let mut bytes = self.lines[line].clone().into_bytes();
        let places: Vec<usize> = range
            .filter(|at| bytes[*at].is_ascii_alphanumeric())
            .collect();
        let at = dice.of(&places);
        let class: &[u8] = if bytes[at].is_ascii_digit() {
            b"0123456789"
        } else {
            b"abcdef"
        };
        let others: Vec<u8> = class
            .iter()
            .copied()
            .filter(|byte| *byte != bytes[at])
            .collect();
        bytes[at] = dice.of(&others);
        self.lines[line] = String::from_utf8(bytes).expect("ASCII for ASCII");
    }

    /// Another time in a row: what is readable and fits everywhere but in the hash.
    fn alter_time(&mut self, dice: &mut Dice, line: usize) {
        let at = text(&self.value(line)["at"]);
        let start = self.lines[line].find(&at).expect("there");
        // one of the six digits behind the seconds
        self.alter(dice, line, start + 20..start + 26);
    }

    /// Replaces who decided; with the name of the actor in `line`.
    fn replace_decider(&mut self, line: usize, from: &Value, to: &Value) {
        for member in ["id", "name"] {
            let (from, to) = (from[member].to_string(), to[member].to_string());
            if from != to {
                self.replace(line, &from, &to);
            }
        }
    }
}

/// Makes one lie; its name, for the message. Every one leaves a file that is not the exported one.
fn tamper(forgery: &mut Forgery, dice: &mut Dice) -> &'static str {
    let lines = forgery.lines.len();
    let rows: Vec<usize> = forgery.rows.clone().collect();
    match dice.below(14) {
        0 => {
            let line = dice.below(lines);
            forgery.alter(dice, line, 0..forgery.lines[line].len());
            "a member edited"
        }
        1 => {
            let (one, other) = (dice.below(lines), dice.below(lines - 1));
            forgery
                .lines
                .swap(one, if other >= one { other + 1 } else { other });
            "lines swapped"
        }
        2 => {
            let line = dice.below(lines);
            forgery.lines.remove(line);
            "a line deleted"
        }
        3 => {
            let line = forgery.lines[dice.below(lines)].clone();
            forgery.lines.insert(dice.below(lines + 1), line);
            "a line duplicated"
        }
        4 => {
            let line = dice.of(&rows);
            forgery.alter_time(dice, line);
            "a row edited"
        }
        5 => {
            let line = dice.of(&rows);
            forgery.alter_time(dice, line);
            forgery.rehash(line);
            if line + 1 == forgery.rows.end {
                forgery.end_anew();
            }
            "a row edited and hashed anew"
        }
        6 => {
            let line = dice.of(&rows);
            forgery.alter_time(dice, line);
            forgery.rechain(line);
            "history rewritten from a row on"
        }
        7 => {
            // the last rows are about no approval, see `busy_log`
            let cut = 1 + dice.below(4);
            let end = forgery.rows.end;
            forgery.lines.drain(end - cut..end);
            forgery.rows.end -= cut;
            forgery.end_anew();
            "the tail cut, with a trailer that fits"
        }
        8 => {
            // always more than the last end of line
            let text = forgery.text();
            let end = 1 + dice.below(text.chars().count() - 2);
            let cut: String = text.chars().take(end).collect();
            forgery.lines = cut.lines().map(ToOwned::to_owned).collect();
            "the file cut"
        }
        9 | 10 => {
            let decided = forgery.decided();
            let line = dice.of(&decided);
            let actor = forgery.value(line)["approval"]["decidedBy"].clone();
            let others: Vec<Value> = decided
                .iter()
                .map(|line| forgery.value(*line)["approval"]["decidedBy"].clone())
                .filter(|other| *other != actor)
                .collect();
            let other = dice.of(&others);
            forgery.replace_decider(line, &actor, &other);
            if dice.below(2) == 0 {
                return "the decider replaced";
            }
            let row = forgery.row_about(line, "approval.resolved");
            forgery.replace_decider(row, &actor, &other);
            forgery.rechain(row);
            "the decider replaced, in the log, too"
        }
        11 => {
            let decided = forgery.decided();
            let line = dice.of(&decided);
            let status = text(&forgery.value(line)["approval"]["status"]);
            let others: Vec<&str> = ["approved", "rejected", "cancelled"]
                .into_iter()
                .filter(|other| *other != status)
                .collect();
            let (from, to) = (format!("\"{status}\""), format!("\"{}\"", dice.of(&others)));
            forgery.replace(line, &from, &to);
            "the decision turned round"
        }
        _ => {
            let line = dice.of(&forgery.approvals());
            let sealed = text(&forgery.value(line)["approval"]["evidenceSha256"]);
            let start = forgery.lines[line].find("\"manifest\":").expect("there");
            let content = forgery.lines[line][start..]
                .find("contentSha256")
                .expect("there");
            let digest = start + content + "contentSha256\\\":\\\"".len();
            forgery.alter(dice, line, digest..digest + 64);
            if dice.below(3) == 0 {
                return "the manifest altered";
            }
            let manifest = text(&forgery.value(line)["approval"]["manifest"]);
            let digest = sha256(manifest);
            forgery.replace(line, &sealed, &digest);
            if dice.below(2) == 0 {
                return "the manifest altered, with a digest that fits";
            }
            let row = forgery.row_about(line, "approval.created");
            forgery.replace(row, &sealed, &digest);
            forgery.rechain(row);
            "the manifest altered, in the log, too"
        }
    }
}

#[test]
fn every_lie_is_found_with_a_head_that_was_kept() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (exported, kept) = runtime.block_on(async {
        let site = Site::start(TestDb::migrated_sqlite());
        busy_log(&site).await;
        (export(&site.db), head(&site.db))
    });
    said(&verify(&exported, &[&kept]), 0);
    let honest = Forgery::of(&exported);
    let threads = 4_u64;
    let found: u64 = std::thread::scope(|scope| {
        let (honest, exported, kept) = (&honest, &exported, &kept);
        let workers = (1..=threads).map(|thread| {
            scope.spawn(move || {
                let mut dice = Dice(thread.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                let mut found = 0;
                for number in 0..TAMPERS / threads {
                    let mut forgery = honest.clone();
                    let what = tamper(&mut forgery, &mut dice);
                    let text = forgery.text();
                    assert_ne!(text, *exported, "{number}: {what} changes something");
                    let output = verify(&text, &[kept]);
                    assert_eq!(output.status.code(), Some(1), "{number}: {what}\n{text}");
                    found += 1;
                }
                found
            })
        });
        let workers: Vec<_> = workers.collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("all found"))
            .sum()
    });
    assert_eq!(found, TAMPERS);
}

#[test]
fn a_tail_that_was_cut_is_seen_by_a_kept_head_only() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (exported, kept) = runtime.block_on(async {
        let site = Site::start(TestDb::migrated_sqlite());
        busy_log(&site).await;
        (export(&site.db), head(&site.db))
    });
    let mut cut = Forgery::of(&exported);
    cut.lines.remove(cut.rows.end - 1);
    cut.rows.end -= 1;
    cut.end_anew();
    let unseen = said(&verify(&cut.text(), &[]), 0);
    assert!(unseen.contains("cannot be seen"), "{unseen}");
    let seen = said(&verify(&cut.text(), &[&kept]), 1);
    assert!(seen.contains("the tail was cut"), "{seen}");

    let mut rewritten = Forgery::of(&exported);
    rewritten.alter_time(&mut Dice(1), 3);
    rewritten.rechain(3);
    said(&verify(&rewritten.text(), &[]), 0);
    let seen = said(&verify(&rewritten.text(), &[&kept]), 1);
    assert!(seen.contains("history was rewritten"), "{seen}");
}
