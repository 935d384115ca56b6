//! The settings of findings, by the identifier of each: `{"dns-search": {"enabled": true, "lookups": 2}}`.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Unexpected, Visitor};

use crate::finding::{KINDS, Kind, KindSettings, Settings, Threshold};

/// The field that switches a finding on and off.
const ENABLED: &str = "enabled";

/// Reads the settings that are given; the others are as they are by default.
pub(super) fn settings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Settings, D::Error> {
    deserializer.deserialize_map(AllKinds)
}

struct AllKinds;

impl<'de> Visitor<'de> for AllKinds {
    type Value = Settings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the settings of findings by their identifiers")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Settings, M::Error> {
        let mut settings = Settings::default();
        let mut given = [false; KINDS.len()];
        while let Some(id) = map.next_key::<String>()? {
            let known = KINDS.iter().zip(&mut given).enumerate().find(|(_, (kind, _))| kind.id == id);
            let Some((at, (kind, given))) = known else {
                return Err(unknown("finding", &id, KINDS.iter().map(|kind| kind.id)));
            };
            if std::mem::replace(given, true) {
                return Err(twice(&id));
            }
            if let Some(settings) = settings.kind_mut(at) {
                map.next_value_seed(OneKind { kind, settings })?;
            }
        }
        Ok(settings)
    }
}

struct OneKind<'a> {
    kind: &'static Kind,
    settings: &'a mut KindSettings,
}

impl<'de> DeserializeSeed<'de> for OneKind<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneKind<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the settings of {}", self.kind.id)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let mut given = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let known = self.kind.settings().enumerate().find(|(_, threshold)| threshold.name == name);
            if given.contains(&name) {
                return Err(twice(&name));
            }
            match known {
                _ if name == ENABLED => self.settings.enabled = map.next_value()?,
                Some((at, threshold)) => self.settings.set(at, map.next_value_seed(Amount(threshold))?),
                None => {
                    let names = self.kind.settings().map(|threshold| threshold.name);
                    let setting = format!("setting of {}", self.kind.id);
                    return Err(unknown(&setting, &name, [ENABLED].into_iter().chain(names)));
                }
            }
            given.push(name);
        }
        Ok(())
    }
}

struct Amount(&'static Threshold);

impl<'de> DeserializeSeed<'de> for Amount {
    type Value = f64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<f64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Amount {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` to be {}", self.0.name, self.0.allowed())
    }

    #[expect(clippy::cast_precision_loss, reason = "what f64 has not is far out of every range")]
    fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
        let number = value as f64;
        if self.0.allows(number) {
            Ok(number)
        } else {
            Err(E::invalid_value(Unexpected::Unsigned(value), &self))
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "what f64 has not is far out of every range")]
    fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
        let number = value as f64;
        if self.0.allows(number) {
            Ok(number)
        } else {
            Err(E::invalid_value(Unexpected::Signed(value), &self))
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
        if self.0.allows(value) { Ok(value) } else { Err(E::invalid_value(Unexpected::Float(value), &self)) }
    }
}

fn unknown<E: Error>(what: &str, name: &str, known: impl Iterator<Item = &'static str>) -> E {
    let known: Vec<&str> = known.collect();
    E::custom(format_args!("unknown {what} {name:?}; known are {}", known.join(", ")))
}

fn twice<E: Error>(name: &str) -> E {
    E::custom(format_args!("{name:?} is given twice"))
}
