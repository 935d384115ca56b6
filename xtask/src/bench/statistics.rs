//! Medians and spreads.

use serde_json::{Value, json};

/// The order statistics of some measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) q1: f64,
    pub(crate) median: f64,
    pub(crate) q3: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let at = |numerator: usize, denominator: usize| quantile(&sorted, numerator, denominator);
        Some(Self { min, q1: at(1, 4), median: at(1, 2), q3: at(3, 4), max })
    }

    pub(crate) fn to_json(self) -> Value {
        json!({ "min": self.min, "q1": self.q1, "median": self.median, "q3": self.q3, "max": self.max })
    }
}

/// Between the two nearest values, in proportion.
fn quantile(sorted: &[f64], numerator: usize, denominator: usize) -> f64 {
    let position = (sorted.len() - 1) * numerator;
    let (below, rest) = (position / denominator, position % denominator);
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * float(rest as u64) / float(denominator as u64)
}

/// A count as a number to divide by.
#[expect(clippy::cast_precision_loss, reason = "counts of requests and nanoseconds stay below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn quartiles_lie_between_the_values() {
        let expected = Spread { min: 1.0, q1: 1.75, median: 2.5, q3: 3.25, max: 4.0 };
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]), Some(expected));
        assert_eq!(Spread::of([]), None);
    }
}
