//! What an attachment may be.

use std::fmt;

/// The types that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaType {
    Pdf,
    Jpeg,
    Png,
    WebP,
    Tiff,
}

impl MediaType {
    pub const ALL: [MediaType; 5] = [MediaType::Pdf, MediaType::Jpeg, MediaType::Png, MediaType::WebP, MediaType::Tiff];

    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            MediaType::Pdf => "application/pdf",
            MediaType::Jpeg => "image/jpeg",
            MediaType::Png => "image/png",
            MediaType::WebP => "image/webp",
            MediaType::Tiff => "image/tiff",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// What a clerk calls it.
    pub fn label(self) -> &'static str {
        match self {
            MediaType::Pdf => "PDF",
            MediaType::Jpeg => "JPEG 图片",
            MediaType::Png => "PNG 图片",
            MediaType::WebP => "WebP 图片",
            MediaType::Tiff => "TIFF 图片",
        }
    }

    /// Extensions of a name that do not contradict it; the first is the usual one.
    pub fn extensions(self) -> &'static [&'static str] {
        match self {
            MediaType::Pdf => &["pdf"],
            MediaType::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
            MediaType::Png => &["png"],
            MediaType::WebP => &["webp"],
            MediaType::Tiff => &["tif", "tiff"],
        }
    }

    /// Whether a type that a client declares says the same; what says nothing (`application/octet-stream`) contradicts nothing.
    pub fn agrees_with(self, declared: &str) -> bool {
        let others: &[&str] = match self {
            MediaType::Pdf => &["application/x-pdf"],
            MediaType::Jpeg => &["image/jpg", "image/pjpeg"],
            MediaType::Png => &["image/x-png"],
            MediaType::WebP => &[],
            MediaType::Tiff => &["image/tif", "image/x-tiff"],
        };
        let declared = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        ["", "application/octet-stream", "binary/octet-stream"].contains(&declared.as_str())
            || declared == self.as_str()
            || others.contains(&declared.as_str())
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
