//! The properties of a row as JSON, byte for byte as PostgreSQL's `row_to_json` writes them. A ledger has seventy, most of them empty; what
//! PostgreSQL takes for the text of a whole layer is most of a start, and five times what it takes for the values.
//!
//! Of the register's layers: what type a column has follows from its kind there. Never: an operator's table, whose columns may be of any.

use sqlx::Postgres;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueFormat, PgValueRef};

use crate::domain::layer::{Layer, Property, PropertyKind};
use crate::error::{Error, Result};

/// The values of all properties as texts, in the order of the declaration; then the days of the life.
pub(super) fn texts(layer: &Layer) -> String {
    let text = |p: &Property| match p.kind {
        // As `features::properties_query` has them.
        PropertyKind::TextList | PropertyKind::NumberList => format!("to_json(nullif({}, '{{}}'))::text", p.column),
        PropertyKind::DateTime => format!("replace(to_json({}) #>> '{{}}', '+00:00', 'Z')", p.column),
        _ => format!("{}::text", p.column),
    };
    let texts: Vec<String> = layer.properties.iter().chain(layer.life()).map(text).collect();
    format!("ARRAY[{}]::text[]", texts.join(", "))
}

/// What [`texts`] gives of a row, as it came over the wire: taken apart where it lies, without a text of its own for each value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts<'r>(&'r [u8]);

impl sqlx::Type<Postgres> for Texts<'_> {
    fn type_info() -> PgTypeInfo {
        <Vec<String> as sqlx::Type<Postgres>>::type_info()
    }
}

impl<'r> sqlx::Decode<'r, Postgres> for Texts<'r> {
    fn decode(value: PgValueRef<'r>) -> std::result::Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => Ok(Self(value.as_bytes()?)),
            PgValueFormat::Text => Err("an array was not sent as binary".into()),
        }
    }
}

/// Number of dimensions, whether there are nulls, the type; length and first index of the one dimension: five numbers of four bytes.
const HEAD: usize = 20;

impl<'r> Texts<'r> {
    /// `None` behind the last, and where the bytes are none of an array's.
    fn values(self) -> impl Iterator<Item = Option<&'r [u8]>> {
        let mut rest = self.0.get(HEAD..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk::<4>()?;
            // (−1 is a null.)
            let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
                rest = behind;
                return Some(None);
            };
            let (text, behind) = behind.split_at_checked(length)?;
            rest = behind;
            Some(Some(text))
        })
    }

    /// The properties as a JSON object, in the order of the declaration.
    pub(super) fn properties(self, layer: &Layer) -> Result<String> {
        let unreadable = || Error::Internal { detail: "要素的属性无法解读".to_owned(), cause: None };
        // Most values are missing: the names are most of the text.
        let names: usize = layer.properties.iter().map(|p| p.name.len() + "\"\":,".len()).sum();
        let mut out = Vec::with_capacity(names + self.0.len() + 64);
        let mut values = self.values();
        for property in layer.properties.iter().chain(layer.life()) {
            out.extend_from_slice(if out.is_empty() { b"{\"" } else { b",\"" });
            out.extend_from_slice(property.name.as_bytes());
            out.extend_from_slice(b"\":");
            match values.next().ok_or_else(unreadable)? {
                None => out.extend_from_slice(b"null"),
                Some(text) => write_value(&mut out, property.kind, text),
            }
        }
        out.push(b'}');
        // All at once: seventy short texts take several times as long.
        String::from_utf8(out).map_err(|_| unreadable())
    }

    /// The values of these properties.
    pub(super) fn columns(self, layer: &Layer, columns: &[&'static Property]) -> Vec<Option<String>> {
        let mut found = vec![None; columns.len()];
        for (property, value) in layer.properties.iter().zip(self.values()) {
            if let Some(at) = columns.iter().position(|column| column.name == property.name) {
                found[at] = value.and_then(text_of);
            }
        }
        found
    }

    /// All values.
    pub(super) fn all(self) -> Vec<Option<String>> {
        self.values().map(|value| value.and_then(text_of)).collect()
    }
}

fn text_of(value: &[u8]) -> Option<String> {
    std::str::from_utf8(value).ok().map(str::to_owned)
}

fn write_value(out: &mut Vec<u8>, kind: PropertyKind, text: &[u8]) {
    match kind {
        PropertyKind::Boolean | PropertyKind::TextList | PropertyKind::NumberList => out.extend_from_slice(text),
        // What is no number in JSON (`NaN`, `Infinity`) stands as a text.
        PropertyKind::Number | PropertyKind::Integer if text.last().is_some_and(u8::is_ascii_digit) => {
            out.extend_from_slice(text);
        }
        _ => write_text(out, text),
    }
}

/// As PostgreSQL's `escape_json` has it: what must be escaped and nothing else.
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut plain = 0;
    for (at, byte) in text.iter().enumerate() {
        if *byte >= b' ' && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            other => out.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
        }
    }
    out.extend_from_slice(&text[plain..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::declaration;

    /// An array as PostgreSQL sends it.
    fn array(values: &[Option<&str>]) -> Vec<u8> {
        let mut bytes: Vec<u8> = [1, 1, 25, values.len() as i32, 1].into_iter().flat_map(i32::to_be_bytes).collect();
        for value in values {
            bytes.extend(value.map_or(-1, |text| text.len() as i32).to_be_bytes());
            bytes.extend(value.unwrap_or_default().as_bytes());
        }
        bytes
    }

    #[test]
    fn values_are_written_as_row_to_json_writes_them() {
        for (kind, text, written) in [
            (
                PropertyKind::Text,
                "甲\"乙\\\n\t\r\u{8}\u{c}\u{1}/\u{7f}",
                "\"甲\\\"乙\\\\\\n\\t\\r\\b\\f\\u0001/\u{7f}\"",
            ),
            (PropertyKind::Text, "", "\"\""),
            (PropertyKind::Number, "-1.50", "-1.50"),
            (PropertyKind::Number, "1e+20", "1e+20"),
            (PropertyKind::Number, "NaN", "\"NaN\""),
            (PropertyKind::Number, "-Infinity", "\"-Infinity\""),
            (PropertyKind::Integer, "7", "7"),
            (PropertyKind::Boolean, "true", "true"),
            (PropertyKind::Date, "2024-02-29", "\"2024-02-29\""),
            (PropertyKind::TextList, "[\"a\",\"b\"]", "[\"a\",\"b\"]"),
        ] {
            let mut out = Vec::new();
            write_value(&mut out, kind, text.as_bytes());
            assert_eq!(String::from_utf8(out).as_deref(), Ok(written), "{kind:?} {text:?}");
        }
    }

    #[test]
    fn an_array_is_taken_apart() {
        let layer = &declaration::DIVISIONS;
        let count = layer.properties.len() + 2;
        let mut values = vec![None; count];
        values[0] = Some("430100");
        values[count - 2] = Some("2024-01-01");
        let bytes = array(&values);
        let texts = Texts(&bytes);
        let json = texts.properties(layer).expect("an object");
        let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read.as_object().map(serde_json::Map::len), Some(count));
        assert_eq!(
            (&read["code"], &read["valid_from"], &read["valid_to"]),
            (&"430100".into(), &"2024-01-01".into(), &().into())
        );
        assert_eq!(texts.columns(layer, &[&layer.properties[0]]), [Some("430100".to_owned())]);
        // Cut short anywhere it is an error, never a shorter object.
        for end in 0..bytes.len() {
            assert!(Texts(&bytes[..end]).properties(layer).is_err(), "{end}");
        }
    }
}
