//! What `.gitignore` files leave out. Written here and not asked of git, because git reads these
//! files wherever they are now, and a task may have rewritten them to hide what it did.

use super::glob::Glob;

/// The rules of one ignore file, for paths relative to its folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug, PartialEq, Eq)]
struct Rule {
    /// Whether it takes back what an earlier rule ignored.
    takes_back: bool,
    folders_only: bool,
    /// Whether it is about whole paths and not about names in any folder.
    anchored: bool,
    glob: Glob,
}

impl Rules {
    /// The rules that a file with this content has.
    pub(super) fn parse(content: &[u8]) -> Self {
        let content = content
            .strip_prefix(b"\xef\xbb\xbf".as_slice())
            .unwrap_or(content);
        let lines = content.split(|byte| *byte == b'\n');
        Self(lines.filter_map(Rule::parse).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the last rule that matches ignores `path`; none when no rule matches.
    pub(super) fn decide(&self, path: &[u8], is_folder: bool) -> Option<bool> {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        let matches = |rule: &&Rule| {
            (is_folder || !rule.folders_only)
                && rule.glob.matches(if rule.anchored { path } else { name })
        };
        let last = self.0.iter().rev().find(matches)?;
        Some(!last.takes_back)
    }
}

impl Rule {
    fn parse(line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b"#") {
            return None;
        }
        let line = without_trailing_spaces(line);
        let (takes_back, line) = match line.strip_prefix(b"!") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (folders_only, line) = match line.strip_suffix(b"/") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let anchored = line.contains(&b'/');
        let line = line.strip_prefix(b"/").unwrap_or(line);
        (!line.is_empty()).then(|| Self {
            takes_back,
            folders_only,
            anchored,
            glob: Glob::parse(line),
        })
    }
}

/// Spaces at the end do not count, unless a backslash stands before them.
fn without_trailing_spaces(line: &[u8]) -> &[u8] {
    let mut kept = 0;
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b' ' => at += 1,
            b'\\' => {
                at = (at + 2).min(line.len());
                kept = at;
            }
            _ => {
                at += 1;
                kept = at;
            }
        }
    }
    &line[..kept]
}
