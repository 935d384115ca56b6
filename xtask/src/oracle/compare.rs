//! Two programs' values side by side.

use std::collections::{BTreeMap, BTreeSet};

use super::values::{Key, Kind, Observed, Value};

/// How many values ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) equal: u64,
    /// Both have one, and they are different.
    pub(super) differing: u64,
    pub(super) only_tshark: u64,
    pub(super) only_tracer: u64,
}

impl Counts {
    /// Every value that either program has.
    pub(super) fn compared(self) -> u64 {
        self.equal + self.differing + self.only_tshark + self.only_tracer
    }

    /// How much of what tshark says tracer says, too: equal of all values that tshark has, in thousandths of
    /// a percent. Rounded down, so that only what is complete is 100 %; `None` when tshark has nothing.
    pub(super) fn agreement(self) -> Option<u64> {
        let of_tshark = self.equal + self.differing + self.only_tshark;
        (self.equal * 100_000).checked_div(of_tshark)
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.equal += other.equal;
        self.differing += other.differing;
        self.only_tshark += other.only_tshark;
        self.only_tracer += other.only_tracer;
    }
}

/// A value that is not the same on both sides; at least one side has one.
#[derive(Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) kind: Kind,
    pub(super) key: Key,
    pub(super) tshark: Option<Value>,
    pub(super) tracer: Option<Value>,
}

/// What comparing one capture gave.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Comparison {
    pub(super) counts: BTreeMap<Kind, Counts>,
    pub(super) differences: Vec<Difference>,
}

/// Compares key by key.
pub(super) fn compare(tshark: &Observed, tracer: &Observed) -> Comparison {
    let mut comparison = Comparison::default();
    let keys: BTreeSet<(Kind, Key)> = tshark.keys().chain(tracer.keys()).collect();
    for (kind, key) in keys {
        comparison.compare_key(kind, key, tshark.get(kind, key), tracer.get(kind, key));
    }
    comparison
}

impl Comparison {
    /// Several messages of one frame have no order that both programs keep: equal values find each other
    /// first, and what is left differs.
    fn compare_key(&mut self, kind: Kind, key: Key, tshark: &[Value], tracer: &[Value]) {
        let counts = self.counts.entry(kind).or_default();
        let mut of_tracer: Vec<&Value> = tracer.iter().collect();
        let mut of_tshark: Vec<&Value> = Vec::new();
        for value in tshark {
            match of_tracer.iter().position(|other| value.agrees(other)) {
                Some(at) => {
                    of_tracer.remove(at);
                    counts.equal += 1;
                }
                None => of_tshark.push(value),
            }
        }
        for at in 0..of_tshark.len().max(of_tracer.len()) {
            let pair = (of_tshark.get(at), of_tracer.get(at));
            match pair {
                (Some(_), Some(_)) => counts.differing += 1,
                (Some(_), None) => counts.only_tshark += 1,
                (None, _) => counts.only_tracer += 1,
            }
            let value = |side: Option<&&Value>| side.map(|value| Value::clone(value));
            self.differences.push(Difference { kind, key, tshark: value(pair.0), tracer: value(pair.1) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Key = Key::Frame(7);

    fn times(nanoseconds: &[i64]) -> Observed {
        let mut observed = Observed::default();
        for time in nanoseconds {
            observed.add(Kind::DnsTime, FRAME, Value::Time(*time));
        }
        observed
    }

    fn counts(tshark: &Observed, tracer: &Observed) -> Counts {
        compare(tshark, tracer).counts.remove(&Kind::DnsTime).unwrap_or_default()
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(compare(&times(&[]), &times(&[])), Comparison::default());
        assert_eq!(Counts { only_tracer: 3, ..Counts::default() }.agreement(), None);
    }

    #[test]
    fn a_time_is_equal_to_a_microsecond() {
        let equal = Counts { equal: 1, ..Counts::default() };
        assert_eq!(counts(&times(&[5_000_000]), &times(&[5_000_999])), equal);
    }

    #[test]
    fn a_difference_has_both_values() {
        let comparison = compare(&times(&[1_000_000]), &times(&[3_000_000]));
        let expected = Difference {
            kind: Kind::DnsTime,
            key: FRAME,
            tshark: Some(Value::Time(1_000_000)),
            tracer: Some(Value::Time(3_000_000)),
        };
        assert_eq!(comparison.differences, [expected]);
        assert_eq!(comparison.counts[&Kind::DnsTime], Counts { differing: 1, ..Counts::default() });
    }

    #[test]
    fn a_value_that_one_side_has_is_counted_on_that_side() {
        let some = times(&[1, 2]);
        assert_eq!(counts(&some, &times(&[])), Counts { only_tshark: 2, ..Counts::default() });
        assert_eq!(counts(&times(&[]), &some), Counts { only_tracer: 2, ..Counts::default() });
    }

    #[test]
    fn messages_of_one_frame_are_in_no_order() {
        let tshark = times(&[1_000_000, 2_000_000, 3_000_000]);
        let tracer = times(&[3_000_000, 9_000_000, 1_000_000]);
        assert_eq!(counts(&tshark, &tracer), Counts { equal: 2, differing: 1, ..Counts::default() });
        let fewer = times(&[3_000_000]);
        assert_eq!(counts(&tshark, &fewer), Counts { equal: 1, only_tshark: 2, ..Counts::default() });
    }

    #[test]
    fn a_flag_is_equal_when_both_have_it() {
        let (mut tshark, mut tracer) = (Observed::default(), Observed::default());
        tshark.mark(Kind::Retransmission, 1);
        tshark.mark(Kind::Retransmission, 2);
        tracer.mark(Kind::Retransmission, 2);
        tracer.mark(Kind::Retransmission, 2);
        tracer.mark(Kind::OutOfOrder, 1);
        let counts = compare(&tshark, &tracer).counts;
        let expected = Counts { equal: 1, only_tshark: 1, ..Counts::default() };
        assert_eq!(counts[&Kind::Retransmission], expected);
        assert_eq!(counts[&Kind::OutOfOrder], Counts { only_tracer: 1, ..Counts::default() });
    }

    #[test]
    fn agreement_is_of_what_tshark_has_and_never_rounded_up() {
        let counts = Counts { equal: 199, differing: 1, only_tshark: 0, only_tracer: 50 };
        assert_eq!((counts.agreement(), counts.compared()), (Some(99_500), 250));
        assert_eq!(Counts { equal: 999_999, differing: 1, ..counts }.agreement(), Some(99_999));
    }
}
