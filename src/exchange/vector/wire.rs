//! What the GDAL child and its parent say to each other: framed messages, every length checked on reading.
//!
//! A frame is one byte of kind, four bytes of length (little-endian), and the payload. Texts are raw bytes: whether they
//! are GBK or UTF-8 is decided by the parent.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use crate::exchange::limits::MAX_FRAME_BYTES;
use crate::exchange::rings::Parts;

const HEADER: u8 = 1;
const FIELD: u8 = 2;
const FEATURE: u8 = 3;
const DONE: u8 = 4;
const FAILURE: u8 = 5;

/// Length that stands for “no value”.
const NULL: u32 = u32::MAX;

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    Header(Header),
    /// The name of the next field, as the file's bytes.
    Field(Vec<u8>),
    Feature(Feature),
    Done(Done),
    Failure(Failure),
}

/// What the file is, before its first record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Name of the layer read.
    pub layer: String,
    /// Names of the layers that were not.
    pub other_layers: Vec<String>,
    /// EPSG code of the declared system, where it has one.
    pub epsg: Option<u32>,
    /// The declared system's own name.
    pub srs_name: Option<String>,
    /// Coordinates were moved to WGS 84 by PROJ, which is taken as EPSG:4490, because the system is none of ours.
    pub transformed: bool,
    /// That was only to project back: the system is on CGCS2000, by a projection that is none of ours.
    pub same_datum: bool,
    /// Records that the file says it has.
    pub declared_count: Option<u64>,
}

/// One record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Feature {
    /// GDAL reported an error while reading it.
    pub damaged: bool,
    pub values: Vec<Option<Vec<u8>>>,
    pub shape: Shape,
}

/// A record's geometry.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Shape {
    #[default]
    None,
    Polygons(Parts),
    /// Any other kind, as well-known bytes; only on the way out.
    Bytes(Vec<u8>),
    /// A kind that is no area, by GDAL's name for it.
    Other(String),
    /// More vertices than are taken: their number.
    TooLarge(u64),
}

/// The end of the records.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Done {
    pub count: u64,
    /// Records with arcs, which were made straight.
    pub curved: u64,
}

/// Why there is nothing to read or write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// `open_failed`, `no_layer`, `layer_ambiguous`, `layer_unknown`, `no_transformation`, `write_failed`, `request`.
    pub code: String,
    /// Layer names, where the caller must choose one.
    pub layers: Vec<String>,
    /// GDAL's words, for the log only.
    pub cause: String,
}

/// What the child is told to write, ahead of the features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WriteHead {
    pub layer: String,
    /// What people call the layer, where the format has a place for it.
    pub title: String,
    pub epsg: u32,
    /// Of a DBF's texts; the other formats hold UTF-8.
    pub encoding: String,
    /// Values of every field come as text.
    pub fields: Vec<WriteField>,
    pub shapes: ShapeKind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WriteField {
    pub name: String,
    pub kind: FieldKind,
}

/// What the shapes of a written file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShapeKind {
    Point,
    LineString,
    MultiPoint,
    MultiLineString,
    MultiPolygon,
    Any,
    None,
}

/// What a written field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FieldKind {
    Text,
    Number,
    Integer,
    /// `1` or `0`.
    Boolean,
    /// `2026-11-26`.
    Date,
    /// `2026-11-26T08:00:00Z`.
    DateTime,
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn json<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::from)
}

/// Writes one message.
pub fn write(out: &mut impl Write, message: &Message) -> io::Result<()> {
    let (kind, payload) = match message {
        Message::Header(header) => (HEADER, json(header)?),
        Message::Field(name) => (FIELD, name.clone()),
        Message::Feature(feature) => (FEATURE, feature_bytes(feature)?),
        Message::Done(done) => (DONE, json(done)?),
        Message::Failure(failure) => (FAILURE, json(failure)?),
    };
    write_frame(out, kind, &payload)
}

fn write_frame(out: &mut impl Write, kind: u8, payload: &[u8]) -> io::Result<()> {
    if payload.len() > MAX_FRAME_BYTES {
        return Err(bad("frame too long"));
    }
    out.write_all(&[kind])?;
    out.write_all(&length(payload.len())?.to_le_bytes())?;
    out.write_all(payload)
}

fn length(n: usize) -> io::Result<u32> {
    u32::try_from(n).ok().filter(|n| *n != NULL).ok_or_else(|| bad("too long"))
}

/// Reads one message; `None` at the end of the stream. `payload` is room for its bytes, kept from message to message.
pub fn read(from: &mut impl Read, payload: &mut Vec<u8>) -> io::Result<Option<Message>> {
    let mut kind = [0; 1];
    if from.read(&mut kind)? == 0 {
        return Ok(None);
    }
    let mut size = [0; 4];
    from.read_exact(&mut size)?;
    let size = u32::from_le_bytes(size) as usize;
    if size > MAX_FRAME_BYTES {
        return Err(bad("frame too long"));
    }
    payload.clear();
    // Grows with what comes, not with what is said to come.
    from.take(size as u64).read_to_end(payload)?;
    if payload.len() != size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let message = match kind[0] {
        HEADER => Message::Header(serde_json::from_slice(payload)?),
        FIELD => Message::Field(payload.clone()),
        FEATURE => Message::Feature(feature(payload)?),
        DONE => Message::Done(serde_json::from_slice(payload)?),
        FAILURE => Message::Failure(serde_json::from_slice(payload)?),
        _ => return Err(bad("unknown kind")),
    };
    Ok(Some(message))
}

/// Writes what the child shall make, as the first thing on its standard input.
pub fn write_head(out: &mut impl Write, head: &WriteHead) -> io::Result<()> {
    write_frame(out, HEADER, &json(head)?)
}

/// The counterpart of [`write_head`].
pub fn read_head(from: &mut impl Read) -> io::Result<WriteHead> {
    let mut start = [0; 5];
    from.read_exact(&mut start)?;
    let size = u32::from_le_bytes([start[1], start[2], start[3], start[4]]) as usize;
    if start[0] != HEADER || size > MAX_FRAME_BYTES {
        return Err(bad("no head"));
    }
    let mut payload = vec![0; size];
    from.read_exact(&mut payload)?;
    Ok(serde_json::from_slice(&payload)?)
}

fn feature_bytes(feature: &Feature) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(1_024);
    out.push(u8::from(feature.damaged));
    put(&mut out, feature.values.len())?;
    for value in &feature.values {
        match value {
            None => out.extend_from_slice(&NULL.to_le_bytes()),
            Some(bytes) => {
                put(&mut out, bytes.len())?;
                out.extend_from_slice(bytes);
            }
        }
    }
    match &feature.shape {
        Shape::None => out.push(0),
        Shape::Polygons(parts) => {
            out.push(1);
            put(&mut out, parts.len())?;
            for rings in parts {
                put(&mut out, rings.len())?;
                for points in rings {
                    put(&mut out, points.len())?;
                    for (x, y) in points {
                        out.extend_from_slice(&x.to_le_bytes());
                        out.extend_from_slice(&y.to_le_bytes());
                    }
                }
            }
        }
        Shape::Other(name) => {
            out.push(2);
            put(&mut out, name.len())?;
            out.extend_from_slice(name.as_bytes());
        }
        Shape::Bytes(bytes) => {
            out.push(4);
            put(&mut out, bytes.len())?;
            out.extend_from_slice(bytes);
        }
        Shape::TooLarge(vertices) => {
            out.push(3);
            out.extend_from_slice(&vertices.to_le_bytes());
        }
    }
    Ok(out)
}

fn put(out: &mut Vec<u8>, n: usize) -> io::Result<()> {
    out.extend_from_slice(&length(n)?.to_le_bytes());
    Ok(())
}

struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> io::Result<&'a [u8]> {
        if n > self.bytes.len() {
            return Err(bad("frame too short"));
        }
        let (head, rest) = self.bytes.split_at(n);
        self.bytes = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| bad("frame too short"))
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn number(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A count of things of at least `least` bytes each: a forged one must not make us allocate.
    fn count(&mut self, least: usize) -> io::Result<usize> {
        let n = self.number()? as usize;
        if n.saturating_mul(least) > self.bytes.len() { Err(bad("count too large")) } else { Ok(n) }
    }
}

fn feature(payload: &[u8]) -> io::Result<Feature> {
    let mut cursor = Cursor { bytes: payload };
    let damaged = cursor.byte()? != 0;
    let count = cursor.count(4)?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(match cursor.number()? {
            NULL => None,
            n => Some(cursor.take(n as usize)?.to_vec()),
        });
    }
    let shape = match cursor.byte()? {
        0 => Shape::None,
        1 => Shape::Polygons(parts(&mut cursor)?),
        2 => {
            let n = cursor.count(1)?;
            Shape::Other(String::from_utf8_lossy(cursor.take(n)?).into_owned())
        }
        3 => Shape::TooLarge(u64::from_le_bytes(cursor.array()?)),
        4 => {
            let n = cursor.count(1)?;
            Shape::Bytes(cursor.take(n)?.to_vec())
        }
        _ => return Err(bad("unknown shape")),
    };
    if cursor.bytes.is_empty() { Ok(Feature { damaged, values, shape }) } else { Err(bad("frame too long")) }
}

fn parts(cursor: &mut Cursor<'_>) -> io::Result<Parts> {
    let part_count = cursor.count(4)?;
    let mut parts = Vec::with_capacity(part_count);
    for _ in 0..part_count {
        let ring_count = cursor.count(4)?;
        let mut rings = Vec::with_capacity(ring_count);
        for _ in 0..ring_count {
            let n = cursor.count(16)?;
            let mut points = Vec::with_capacity(n);
            for _ in 0..n {
                points.push((f64::from_le_bytes(cursor.array()?), f64::from_le_bytes(cursor.array()?)));
            }
            rings.push(points);
        }
        parts.push(rings);
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape() -> impl Strategy<Value = Shape> {
        let point = (-1e9..1e9f64, -1e9..1e9f64);
        let parts = prop::collection::vec(prop::collection::vec(prop::collection::vec(point, 0..5), 0..3), 0..3);
        prop_oneof![
            Just(Shape::None),
            parts.prop_map(Shape::Polygons),
            ".{0,20}".prop_map(Shape::Other),
            any::<u64>().prop_map(Shape::TooLarge),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Shape::Bytes),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(damaged: bool, values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), 0..5), shape in shape()) {
            let messages = [
                Message::Header(Header { layer: "图层".into(), epsg: Some(4526), ..Header::default() }),
                Message::Field(b"\xd6\xd0".to_vec()),
                Message::Feature(Feature { damaged, values, shape }),
                Message::Done(Done { count: 1, curved: 1 }),
            ];
            let mut bytes = Vec::new();
            for message in &messages {
                write(&mut bytes, message).expect("to memory");
            }
            let (mut from, mut payload) = (bytes.as_slice(), Vec::new());
            for message in messages {
                prop_assert_eq!(read(&mut from, &mut payload).expect("own bytes"), Some(message));
            }
            prop_assert_eq!(read(&mut from, &mut payload).expect("the end"), None);
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&mut bytes.as_slice(), &mut Vec::new());
            let _ = read_head(&mut bytes.as_slice());
            let _ = feature(&bytes);
        }
    }
}
