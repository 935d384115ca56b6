//! The numbers that findings are recognised by: each with its default, its range, and what it means.

use std::ops::RangeInclusive;

use super::KINDS;

/// A number that can be configured.
#[derive(Debug)]
pub struct Threshold {
    /// Its name in the configuration and on the finding's page.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    /// Its value when nothing is configured.
    pub default: f64,
    /// The values that it may have.
    pub range: RangeInclusive<f64>,
    /// Whether it is a whole number.
    pub whole: bool,
    /// Whether evidence must reach it; such a bar is lower for a finding that is open ([`CLOSE_AT`]).
    pub bar: bool,
}

/// How long a finding stays open without enough evidence.
pub const HOLD: Threshold = Threshold {
    name: "hold_seconds",
    about: "How long the finding stays open while the evidence is below the bars for closing, or absent.",
    default: 30.0,
    range: 0.0..=3600.0,
    whole: false,
    bar: false,
};

/// How much lower the bars are for a finding that is open.
pub const CLOSE_AT: Threshold = Threshold {
    name: "close_at",
    about: "The bars for closing, as a share of those for opening.",
    default: 0.8,
    range: 0.0..=1.0,
    whole: false,
    bar: false,
};

/// What every finding has, before its own thresholds.
pub const COMMON: [&Threshold; 2] = [&HOLD, &CLOSE_AT];

impl Threshold {
    /// Whether it may have this value.
    #[must_use]
    pub fn allows(&self, value: f64) -> bool {
        self.range.contains(&value) && (!self.whole || value.fract() == 0.0)
    }

    /// Which values it may have, in words.
    #[must_use]
    pub fn allowed(&self) -> String {
        let number = if self.whole { "a whole number" } else { "a number" };
        format!("{number} from {} to {}", self.range.start(), self.range.end())
    }

    /// The bar for a finding that is open. Some evidence is always needed.
    fn eased(&self, value: f64, close_at: f64) -> f64 {
        match (self.bar, self.whole) {
            (false, _) => value,
            (true, false) => value * close_at,
            (true, true) => (value * close_at).floor().max(1.0),
        }
    }
}

/// A type that a threshold can have.
pub(crate) trait Amount {
    /// Whether it has only whole numbers.
    const WHOLE: bool;
    /// From a number that the threshold allows.
    fn of(number: f64) -> Self;
}

impl Amount for f64 {
    const WHOLE: bool = false;

    fn of(number: f64) -> Self {
        number
    }
}

impl Amount for u64 {
    const WHOLE: bool = true;

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and in the range of the threshold, and a cast saturates"
    )]
    fn of(number: f64) -> Self {
        number as Self
    }
}

/// The thresholds of one kind of finding.
pub(crate) trait Thresholds: Send + 'static {
    /// Their descriptions, in the order of the fields.
    const TABLE: &'static [Threshold];
    /// From their values, in the same order; the default for those that are not there.
    fn of(numbers: &[f64]) -> Self;
}

/// A struct of [`Thresholds`]: `bar` is what evidence must reach (lower while the finding is open), `fact` is
/// what the evidence is compared with.
macro_rules! thresholds {
    ($(#[$about:meta])* $vis:vis struct $name:ident {
        $(#[doc = $doc:literal] $role:ident $field:ident: $type:ty = $default:literal, $low:literal..=$high:literal;)+
    }) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        $vis struct $name {
            $(#[doc = $doc] pub(super) $field: $type,)+
        }

        impl $crate::finding::threshold::Thresholds for $name {
            const TABLE: &'static [$crate::finding::Threshold] = &[$($crate::finding::Threshold {
                name: stringify!($field),
                about: $doc.trim_ascii(),
                default: $default as f64,
                range: $low as f64..=$high as f64,
                whole: <$type as $crate::finding::threshold::Amount>::WHOLE,
                bar: $crate::finding::threshold::thresholds!(@is_bar $role),
            }),+];

            fn of(numbers: &[f64]) -> Self {
                let known = |at| numbers.get(at).copied();
                let mut values = (0..).zip(Self::TABLE).map(|(at, own)| known(at).unwrap_or(own.default));
                Self { $($field: $crate::finding::threshold::Amount::of(values.next().unwrap_or_default()),)+ }
            }
        }
    };
    (@is_bar bar) => { true };
    (@is_bar fact) => { false };
}
pub(crate) use thresholds;

/// What is configured for every kind of finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// In the order of [`KINDS`].
    kinds: Vec<KindSettings>,
}

/// What is configured for one kind of finding.
#[derive(Clone, Debug, PartialEq)]
pub struct KindSettings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// [`COMMON`], then its own, in the order of their tables.
    numbers: Vec<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        let numbers = |table: &'static [Threshold]| {
            COMMON.into_iter().chain(table).map(|threshold| threshold.default).collect()
        };
        let of = |table| KindSettings { enabled: true, numbers: numbers(table) };
        Self { kinds: KINDS.iter().map(|kind| of(kind.thresholds)).collect() }
    }
}

impl Settings {
    /// The settings of each kind, in the order of [`KINDS`].
    pub fn kinds(&self) -> impl Iterator<Item = &KindSettings> {
        self.kinds.iter()
    }

    /// To change those of the kind at this place of [`KINDS`].
    pub fn kind_mut(&mut self, at: usize) -> Option<&mut KindSettings> {
        self.kinds.get_mut(at)
    }
}

impl KindSettings {
    /// Sets the threshold at this place of the kind's settings; who calls has asked [`Threshold::allows`].
    pub fn set(&mut self, at: usize, value: f64) {
        if let Some(number) = self.numbers.get_mut(at) {
            *number = value;
        }
    }

    /// The values of its thresholds, in the order of [`Kind::settings`](super::Kind::settings).
    pub fn values(&self) -> impl Iterator<Item = f64> {
        self.numbers.iter().copied()
    }

    /// How long it stays open without enough evidence, nanoseconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an hour at most, and a cast saturates"
    )]
    pub(super) fn hold(&self) -> u64 {
        (self.common(0) * 1e9) as u64
    }

    /// The values of its own thresholds, for opening.
    pub(super) fn to_open(&self) -> &[f64] {
        self.numbers.get(COMMON.len()..).unwrap_or_default()
    }

    /// As [`KindSettings::to_open`], for a finding that is open.
    pub(super) fn to_stay(&self, table: &[Threshold]) -> Vec<f64> {
        let close_at = self.common(1);
        table.iter().zip(self.to_open()).map(|(threshold, value)| threshold.eased(*value, close_at)).collect()
    }

    fn common(&self, at: usize) -> f64 {
        let default = COMMON.get(at).map_or(0.0, |threshold| threshold.default);
        self.numbers.get(at).copied().unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thresholds! {
        /// When a test finds something.
        struct Bars {
            /// Calls that must have been seen.
            bar calls: u64 = 5, 1..=100;
            /// Waits per call.
            bar waits_per_call: f64 = 2.0, 0.5..=10;
            /// What the cloud gives.
            fact lifetime_seconds: u64 = 900, 1..=86_400;
        }
    }

    #[test]
    fn fields_have_their_defaults_and_descriptions() {
        let bars = Bars::of(&[]);
        assert_eq!((bars.calls, bars.waits_per_call, bars.lifetime_seconds), (5, 2.0, 900));
        let names: Vec<_> = Bars::TABLE.iter().map(|t| (t.name, t.about, t.whole, t.bar)).collect();
        let expected = [
            ("calls", "Calls that must have been seen.", true, true),
            ("waits_per_call", "Waits per call.", false, true),
            ("lifetime_seconds", "What the cloud gives.", true, false),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn bars_are_lower_for_an_open_finding_and_facts_are_not() {
        let settings = KindSettings { enabled: true, numbers: vec![30.0, 0.5, 5.0, 2.0, 900.0] };
        assert_eq!(settings.to_open(), [5.0, 2.0, 900.0]);
        assert_eq!(settings.to_stay(Bars::TABLE), [2.0, 1.0, 900.0]);
        assert_eq!(settings.hold(), 30_000_000_000);
        let never = KindSettings { enabled: true, numbers: vec![30.0, 0.0, 5.0, 2.0, 900.0] };
        assert_eq!(never.to_stay(Bars::TABLE), [1.0, 0.0, 900.0], "without evidence nothing stays open");
    }

    #[test]
    fn a_range_is_said_in_words() {
        let [calls, waits, _] = Bars::TABLE else { panic!("three thresholds") };
        assert_eq!(calls.allowed(), "a whole number from 1 to 100");
        assert!(!calls.allows(1.5) && !calls.allows(0.0) && calls.allows(100.0));
        assert!(waits.allows(1.5) && !waits.allows(f64::NAN));
    }

    #[test]
    fn defaults_are_in_their_ranges() {
        for threshold in KINDS.iter().flat_map(super::super::Kind::settings) {
            assert!(threshold.allows(threshold.default), "{threshold:?}");
        }
    }
}
