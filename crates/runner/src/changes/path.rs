//! Paths, which are bytes, as text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A path as the contract has it: text, or base64 when it is not UTF-8.
pub(super) fn on_the_wire(path: &[u8]) -> (Option<String>, Option<String>) {
    match str::from_utf8(path) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(path))),
    }
}

/// A path as git writes it in a diff: in quotes when it has special bytes.
pub(super) fn quoted(prefix: &[u8], path: &[u8]) -> Vec<u8> {
    let is_special = |byte: &u8| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\');
    let whole = [prefix, path].concat();
    if !whole.iter().any(is_special) {
        return whole;
    }
    let mut quoted = vec![b'"'];
    for byte in whole {
        let letter = match byte {
            0x07 => b'a',
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0b => b'v',
            0x0c => b'f',
            b'\r' => b'r',
            b'"' | b'\\' => byte,
            b' '..=b'~' => {
                quoted.push(byte);
                continue;
            }
            _ => {
                quoted.extend(format!("\\{byte:03o}").bytes());
                continue;
            }
        };
        quoted.extend([b'\\', letter]);
    }
    quoted.push(b'"');
    quoted
}
