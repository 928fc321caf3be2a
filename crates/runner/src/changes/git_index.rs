//! The names in an index of git: files that git tracks are no less tracked when a rule ignores
//! them. Only names are taken from it; an agent may have written all of it.

/// The names in an index, sorted; none when it is not an index as git writes it.
pub(super) fn names(index: &[u8]) -> Option<Vec<Vec<u8>>> {
    // The length of digests stands in the configuration, which is not read, so both are tried.
    let mut names = names_with(index, 20).or_else(|| names_with(index, 32))?;
    names.sort_unstable();
    Some(names)
}

fn names_with(index: &[u8], digest: usize) -> Option<Vec<Vec<u8>>> {
    let (head, mut rest) = index.split_at_checked(12)?;
    let version = head.strip_prefix(b"DIRC").and_then(number)?;
    let count = number(&head[8..])?;
    if !(2..=4).contains(&version) {
        return None;
    }
    let mut names: Vec<Vec<u8>> = Vec::new();
    // Names that share their beginnings could be made to fill the memory.
    let mut left = index.len().saturating_mul(4);
    for _ in 0..count {
        let entry = rest;
        let flags = entry.get(40 + digest..)?.first_chunk::<2>()?;
        let flags = u16::from_be_bytes(*flags);
        let is_extended = version >= 3 && flags & 0x4000 != 0;
        let start = 40 + digest + if is_extended { 4 } else { 2 };
        rest = entry.get(start..)?;
        let kept: &[u8] = if version == 4 {
            let previous = names.last().map_or(&[][..], Vec::as_slice);
            let kept = previous.len().checked_sub(varint(&mut rest)?)?;
            &previous[..kept]
        } else {
            &[]
        };
        let end = rest.iter().position(|byte| *byte == 0)?;
        let name = [kept, &rest[..end]].concat();
        // Tells early that the wrong length of digests is tried.
        if usize::from(flags & 0xfff) != name.len().min(0xfff) {
            return None;
        }
        rest = if version == 4 {
            &rest[end + 1..]
        } else {
            // Entries are filled up with at least one NUL to a multiple of eight.
            entry.get((start + end + 8) / 8 * 8..)?
        };
        left = left.checked_sub(name.len())?;
        names.push(name);
    }
    only_extensions(rest, digest)?;
    Some(names)
}

/// Whether the rest is a chain of extensions and a digest: it is not when the wrong length of
/// digests was tried. The names of a split index are in another file: then it is none.
fn only_extensions(mut rest: &[u8], digest: usize) -> Option<()> {
    while rest.len() > digest {
        let (head, body) = rest.split_at_checked(8)?;
        if head.starts_with(b"link") {
            return None;
        }
        rest = body.get(number(&head[4..])?..)?;
    }
    (rest.len() == digest).then_some(())
}

fn number(bytes: &[u8]) -> Option<usize> {
    let four = bytes.first_chunk::<4>()?;
    usize::try_from(u32::from_be_bytes(*four)).ok()
}

/// The variable length numbers of version 4, as in packs.
fn varint(rest: &mut &[u8]) -> Option<usize> {
    let mut value: usize = 0;
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value = value
            .checked_shl(7)?
            .checked_add(usize::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
        // Values that fit in fewer bytes have no longer form.
        value = value.checked_add(1)?;
    }
}
