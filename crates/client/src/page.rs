//! One page of a list.

/// A page of a list, and the way to the next one (contract section 0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The elements of this page.
    pub items: Vec<T>,
    /// How many elements the whole list has.
    pub total: u64,
    /// Path and query of the next page, for [`Client::next_page`](crate::Client::next_page).
    pub next: Option<String>,
}

/// The target of `rel="next"` in a `Link` header, if it has one.
pub(crate) fn next_link(header: &str) -> Option<String> {
    header.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        parameters
            .split(';')
            .any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"))
            .then(|| target.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_link_counts() {
        let next = Some("/tasks?cursor=b".to_owned());
        assert_eq!(next_link("</tasks?cursor=b>; rel=\"next\""), next);
        assert_eq!(
            next_link("</tasks>; rel=\"first\", </tasks?cursor=b>; rel=\"next\""),
            next
        );
        assert_eq!(next_link("</tasks>; rel=\"first\""), None);
        assert_eq!(next_link("nonsense"), None);
    }
}
