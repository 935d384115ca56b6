//! Reading Prometheus' text format, as far as the agent's counters need it.

use std::collections::BTreeMap;

/// A counter's values by one of its labels.
pub(super) fn by_label(text: &str, name: &str, label: &str) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    for (_, labels, value) in samples(text).filter(|(sample, ..)| *sample == name) {
        let key = label_value(labels, label).unwrap_or_default();
        *values.entry(key.to_owned()).or_insert(0.0) += value;
    }
    values
}

/// A counter's sum over all its series.
pub(super) fn sum(text: &str, name: &str) -> f64 {
    samples(text).filter(|(sample, ..)| *sample == name).map(|(_, _, value)| value).sum()
}

/// The sums of all counters whose names start with `prefix`.
pub(super) fn sums(text: &str, prefix: &str) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    for (name, _, value) in samples(text).filter(|(name, ..)| name.starts_with(prefix)) {
        *values.entry(name.to_owned()).or_insert(0.0) += value;
    }
    values
}

/// Name, labels and value of each sample.
fn samples(text: &str) -> impl Iterator<Item = (&str, &str, f64)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        Some((name, labels.trim_end_matches('}'), value.parse().ok()?))
    })
}

fn label_value<'a>(labels: &'a str, label: &str) -> Option<&'a str> {
    labels.split(',').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name.trim() == label).then(|| value.trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP a_total Runs.\n# TYPE a_total counter\na_total{program=\"in\",pod=\"x\"} 2\n\
        a_total{program=\"out\",pod=\"x\"} 3\na_totals 9\nb 1.5\n";

    #[test]
    fn counters_are_summed_and_split() {
        assert!((sum(TEXT, "a_total") - 5.0).abs() < f64::EPSILON);
        let expected = BTreeMap::from([("in".to_owned(), 2.0), ("out".to_owned(), 3.0)]);
        assert_eq!(by_label(TEXT, "a_total", "program"), expected);
        assert_eq!(sums(TEXT, "a_").len(), 2);
    }
}
