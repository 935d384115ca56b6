//! Evidence: what a finding has seen, as typed data, and as named values for the outputs.

use std::fmt;

use crate::request::Call;

/// Texts kept in one value of a finding's evidence.
pub(super) const LIST_LIMIT: usize = 8;

/// A value of a finding's evidence.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A count.
    Count(u64),
    /// Seconds.
    Seconds(f64),
    /// A share of a whole, 0 to 1.
    Share(f64),
    /// A plain number.
    Number(f64),
    /// A text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}

/// What a finding has seen. Made with `evidence!`, which derives the named values from the fields.
pub trait Evidence: fmt::Debug + Send + Sync {
    /// The fields with their names, in the order in which a reader wants them.
    fn values(&self) -> Vec<(&'static str, Value)>;
}

/// The names of the fields, without a value of them.
pub(crate) trait Fields: Evidence + 'static {
    /// In the order of [`Evidence::values`].
    const NAMES: &'static [&'static str];
}

/// A field of evidence.
pub(crate) trait Field {
    /// For the outputs.
    fn value(&self) -> Value;
}

/// A duration in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seconds(pub f64);

/// A share of a whole, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share(pub f64);

/// A plain number, such as a mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Number(pub f64);

impl Seconds {
    /// From nanoseconds.
    #[expect(clippy::cast_precision_loss, reason = "evidence is for people: 2^53 ns is exact enough")]
    pub(super) fn of(nanoseconds: u64) -> Self {
        Self(nanoseconds as f64 / 1e9)
    }
}

impl Field for u64 {
    fn value(&self) -> Value {
        Value::Count(*self)
    }
}

impl Field for Seconds {
    fn value(&self) -> Value {
        Value::Seconds(self.0)
    }
}

impl Field for Share {
    fn value(&self) -> Value {
        Value::Share(self.0)
    }
}

impl Field for Number {
    fn value(&self) -> Value {
        Value::Number(self.0)
    }
}

impl Field for String {
    fn value(&self) -> Value {
        Value::Text(self.clone())
    }
}

impl Field for Names {
    fn value(&self) -> Value {
        Value::List(self.texts())
    }
}

/// Different texts, [`LIST_LIMIT`] at most; whether there were more is known, and shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    kept: Vec<String>,
    cut: bool,
}

impl Names {
    /// Adds a text that is not there yet.
    pub(super) fn add(&mut self, text: &str) {
        if self.kept.iter().any(|kept| kept == text) {
            return;
        }
        if self.kept.len() < LIST_LIMIT {
            self.kept.push(text.to_owned());
        } else {
            self.cut = true;
        }
    }

    /// Adds those of `other`.
    pub(super) fn merge(&mut self, other: &Self) {
        for text in &other.kept {
            self.add(text);
        }
        self.cut |= other.cut;
    }

    /// All of them, with commas.
    pub(super) fn joined(&self) -> String {
        self.texts().join(", ")
    }

    fn texts(&self) -> Vec<String> {
        self.kept.iter().cloned().chain(self.cut.then(|| "…".to_owned())).collect()
    }
}

/// Some calls of the newest evidence, the first few: from, to, what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flows(pub(super) Vec<String>);

impl Flows {
    /// More are not kept.
    const MOST: usize = 3;

    /// Adds a call, as long as there is room.
    pub(super) fn add(&mut self, call: &Call, what: &str) {
        if self.0.len() < Self::MOST {
            self.0.push(format!("{} → {} {what}", call.local, call.peer));
        }
    }

    /// Gives way to newer ones, if there are any.
    pub(super) fn merge(&mut self, newer: &Self) {
        if !newer.0.is_empty() {
            self.0.clone_from(&newer.0);
        }
    }
}

impl Field for Flows {
    fn value(&self) -> Value {
        let mut names = Names::default();
        self.0.iter().for_each(|flow| names.add(flow));
        names.value()
    }
}

/// A struct of [`Evidence`]: each field has a type that says its unit, and the name that outputs and the
/// finding's page give it.
macro_rules! evidence {
    ($(#[$about:meta])* $vis:vis struct $name:ident { $($(#[$doc:meta])+ $field:ident: $unit:ty,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $($(#[$doc])+ pub $field: $unit,)+
        }

        impl $crate::finding::Evidence for $name {
            fn values(&self) -> Vec<(&'static str, $crate::finding::Value)> {
                vec![$((stringify!($field), $crate::finding::value::Field::value(&self.$field))),+]
            }
        }

        impl $crate::finding::value::Fields for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),+];
        }
    };
}
pub(crate) use evidence;

/// `part` of `whole`; 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    evidence! {
        /// What a test has seen.
        struct Seen {
            /// How many.
            calls: u64,
            /// How long.
            waited_seconds: Seconds,
            /// Which.
            names: Names,
        }
    }

    #[test]
    fn fields_are_values_under_their_names() {
        let mut names = Names::default();
        names.add("a.example");
        let seen = Seen { calls: 3, waited_seconds: Seconds::of(2_500_000_000), names };
        let expected = [
            ("calls", Value::Count(3)),
            ("waited_seconds", Value::Seconds(2.5)),
            ("names", Value::List(vec!["a.example".to_owned()])),
        ];
        assert_eq!(seen.values(), expected);
        assert_eq!(Seen::NAMES, ["calls", "waited_seconds", "names"]);
    }

    #[test]
    fn more_names_than_are_kept_are_told() {
        let mut names = Names::default();
        for n in 0..=LIST_LIMIT {
            names.add(&n.to_string());
            names.add("0");
        }
        assert_eq!(names.texts().len(), LIST_LIMIT + 1);
        assert!(names.joined().ends_with("6, 7, …"), "{}", names.joined());
    }
}
