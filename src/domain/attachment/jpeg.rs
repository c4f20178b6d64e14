//! Walks through a JPEG as it comes, segment by segment, to the end of its image (ITU-T T.81, annex B).
//!
//! The mark of the end also stands in thumbnails inside of segments, and telephones put a film behind it: looking for it near the end of
//! the file would take a broken picture for a whole one and a whole one for a broken one.

/// Where the walk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the FF of a marker.
    Marker,
    /// Behind an FF: the marker's code, or another FF to fill.
    Code,
    /// The two bytes of a segment's length.
    LengthHigh {
        scan: bool,
    },
    LengthLow {
        scan: bool,
        high: u8,
    },
    /// Inside a segment, so many bytes to go.
    Segment {
        scan: bool,
        left: usize,
    },
    /// Inside the compressed image.
    Image,
    /// Behind an FF in it.
    ImageCode,
    /// Behind the end.
    Ended,
    /// Where a marker must stand, none does.
    Lost,
}

/// The walk. Fed with all bytes of a file that begins as a JPEG does.
#[derive(Debug)]
pub struct JpegWalk(At);

impl JpegWalk {
    pub fn new() -> Self {
        Self(At::Marker)
    }

    /// The image came to its end.
    pub fn ended(&self) -> bool {
        self.0 == At::Ended
    }

    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            let taken = match self.0 {
                At::Ended | At::Lost => return,
                At::Segment { left, .. } => left.min(bytes.len()),
                At::Image if first != 0xFF => bytes.iter().position(|b| *b == 0xFF).unwrap_or(bytes.len()),
                _ => 1,
            };
            self.0 = self.step(first, taken);
            bytes = bytes.get(taken..).unwrap_or(rest);
        }
    }

    fn step(&self, byte: u8, taken: usize) -> At {
        match (self.0, byte) {
            (At::Marker, 0xFF) => At::Code,
            (At::Marker, _) => At::Lost,
            (At::Code, 0xFF) => At::Code,
            (At::Code, 0xD9) => At::Ended,
            // Of one byte pair alone: start of image, restart, TEM.
            (At::Code, 0x01 | 0xD0..=0xD8) => At::Marker,
            (At::Code, 0x00) => At::Lost,
            (At::Code, code) => At::LengthHigh { scan: code == 0xDA },
            (At::LengthHigh { scan }, high) => At::LengthLow { scan, high },
            (At::LengthLow { scan, high }, low) => {
                // The length counts itself.
                match (usize::from(high) << 8 | usize::from(low)).checked_sub(2) {
                    None => At::Lost,
                    Some(0) => Self::behind(scan),
                    Some(left) => At::Segment { scan, left },
                }
            }
            (At::Segment { scan, left }, _) if left == taken => Self::behind(scan),
            (At::Segment { scan, left }, _) => At::Segment { scan, left: left - taken },
            (At::Image, 0xFF) => At::ImageCode,
            (At::Image, _) => At::Image,
            // A stuffed FF, a restart.
            (At::ImageCode, 0x00 | 0xD0..=0xD7) => At::Image,
            (At::ImageCode, 0xFF) => At::ImageCode,
            (At::ImageCode, 0xD9) => At::Ended,
            // The next scan of a progressive one: its tables come first.
            (At::ImageCode, code) => At::LengthHigh { scan: code == 0xDA },
            (At::Ended | At::Lost, _) => self.0,
        }
    }

    fn behind(scan: bool) -> At {
        if scan { At::Image } else { At::Marker }
    }
}
