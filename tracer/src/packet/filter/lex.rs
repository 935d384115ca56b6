//! A filter expression as words.

/// A word and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// Its text; empty at the end of the expression.
    pub(super) text: &'a str,
    /// Bytes before it.
    pub(super) at: usize,
}

/// Splits an expression: `(`, `)`, `!`, `&&` and `||` stand for themselves, all else reaches to one of them or to a blank.
pub(super) fn words(expression: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(rest) = expression.get(at..).filter(|rest| !rest.is_empty()) {
        let blank = rest.len() - rest.trim_start().len();
        if blank > 0 {
            at += blank;
            continue;
        }
        let length = length(rest);
        words.push(Word { text: rest.get(..length).unwrap_or(rest), at });
        at += length;
    }
    words
}

fn length(rest: &str) -> usize {
    if rest.starts_with("&&") || rest.starts_with("||") {
        return 2;
    }
    if rest.starts_with(['(', ')', '!']) {
        return 1;
    }
    let ends = |(at, c): (usize, char)| {
        let joint = rest.get(at..).is_some_and(|rest| rest.starts_with("&&") || rest.starts_with("||"));
        (c.is_whitespace() || "()!".contains(c) || joint).then_some(at)
    };
    rest.char_indices().find_map(ends).unwrap_or(rest.len())
}
