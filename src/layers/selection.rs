//! Some of the properties of a feature, taken from their ready text: an object is cut, not parsed.

/// The object with those of its members whose names are to be kept, each as it was written, in the order that they stand in. A text
/// that is no JSON object comes back as it is: the database does not write one.
pub fn members(object: &str, keep: impl Fn(&str) -> bool) -> String {
    let mut kept = String::with_capacity(object.len());
    kept.push('{');
    let mut rest = Scanner { bytes: object.as_bytes(), at: 0 };
    if !rest.take(b'{') {
        return object.to_owned();
    }
    while !rest.take(b'}') {
        let begin = rest.blank();
        let Some(name_end) = rest.string() else { return object.to_owned() };
        let name = object.get(begin + 1..name_end - 1).unwrap_or_default();
        if !rest.take(b':') {
            return object.to_owned();
        }
        let Some(end) = rest.value() else { return object.to_owned() };
        if keep(name) {
            if kept.len() > 1 {
                kept.push(',');
            }
            kept.push_str(object.get(begin..end).unwrap_or_default());
        }
        rest.take(b',');
    }
    kept.push('}');
    kept
}

/// The value of a member of an object, as it is written.
pub fn member<'t>(object: &'t str, name: &str) -> Option<&'t str> {
    let mut rest = Scanner { bytes: object.as_bytes(), at: 0 };
    if !rest.take(b'{') {
        return None;
    }
    while !rest.take(b'}') {
        let begin = rest.blank();
        let name_end = rest.string()?;
        let found = object.get(begin + 1..name_end - 1)? == name;
        if !rest.take(b':') {
            return None;
        }
        let begin = rest.blank();
        let end = rest.value()?;
        if found {
            return object.get(begin..end);
        }
        rest.take(b',');
    }
    None
}

struct Scanner<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Scanner<'_> {
    /// The next byte that is no blank.
    fn blank(&mut self) -> usize {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.at
    }

    fn take(&mut self, wanted: u8) -> bool {
        let at = self.blank();
        let found = self.bytes.get(at) == Some(&wanted);
        self.at += usize::from(found);
        found
    }

    /// The place behind a string.
    fn string(&mut self) -> Option<usize> {
        if !self.take(b'"') {
            return None;
        }
        loop {
            match self.bytes.get(self.at)? {
                b'"' => break,
                // What is escaped is no end, whatever it is.
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(self.at)
    }

    /// The place behind a value.
    fn value(&mut self) -> Option<usize> {
        self.blank();
        let mut depth = 0_usize;
        loop {
            match *self.bytes.get(self.at)? {
                b'"' => {
                    self.string()?;
                    if depth == 0 {
                        return Some(self.at);
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => return Some(self.at),
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return Some(self.at);
                    }
                }
                b',' if depth == 0 => return Some(self.at),
                _ => {}
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    #[test]
    fn chosen_members_stay_as_they_are_written() {
        let text = r#"{"code":"G1","name":"甲\"}, \"乙\\","areas":[1.50,{"a":"]"}],"n":null,"x":-1e3}"#;
        for (names, expected) in [
            (&["name"][..], r#"{"name":"甲\"}, \"乙\\"}"#),
            (&["areas", "code"], r#"{"code":"G1","areas":[1.50,{"a":"]"}]}"#),
            (&["x"], r#"{"x":-1e3}"#),
            (&["a", "missing"], "{}"),
            (&["code", "name", "areas", "n", "x"], text),
        ] {
            assert_eq!(members(text, |name| names.contains(&name)), expected);
        }
        assert_eq!(members(" { \"a\" : 1 , \"b\" : [ 2 ] } ", |n| n == "b"), "{\"b\" : [ 2 ]}");
        let feature = format!("{{\"type\" : \"Feature\", \"id\" : \"properties\", \"properties\" : {text}}}");
        assert_eq!(member(&feature, "properties"), Some(text));
        assert_eq!((member(&feature, "id"), member(&feature, "geometry")), (Some("\"properties\""), None));
        for odd in ["{}", "null", "{\"a\"", "{\"a\":", "{\"a\":\"\\", "{a:1}", ""] {
            let kept = members(odd, |_| true);
            assert_eq!(kept, odd, "{odd}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[a-z]{1,3}", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_cut_out_is_what_a_parser_would_have_left_out(
            list in prop::collection::vec(("[a-c]{1,2}", value()), 0..6), pretty: bool,
        ) {
            let object: Map<String, Value> = list.into_iter().collect();
            let whole = Value::Object(object.clone());
            let text = if pretty { serde_json::to_string_pretty(&whole).expect("text") } else { whole.to_string() };
            let kept: Map<String, Value> = object.into_iter().filter(|(name, _)| name.contains('b')).collect();
            let cut: Value = serde_json::from_str(&members(&text, |name| name.contains('b'))).expect("an object");
            prop_assert_eq!(cut, json!(kept));
        }

        #[test]
        fn no_text_makes_it_stumble(text in "[{}\\[\\]\",:a\\\\ ]{0,40}") {
            members(&text, |_| true);
            member(&text, "a");
        }
    }
}
