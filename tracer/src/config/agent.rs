//! The settings of `tracer agent`: `{"listen": "0.0.0.0:9464", "metadata_address": ["192.0.2.1"]}`. Which keys there are, and
//! what is allowed, is known where the flags are.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Values of one list.
const LIST_LIMIT: usize = 1024;

/// Settings by their keys, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(pub Vec<(String, Given)>);

/// The value of a setting, as its flag would be given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A text, number, true or false.
    One(String),
    /// A list of those.
    List(Vec<String>),
}

impl Given {
    /// Its values.
    #[must_use]
    pub fn values(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::List(values) => values,
        }
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Settings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the settings of the agent by the names of its flags")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Settings, M::Error> {
        let mut settings: Vec<(String, Given)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if settings.iter().any(|(known, _)| *known == key) {
                return Err(M::Error::custom(format_args!("{key:?} is given twice")));
            }
            settings.push((key, map.next_value()?));
        }
        Ok(Settings(settings))
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false or a list of those")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Given, E> {
        Ok(Given::One(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Given, E> {
        Ok(Given::One(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Given, E> {
        Ok(Given::One(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Given, E> {
        Ok(Given::One(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Given, E> {
        Ok(Given::One(value.to_owned()))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Given, S::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            let Given::One(value) = value else {
                return Err(S::Error::custom(
                    "a list in a list; expected texts, numbers, true or false in it",
                ));
            };
            values.push(value);
            if values.len() > LIST_LIMIT {
                return Err(S::Error::custom(format_args!("a list of more than {LIST_LIMIT} values")));
            }
        }
        Ok(Given::List(values))
    }
}
