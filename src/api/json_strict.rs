//! JSON in which no object has a member twice, at any depth: of two, programs read now the first, now the last, and what a clerk wrote
//! would be lost without a word.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The value of a body. The parser bounds the depth by itself (128).
pub fn parse(body: &[u8]) -> Result<Value> {
    serde_json::from_slice::<Strict>(body).map(|Strict(value)| value).map_err(|cause| {
        // The parser's own sentence tells line and column, in English and without the client's text.
        let place = format!("第 {} 行第 {} 列", cause.line(), cause.column());
        let detail = if cause.is_data() {
            format!("请求内容中有一个成员给了两次：{place}")
        } else {
            format!("请求内容不是 JSON：{place}")
        };
        Error::invalid("json_invalid", detail)
    })
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Seed.deserialize(deserializer).map(Strict)
    }
}

/// Makes a [`Value`] as serde_json does, but for the look at members.
struct Seed;

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> std::result::Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Seed)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> std::result::Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let value = object.next_value_seed(Seed)?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is given twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_serde_json_reads_it() {
        for body in [
            "null",
            "[1, -2, 18446744073709551615, 1.5, 1e300, \"a\\u0000\\ud83d\\ude00\", true, {}, []]",
            "{\"b\": {\"a\": 1}, \"a\": [{\"a\": null}, {\"a\": 0.1}]}",
        ] {
            let expected: Value = serde_json::from_str(body).expect("JSON");
            assert_eq!(parse(body.as_bytes()).expect("read"), expected, "{body}");
        }
    }

    #[test]
    fn a_member_given_twice_is_refused_at_every_depth() {
        for (body, place) in [
            ("{\"a\": 1, \"a\": 1}", "第 1 行"),
            ("[[{\"x\": {\"a\": 1,\n \"b\": 2, \"a\": 3}}]]", "第 2 行"),
            ("{\"steps\": [{\"task\": \"甲\", \"\\u0074ask\": \"乙\"}]}", "第 1 行"),
        ] {
            let error = parse(body.as_bytes()).expect_err(body);
            assert_eq!(error.code(), "json_invalid");
            let detail = error.to_string();
            assert!(detail.starts_with(&format!("请求内容中有一个成员给了两次：{place}")), "{detail}");
        }
        for body in ["", "{", "{\"a\": 1} x", "[1e999]", &"[".repeat(1_000)] {
            assert!(parse(body.as_bytes()).expect_err(body).to_string().starts_with("请求内容不是 JSON"), "{body}");
        }
    }
}
