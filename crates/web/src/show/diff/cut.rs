//! Lines that are too long to show.

/// The first characters of a line and the rest. A byte that is not UTF-8 counts as a character.
pub(super) fn at(text: &[u8], limit: usize) -> (&[u8], &[u8]) {
    if text.len() <= limit {
        return (text, &[]);
    }
    let mut end = 0;
    let mut left = limit;
    for chunk in text.utf8_chunks() {
        match chunk.valid().char_indices().nth(left) {
            Some((inside, _)) => return text.split_at(end + inside),
            None => left -= chunk.valid().chars().count(),
        }
        end += chunk.valid().len();
        let bytes = chunk.invalid().len();
        if bytes > left {
            return text.split_at(end + left);
        }
        left -= bytes;
        end += bytes;
    }
    (text, &[])
}

/// How many characters there are.
pub(super) fn characters(text: &[u8]) -> usize {
    text.utf8_chunks()
        .map(|chunk| chunk.valid().chars().count() + chunk.invalid().len())
        .sum()
}
