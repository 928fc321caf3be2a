//! Where to cut bytes so that no character is torn apart.

/// How many bytes at the end of `bytes` are the beginning of a UTF-8 character that may go on in
/// what is read next: 0 to 3. Bytes that cannot be the beginning of one do not count.
pub(crate) fn unfinished(bytes: &[u8]) -> usize {
    let longest = bytes.len().min(3);
    (1..=longest)
        .find(|length| {
            let tail = &bytes[bytes.len() - length..];
            std::str::from_utf8(tail)
                .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_through_a_character_is_seen() {
        for character in ["a", "é", "€", "😀"] {
            let text = format!("x{character}");
            for cut in 1..=text.len() {
                let expected = if cut == text.len() { 0 } else { cut - 1 };
                assert_eq!(
                    unfinished(&text.as_bytes()[..cut]),
                    expected,
                    "{character} {cut}"
                );
            }
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_never_held_back() {
        for bytes in [
            &b""[..],
            b"\xff",
            b"\x80\x80\x80",
            b"a\xe2\x28",
            b"\xf5\x80\x80",
        ] {
            assert_eq!(unfinished(bytes), 0, "{bytes:?}");
        }
    }
}
