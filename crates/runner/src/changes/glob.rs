//! The patterns of ignore files. A pattern comes from an agent, so matching takes at most the
//! product of the lengths in steps: only the last `*` (and the last `**`) is ever tried again.

/// A pattern for a path, split at its slashes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Glob(Vec<Segment>);

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    /// `**`: any number of folders.
    Folders,
    /// Exactly this name.
    Name(Vec<u8>),
    /// A name with wildcards.
    Wild(Vec<Token>),
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `?`
    One,
    /// `*`
    Many,
    /// `[…]`
    Class {
        negated: bool,
        ranges: Vec<(u8, u8)>,
    },
    /// What cannot match, such as a `[` that is never closed.
    Never,
}

impl Glob {
    pub(super) fn parse(pattern: &[u8]) -> Self {
        let mut segments: Vec<Segment> = pattern
            .split(|byte| *byte == b'/')
            .map(Segment::parse)
            .collect();
        // `a/**` is what is in a, and not a itself.
        if segments.len() > 1 && segments.last() == Some(&Segment::Folders) {
            segments.push(Segment::Wild(vec![Token::Many]));
        }
        Self(segments)
    }

    /// Whether the whole of `path` matches.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        if let [only] = &self.0[..]
            && !path.contains(&b'/')
        {
            return only.matches(path);
        }
        let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        greedy(
            &self.0,
            &names,
            |segment| matches!(segment, Segment::Folders),
            |segment, name| segment.matches(name),
        )
    }
}

impl Segment {
    fn parse(pattern: &[u8]) -> Self {
        if pattern == b"**" {
            return Self::Folders;
        }
        let tokens = tokens(pattern);
        let bytes = tokens.iter().map(|token| match token {
            Token::Byte(byte) => Some(*byte),
            _ => None,
        });
        match bytes.collect() {
            Some(name) => Self::Name(name),
            None => Self::Wild(tokens),
        }
    }

    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Folders => true,
            Self::Name(own) => own == name,
            Self::Wild(tokens) => greedy(
                tokens,
                name,
                |token| matches!(token, Token::Many),
                |token, byte| token.matches(*byte),
            ),
        }
    }
}

impl Token {
    fn matches(&self, byte: u8) -> bool {
        match self {
            Self::Byte(own) => *own == byte,
            Self::One | Self::Many => true,
            Self::Class { negated, ranges } => {
                let within = |(low, high): &(u8, u8)| (*low..=*high).contains(&byte);
                ranges.iter().any(within) != *negated
            }
            Self::Never => false,
        }
    }
}

/// Matches all of `text` with all of `pattern`, whose stars stand for any number of items. When the
/// items after a star fail, that star takes one more; stars before it need not be tried again, since
/// a match that begins earlier leaves more for what follows.
fn greedy<P, T>(
    pattern: &[P],
    text: &[T],
    is_star: impl Fn(&P) -> bool,
    matches: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p).is_some_and(&is_star) {
            last_star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|item| matches(item, &text[t])) {
            p += 1;
            t += 1;
        } else if let Some((star, taken)) = last_star {
            last_star = Some((star, taken + 1));
            p = star + 1;
            t = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(is_star)
}

fn tokens(pattern: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        tokens.push(match first {
            b'?' => Token::One,
            b'*' => {
                if tokens.last() == Some(&Token::Many) {
                    continue;
                }
                Token::Many
            }
            b'\\' => match rest.split_first() {
                Some((&escaped, after)) => {
                    rest = after;
                    Token::Byte(escaped)
                }
                None => Token::Never,
            },
            b'[' => match class(rest) {
                Some((class, after)) => {
                    rest = after;
                    class
                }
                None => Token::Never,
            },
            byte => Token::Byte(byte),
        });
    }
    tokens
}

/// A class whose `[` was read, and what stands behind its `]`.
fn class(pattern: &[u8]) -> Option<(Token, &[u8])> {
    let (negated, mut rest) = match pattern.split_first()? {
        (b'!' | b'^', after) => (true, after),
        _ => (false, pattern),
    };
    let mut ranges = Vec::new();
    let mut is_first = true;
    loop {
        if rest.first()? == &b']' && !is_first {
            return Some((Token::Class { negated, ranges }, &rest[1..]));
        }
        is_first = false;
        if let Some(named) = rest.strip_prefix(b"[:") {
            let end = named.windows(2).position(|two| two == b":]")?;
            ranges.extend_from_slice(named_class(&named[..end])?);
            rest = &named[end + 2..];
            continue;
        }
        let (low, after) = class_byte(rest)?;
        rest = after;
        if let [b'-', next, ..] = rest
            && *next != b']'
        {
            let (high, after) = class_byte(&rest[1..])?;
            ranges.push((low, high));
            rest = after;
        } else {
            ranges.push((low, low));
        }
    }
}

fn class_byte(pattern: &[u8]) -> Option<(u8, &[u8])> {
    match pattern {
        [b'\\', escaped, after @ ..] => Some((*escaped, after)),
        [byte, after @ ..] => Some((*byte, after)),
        [] => None,
    }
}

fn named_class(name: &[u8]) -> Option<&'static [(u8, u8)]> {
    Some(match name {
        b"alnum" => &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
        b"alpha" => &[(b'A', b'Z'), (b'a', b'z')],
        b"blank" => &[(b' ', b' '), (b'\t', b'\t')],
        b"cntrl" => &[(0, 0x1f), (0x7f, 0x7f)],
        b"digit" => &[(b'0', b'9')],
        b"graph" => &[(b'!', b'~')],
        b"lower" => &[(b'a', b'z')],
        b"print" => &[(b' ', b'~')],
        b"punct" => &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')],
        b"space" => &[(b'\t', b'\r'), (b' ', b' ')],
        b"upper" => &[(b'A', b'Z')],
        b"xdigit" => &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
        _ => return None,
    })
}
