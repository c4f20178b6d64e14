//! Tells what a file is by its bytes, while they come: by how it begins and by how it ends, so that half a file is told from a whole one.

use super::MediaType;
use super::foreign::{by_content, by_signature, contains, find};
use super::jpeg::JpegWalk;

/// Bytes of the beginning that are looked at.
const HEAD: usize = 4 * 1024;
/// Bytes of the end: an archive's own end and the longest comment behind it.
const TAIL: usize = 22 + 65_535;
/// A PDF may begin so far behind the beginning of its file (ISO 32000-1, annex H.3.4.1).
const PDF_HEAD: usize = 1024;
/// And end so far before its end, what fills it up left out; a little more than readers look for.
const PDF_END: usize = 2 * 1024;

/// Why a file is none that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing in it.
    Empty,
    /// Of another type: what it looks like.
    Foreign(&'static str),
    /// Begins as this type does, and ends too early.
    Incomplete(MediaType),
    /// A whole archive ends with it: it is one thing to whoever looks from the front, another to whoever looks from behind.
    Archive(MediaType),
}

/// The look at one file. Holds its beginning and its end, never all of it.
#[derive(Debug)]
pub struct Scan {
    length: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
    jpeg: JpegWalk,
}

impl Default for Scan {
    fn default() -> Self {
        Self { length: 0, head: Vec::new(), tail: Vec::new(), jpeg: JpegWalk::new() }
    }
}

impl Scan {
    /// The next bytes of the file.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        let room = HEAD - self.head.len();
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if self.is_jpeg() || self.head.len() < 3 {
            self.jpeg.feed(bytes);
        }
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL)..]);
        if self.tail.len() > TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
    }

    /// What it is, now that all of it was seen.
    pub fn finish(&self) -> Result<MediaType, Refusal> {
        if self.length == 0 {
            return Err(Refusal::Empty);
        }
        let kind = self.kind()?;
        let whole = match kind {
            MediaType::Pdf => self.pdf_ends(),
            MediaType::Jpeg => self.jpeg.ended(),
            MediaType::Png => contains(&self.tail, b"\0\0\0\0IEND\xAE\x42\x60\x82"),
            MediaType::WebP => number(&self.head, 4, false).is_some_and(|size| u64::from(size) + 8 <= self.length),
            MediaType::Tiff => self.has_tiff_directory(),
        };
        match whole {
            false => Err(Refusal::Incomplete(kind)),
            true if self.ends_as_archive() => Err(Refusal::Archive(kind)),
            true => Ok(kind),
        }
    }

    fn is_jpeg(&self) -> bool {
        self.head.starts_with(b"\xFF\xD8\xFF")
    }

    fn kind(&self) -> Result<MediaType, Refusal> {
        let head = self.head.as_slice();
        if self.is_jpeg() {
            return Ok(MediaType::Jpeg);
        }
        if head.starts_with(b"\x89PNG\r\n\x1A\n") {
            let begins = head.get(8..16) == Some(b"\0\0\0\x0DIHDR");
            return if begins { Ok(MediaType::Png) } else { Err(Refusal::Incomplete(MediaType::Png)) };
        }
        if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
            let begins = matches!(head.get(12..16), Some(b"VP8 " | b"VP8L" | b"VP8X"));
            return if begins { Ok(MediaType::WebP) } else { Err(Refusal::Incomplete(MediaType::WebP)) };
        }
        if head.starts_with(b"II\x2A\x00") || head.starts_with(b"MM\x00\x2A") {
            return Ok(MediaType::Tiff);
        }
        // Before PDF, which may begin behind the beginning of something else.
        if let Some(looks) = by_signature(head, &self.tail) {
            return Err(Refusal::Foreign(looks));
        }
        let first = &head[..head.len().min(PDF_HEAD)];
        match find(first, b"%PDF-").and_then(|at| first.get(at + 5..at + 7)) {
            Some([b'1' | b'2', b'.']) => Ok(MediaType::Pdf),
            _ => Err(Refusal::Foreign(by_content(head))),
        }
    }

    fn pdf_ends(&self) -> bool {
        let filled = self.tail.iter().rev().take_while(|b| **b == 0 || b.is_ascii_whitespace()).count();
        let end = &self.tail[..self.tail.len() - filled];
        contains(&end[end.len().saturating_sub(PDF_END)..], b"%%EOF")
    }

    /// The first directory lies inside the file and has entries.
    fn has_tiff_directory(&self) -> bool {
        let big_endian = self.head.starts_with(b"MM");
        // Twelve bytes an entry, two for their number.
        number(&self.head, 4, big_endian).is_some_and(|at| at >= 8 && u64::from(at) + 14 <= self.length)
    }

    /// The end of a ZIP archive, to the byte.
    fn ends_as_archive(&self) -> bool {
        let end_of = |at: usize| {
            let comment = self.tail.get(at + 20..at + 22)?;
            Some(at + 22 + usize::from(u16::from_le_bytes([comment[0], comment[1]])))
        };
        let mut marks = self.tail.windows(4).enumerate().filter(|(_, window)| *window == b"PK\x05\x06");
        marks.any(|(at, _)| end_of(at) == Some(self.tail.len()))
    }
}

/// The four bytes at `at` as a number.
fn number(bytes: &[u8], at: usize, big_endian: bool) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
}
