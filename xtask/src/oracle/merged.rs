//! JSON in which a key may occur again: tshark lifts what lies deeper in a message into it, without looking
//! whether the key is there already. All values of a key become one list.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A value without repeated keys.
pub(super) struct Merged(pub(super) Value);

impl<'de> Deserialize<'de> for Merged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Merging).map(Self)
    }
}

struct Merging;

impl<'de> Visitor<'de> for Merging {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON as tshark writes it")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Merged(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Merged(value))) = entries.next_entry::<String, _>()? {
            let value = match map.remove(&key) {
                Some(earlier) => Value::Array(into_list(earlier).chain(into_list(value)).collect()),
                None => value,
            };
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

fn into_list(value: Value) -> impl Iterator<Item = Value> {
    let (one, several) = match value {
        Value::Array(several) => (None, several),
        one => (Some(one), Vec::new()),
    };
    one.into_iter().chain(several)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        serde_json::from_str::<Merged>(text).unwrap().0
    }

    #[test]
    fn values_of_a_repeated_key_become_a_list() {
        assert_eq!(read(r#"{"a":1,"a":2,"b":null}"#), json!({ "a": [1, 2], "b": null }));
        assert_eq!(read(r#"{"a":[true,"x"],"a":{"b":-1}}"#), json!({ "a": [true, "x", { "b": -1 }] }));
    }

    #[test]
    fn repeated_keys_are_merged_at_every_depth() {
        assert_eq!(read(r#"[{"a":{"b":1.5,"b":2}}]"#), json!([{ "a": { "b": [1.5, 2] } }]));
    }
}
