//! The bytes of a vector tile (MVT 2.1), written directly: a dozen fields do not need a generator.

use super::projection::Place;

const VERSION: u8 = 2;
const MOVE_TO: u32 = 1;
const LINE_TO: u32 = 2;
const CLOSE_PATH: u8 = 15;

/// What a feature's geometry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Points = 1,
    Lines = 2,
    Areas = 3,
}

pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The number at the start, and the bytes after it.
pub fn take_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

fn varint_length(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

/// The tag of a field with a length, then the bytes.
pub fn put_field(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Geometry commands of one feature, from a cursor that moves along.
#[derive(Debug, Default)]
pub struct Geometry {
    pub bytes: Vec<u8>,
    cursor: [i32; 2],
}

impl Geometry {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.cursor = [0; 2];
    }

    #[inline]
    fn step(&mut self, place: Place) {
        for (cursor, to) in self.cursor.iter_mut().zip(place) {
            // Within the buffer: small whole numbers.
            let to = to as i32;
            let run = to - std::mem::replace(cursor, to);
            let zigzag = ((run << 1) ^ (run >> 31)) as u32;
            if zigzag < 0x80 {
                self.bytes.push(zigzag as u8);
            } else if zigzag < 0x4000 {
                self.bytes.extend_from_slice(&[zigzag as u8 | 0x80, (zigzag >> 7) as u8]);
            } else {
                put_varint(&mut self.bytes, u64::from(zigzag));
            }
        }
    }

    fn command(&mut self, command: u32, count: usize) {
        put_varint(&mut self.bytes, (count as u64) << 3 | u64::from(command));
    }

    /// A ring of three places or more, not closed.
    pub fn ring(&mut self, mut places: impl ExactSizeIterator<Item = Place>) {
        let Some(first) = places.next() else { return };
        self.command(MOVE_TO, 1);
        self.step(first);
        self.command(LINE_TO, places.len());
        places.for_each(|place| self.step(place));
        self.bytes.push(CLOSE_PATH);
    }

    /// A line of two places or more.
    pub fn line(&mut self, places: &[Place]) {
        let Some((first, rest)) = places.split_first() else { return };
        self.command(MOVE_TO, 1);
        self.step(*first);
        self.command(LINE_TO, rest.len());
        rest.iter().for_each(|place| self.step(*place));
    }

    pub fn points(&mut self, places: &[Place]) {
        self.command(MOVE_TO, places.len());
        places.iter().for_each(|place| self.step(*place));
    }
}

/// One feature, as a field of its layer.
pub fn put_feature(out: &mut Vec<u8>, number: Option<u64>, tags: &[u8], shape: Shape, geometry: &[u8]) {
    let field = |length: usize| if length == 0 { 0 } else { 1 + varint_length(length as u64) + length };
    let head = number.map_or(0, |number| 1 + varint_length(number));
    out.push(2 << 3 | 2);
    put_varint(out, (head + field(tags.len()) + 2 + field(geometry.len())) as u64);
    if let Some(number) = number {
        out.push(1 << 3);
        put_varint(out, number);
    }
    if !tags.is_empty() {
        put_field(out, 2, tags);
    }
    out.extend_from_slice(&[3 << 3, shape as u8]);
    put_field(out, 4, geometry);
}

/// A layer as a field of its tile; `features`, `keys` and `values` are ready fields.
pub fn put_layer(out: &mut Vec<u8>, name: &str, extent: u32, features: &[u8], keys: &[u8], values: &[u8]) {
    let name_length = 1 + varint_length(name.len() as u64) + name.len();
    let extent_length = 1 + varint_length(u64::from(extent));
    let length = 2 + name_length + features.len() + keys.len() + values.len() + extent_length;
    out.reserve(length + 8);
    out.push(3 << 3 | 2);
    put_varint(out, length as u64);
    // The version first: a reader must know it.
    out.extend_from_slice(&[15 << 3, VERSION]);
    put_field(out, 1, name.as_bytes());
    out.extend_from_slice(features);
    out.extend_from_slice(keys);
    out.extend_from_slice(values);
    out.push(5 << 3);
    put_varint(out, u64::from(extent));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            assert_eq!(bytes.len(), varint_length(number), "{number}");
            assert_eq!(take_varint(&bytes), Some((number, &[][..])), "{number}");
            assert_eq!(take_varint(&bytes[..bytes.len() - 1]), None, "{number} cut short");
        }
    }

    /// The examples of MVT 2.1, 4.3.5.
    #[test]
    fn geometry_is_written_as_the_specification_shows() {
        let mut geometry = Geometry::default();
        geometry.points(&[[25.0, 17.0]]);
        assert_eq!(geometry.bytes, [9, 50, 34]);
        geometry.clear();
        geometry.points(&[[5.0, 7.0], [3.0, 2.0]]);
        assert_eq!(geometry.bytes, [17, 10, 14, 3, 9]);
        geometry.clear();
        geometry.line(&[[2.0, 2.0], [2.0, 10.0], [10.0, 10.0]]);
        geometry.line(&[[1.0, 1.0], [3.0, 5.0]]);
        assert_eq!(geometry.bytes, [9, 4, 4, 18, 0, 16, 16, 0, 9, 17, 17, 10, 4, 8]);
        geometry.clear();
        let rings: [&[Place]; 3] = [
            &[[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]],
            &[[11.0, 11.0], [20.0, 11.0], [20.0, 20.0], [11.0, 20.0]],
            &[[13.0, 13.0], [13.0, 17.0], [17.0, 17.0], [17.0, 13.0]],
        ];
        rings.into_iter().for_each(|ring| geometry.ring(ring.iter().copied()));
        let expected = [
            9, 0, 0, 26, 20, 0, 0, 20, 19, 0, 15, 9, 22, 2, 26, 18, 0, 0, 18, 17, 0, 15, 9, 4, 13, 26, 0, 8, 8, 0, 0,
            7, 15,
        ];
        assert_eq!(geometry.bytes, expected);
    }
}
