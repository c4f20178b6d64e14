//! A feature's properties in the form that tiles take them from: made once, copied into every tile.
//!
//! Pairs, one behind the other: the property's index in the [`TileLayer`] (varint), the length (varint), an MVT `Value`.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::wire::{put_field, put_varint, take_varint};
use super::{TileLayer, TileProperty};
use crate::domain::layer::PropertyKind;

/// The ready form of a JSON object of properties. What has no value is left out; a list becomes its members with commas between,
/// because a tile knows no lists. Empty where the text is no object.
pub fn ready(layer: &TileLayer, properties: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut json = serde_json::Deserializer::from_str(properties);
    let read = Pairs { layer, out: &mut out }.deserialize(&mut json);
    if read.is_err() {
        // The database writes the text: what it cannot write, no tile shows.
        out.clear();
    }
    out
}

/// The pairs of a ready form.
pub fn pairs(mut ready: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    std::iter::from_fn(move || {
        let (index, rest) = take_varint(ready)?;
        let (length, rest) = take_varint(rest)?;
        let (value, rest) = rest.split_at_checked(length as usize)?;
        ready = rest;
        Some((index as usize, value))
    })
}

/// A text as an MVT `Value`.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_field(out, 1, text.as_bytes());
}

/// A number of things as an MVT `Value`.
pub fn put_count(out: &mut Vec<u8>, count: u64) {
    out.push(5 << 3);
    put_varint(out, count);
}

fn put_double(out: &mut Vec<u8>, number: f64) {
    out.push(3 << 3 | 1);
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    out.push(6 << 3);
    put_varint(out, ((number << 1) ^ (number >> 63)) as u64);
}

struct Pairs<'a> {
    layer: &'a TileLayer,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Pairs<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pairs<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of properties")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut value = Vec::new();
        // Properties come in the order of the declaration: the search begins behind the last one found.
        let mut next = 0;
        while let Some(found) = map.next_key_seed(Key { properties: &self.layer.properties, next })? {
            let Some(index) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            next = index + 1;
            value.clear();
            map.next_value_seed(OneValue { kind: self.layer.properties[index].kind, out: &mut value })?;
            if !value.is_empty() {
                put_varint(self.out, index as u64);
                put_varint(self.out, value.len() as u64);
                self.out.extend_from_slice(&value);
            }
        }
        Ok(())
    }
}

/// Which property a name is.
struct Key<'a> {
    properties: &'a [TileProperty],
    next: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        let is_it = |at: &usize| self.properties.get(*at).is_some_and(|p| p.name == name);
        Ok((self.next..self.properties.len()).find(is_it).or_else(|| (0..self.next).find(is_it)))
    }
}

/// One value; `null` writes nothing.
struct OneValue<'a> {
    kind: PropertyKind,
    out: &'a mut Vec<u8>,
}

impl OneValue<'_> {
    fn is_number(&self) -> bool {
        self.kind == PropertyKind::Number
    }
}

impl<'de> DeserializeSeed<'de> for OneValue<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneValue<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.out.extend_from_slice(&[7 << 3, u8::from(value)]);
        Ok(())
    }

    // A number of the declaration is always a double: readers take a column's type from the first value.
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        if self.is_number() {
            put_double(self.out, value as f64)
        } else {
            put_count(self.out, value)
        }
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        if self.is_number() {
            put_double(self.out, value as f64)
        } else {
            put_signed(self.out, value)
        }
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        put_double(self.out, value);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        put_text(self.out, value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut members = Vec::new();
        while let Some(member) = list.next_element::<serde_json::Value>()? {
            members.push(member.as_str().map_or_else(|| member.to_string(), str::to_owned));
        }
        put_text(self.out, &members.join(","));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer() -> TileLayer {
        let property = |name: &str, kind| TileProperty { name: name.to_owned(), kind, from_zoom: 0 };
        TileLayer {
            name: "l".to_owned(),
            properties: vec![
                property("name", PropertyKind::Text),
                property("area", PropertyKind::Number),
                property("count", PropertyKind::Integer),
                property("drawn", PropertyKind::Boolean),
                property("codes", PropertyKind::TextList),
            ],
            label: None,
            zooms: 0..=22,
        }
    }

    #[test]
    fn values_take_the_form_of_their_kind() {
        let text =
            r#"{"x":{"y":[1,{}]},"name":"园\n区","area":5,"count":-3,"drawn":true,"codes":["43","44"],"last":null}"#;
        let form = ready(&layer(), text);
        let found: Vec<(usize, Vec<u8>)> = pairs(&form).map(|(at, value)| (at, value.to_vec())).collect();
        let mut double = vec![0x19];
        double.extend_from_slice(&5_f64.to_le_bytes());
        let expected = [
            (0, [&[0x0a, 7][..], "园\n区".as_bytes()].concat()),
            (1, double),
            (2, vec![0x30, 5]),
            (3, vec![0x38, 1]),
            (4, [&[0x0a, 5][..], b"43,44"].concat()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn order_does_not_matter_and_null_is_nothing() {
        let form = ready(&layer(), r#"{"count":7,"name":null,"area":0.5,"n\u0061me":"x"}"#);
        let keys: Vec<usize> = pairs(&form).map(|(at, _)| at).collect();
        assert_eq!(keys, [2, 1, 0]);
        for broken in ["", "[]", "{\"name\":", "null", "{\"name\":\"a\"} x"] {
            assert!(pairs(&ready(&layer(), broken)).count() <= 1, "{broken}");
        }
        assert_eq!(pairs(&[0, 200, 1, 5]).count(), 0, "a cut form ends");
    }
}
