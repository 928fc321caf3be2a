//! What serde lets pass in JSON and the contract does not: U+0000 in a text, and a list in the
//! place of an object.

/// Something refused, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) what: &'static str,
    offset: usize,
}

impl Violation {
    /// Line and column, both from 1, as serde counts them.
    pub(crate) fn position(self, json: &[u8]) -> (usize, usize) {
        let before = json.get(..self.offset).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        let line_start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |newline| newline + 1);
        (line, self.offset - line_start + 1)
    }
}

/// The first violation in `json`, which must be well-formed.
///
/// No request body has a list as a whole or directly within a list, but serde reads a list as the
/// members of an object in order.
pub(crate) fn violation(json: &[u8]) -> Option<Violation> {
    let at = |what, offset| Some(Violation { what, offset });
    let mut lists = Vec::new();
    let mut in_text = false;
    let mut offset = 0;
    while let Some(byte) = json.get(offset) {
        match byte {
            b'\\' if json.get(offset + 1..offset + 6) == Some(b"u0000") => {
                return at("U+0000 is not allowed", offset);
            }
            b'\\' => offset += 1,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' if lists.last().is_none_or(|list| *list) => {
                return at("expected an object, found a list", offset);
            }
            b'[' | b'{' => lists.push(*byte == b'['),
            b']' | b'}' => {
                lists.pop();
            }
            _ => {}
        }
        offset += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(json: &str) -> Option<&'static str> {
        violation(json.as_bytes()).map(|violation| violation.what)
    }

    #[test]
    fn only_an_escaped_nul_is_one() {
        assert_eq!(what(r#"{"a":"\u0000"}"#), Some("U+0000 is not allowed"));
        assert_eq!(what(r#"{"a":"\\\u0000"}"#), Some("U+0000 is not allowed"));
        assert_eq!(what(r#"{"\u0000":1}"#), Some("U+0000 is not allowed"));
        assert_eq!(what(r#"{"a":"\\u0000 \u0001 \""}"#), None);
    }

    #[test]
    fn a_list_stands_only_where_an_object_has_one() {
        assert_eq!(what(r#"{"a":["x",{"b":["y"]}],"c":"[["}"#), None);
        for json in [
            "[]",
            r#" ["approve"]"#,
            r#"{"a":[[0]]}"#,
            r#"{"a":[{}, [0]]}"#,
        ] {
            assert_eq!(
                what(json),
                Some("expected an object, found a list"),
                "{json}"
            );
        }
    }

    #[test]
    fn the_position_is_in_lines_and_columns() {
        let json = b"{\n  \"a\": \"\\u0000\"\n}";
        assert_eq!(violation(json).expect("a NUL").position(json), (2, 9));
    }
}
