//! Configuration files: what is read has every threshold in its range.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::{config::Config, finding::KINDS};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = Config::parse(bytes) {
        assert_eq!(config.findings.kinds().count(), KINDS.len());
        for (kind, settings) in KINDS.iter().zip(config.findings.kinds()) {
            assert!(kind.settings().zip(settings.values()).all(|(threshold, value)| threshold.allows(value)));
        }
    }
});
