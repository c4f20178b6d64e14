//! The keys and values of one layer of one tile, each once.

use super::wire::{put_field, put_varint};

/// Values, found again by their bytes.
#[derive(Debug, Default)]
pub struct ValueTable {
    /// Ready fields of the layer.
    pub fields: Vec<u8>,
    /// Where the bytes of each interned value are in `fields`, and its number.
    spans: Vec<Span>,
    /// Open addressing: index in `spans` + 1; 0 = free. A power of two, at most half full.
    slots: Vec<u32>,
    count: u32,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    hash: u32,
    from: u32,
    to: u32,
    number: u32,
}

impl ValueTable {
    pub fn clear(&mut self) {
        self.fields.clear();
        self.spans.clear();
        self.slots.fill(0);
        self.count = 0;
    }

    /// Adds a value that is known to come once.
    pub fn add(&mut self, value: &[u8]) -> u32 {
        put_field(&mut self.fields, 4, value);
        self.count += 1;
        self.count - 1
    }

    /// The number of a value, added where it is new.
    pub fn intern(&mut self, value: &[u8]) -> u32 {
        if self.slots.len() < 2 * (self.spans.len() + 1) {
            self.grow();
        }
        let hash = hash(value);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while let Some(index) = (self.slots[at] as usize).checked_sub(1) {
            let span = self.spans[index];
            if span.hash == hash && self.fields[span.from as usize..span.to as usize] == *value {
                return span.number;
            }
            at = (at + 1) & mask;
        }
        let number = self.add(value);
        let to = self.fields.len() as u32;
        self.spans.push(Span { hash, from: to - value.len() as u32, to, number });
        self.slots[at] = self.spans.len() as u32;
        number
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        self.slots.clear();
        self.slots.resize(size, 0);
        for (index, span) in self.spans.iter().enumerate() {
            let mut at = span.hash as usize & (size - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = index as u32 + 1;
        }
    }
}

/// Multiplies and folds, eight bytes at a time. Values are the register's own: nobody gains by making them collide, and the table
/// would only be slower.
fn hash(bytes: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = bytes.len() as u64;
    for piece in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..piece.len()].copy_from_slice(piece);
        state = (state ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
        state ^= state >> 29;
    }
    (state.wrapping_mul(FACTOR) >> 32) as u32
}

/// Keys in the order in which they are first used.
#[derive(Debug, Default)]
pub struct KeyTable {
    /// Ready fields of the layer.
    pub fields: Vec<u8>,
    /// Key number + 1 by the caller's index.
    numbers: Vec<u32>,
    count: u32,
}

impl KeyTable {
    pub fn clear(&mut self) {
        self.fields.clear();
        self.numbers.clear();
        self.count = 0;
    }

    pub fn number(&mut self, index: usize, name: &str) -> u32 {
        if self.numbers.len() <= index {
            self.numbers.resize(index + 1, 0);
        }
        if self.numbers[index] == 0 {
            put_field(&mut self.fields, 3, name.as_bytes());
            self.count += 1;
            self.numbers[index] = self.count;
        }
        self.numbers[index] - 1
    }
}

/// A pair of a feature's tags.
pub fn put_tag(tags: &mut Vec<u8>, key: u32, value: u32) {
    put_varint(tags, u64::from(key));
    put_varint(tags, u64::from(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_number() {
        let mut table = ValueTable::default();
        let value = |n: u32| format!("value {}", n % 700).into_bytes();
        for round in 0..2 {
            let numbers: Vec<u32> = (0..2_000).map(|n| table.intern(&value(n))).collect();
            assert!((0..2_000).all(|n| numbers[n] == numbers[n % 700]), "round {round}");
            let mut distinct = numbers.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct, (0..700).collect::<Vec<u32>>());
            assert_eq!(table.add(b"value 1"), 700);
            table.clear();
        }
    }
}
