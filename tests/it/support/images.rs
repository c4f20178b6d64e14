//! Pictures and documents made while the tests run, by GDAL: another hand than the one that judges them.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::tools::{arg, folder, gdal};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// One file of each kind: name, type, bytes.
pub fn all() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let kinds: [(&str, &str, &[&str]); 6] = [
        ("批文.pdf", "application/pdf", &["-of", "PDF"]),
        ("现场 1.jpg", "image/jpeg", &["-of", "JPEG"]),
        ("plan.PNG", "image/png", &["-of", "PNG"]),
        ("现场.webp", "image/webp", &["-of", "WEBP"]),
        ("图纸.tif", "image/tiff", &["-of", "GTiff"]),
        ("图纸-2.tiff", "image/tiff", &["-of", "GTiff", "-co", "ENDIANNESS=BIG"]),
    ];
    kinds.map(|(name, media_type, options)| (name, media_type, made(name, 0, options))).to_vec()
}

/// A photograph; always the same.
pub fn jpeg() -> Vec<u8> {
    jpeg_of(0)
}

/// Another photograph a number.
pub fn jpeg_of(number: u8) -> Vec<u8> {
    made("photo.jpg", number, &["-of", "JPEG"])
}

fn made(name: &str, number: u8, options: &[&str]) -> Vec<u8> {
    let folder = folder(&format!("images-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let (from, to) = (folder.join("raw.ppm"), folder.join(name));
    let points = (0..24 * 16 * 3).map(|at| (at as u8).wrapping_mul(7).wrapping_add(number.wrapping_mul(41)));
    std::fs::write(&from, [b"P6\n24 16\n255\n".to_vec(), points.collect()].concat()).expect("written");
    gdal("gdal_translate", &[&["-q", arg(&from), arg(&to)], options].concat());
    std::fs::read(to).expect("made")
}

/// SHA-256 by the program of coreutils.
pub fn sha256sum(bytes: &[u8]) -> String {
    let path = folder(&format!("hashed-{}", NEXT.fetch_add(1, Ordering::Relaxed))).join("file");
    std::fs::write(&path, bytes).expect("written");
    let output = Command::new("sha256sum").arg(&path).output().expect("sha256sum runs");
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().expect("a hash").to_owned()
}
