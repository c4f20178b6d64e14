//! An attachment (附件) of a ledger's record: what it may be for, what it may be called, what its bytes may be.

mod foreign;
mod jpeg;
mod media_type;
mod scan;

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

use super::text::misleads;

pub use media_type::MediaType;
pub use scan::{Refusal, Scan};

/// Attachments that stand on one record.
pub const MOST_STANDING: usize = 50;
/// Attachments that one record has ever had, those that were removed counted.
pub const MOST_EVER: usize = 1_000;
/// Longest file name, in characters.
const NAME_LENGTH: usize = 200;

/// What an attachment is for (类别).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttachmentKind {
    /// 批文: the document that approves.
    Approval,
    /// 合同: contract of a supply, agreement with an owner.
    Contract,
    /// 方案: plan, drawing, map.
    Plan,
    /// 照片: of the site.
    Photo,
    /// 验收: the papers of an acceptance.
    Acceptance,
    /// 其他.
    Other,
}

impl AttachmentKind {
    pub const ALL: [AttachmentKind; 6] = [
        AttachmentKind::Approval,
        AttachmentKind::Contract,
        AttachmentKind::Plan,
        AttachmentKind::Photo,
        AttachmentKind::Acceptance,
        AttachmentKind::Other,
    ];

    pub fn code(self) -> &'static str {
        match self {
            AttachmentKind::Approval => "approval",
            AttachmentKind::Contract => "contract",
            AttachmentKind::Plan => "plan",
            AttachmentKind::Photo => "photo",
            AttachmentKind::Acceptance => "acceptance",
            AttachmentKind::Other => "other",
        }
    }

    /// 批文, 合同, 方案, 照片, 验收, 其他.
    pub fn label(self) -> &'static str {
        match self {
            AttachmentKind::Approval => "批文",
            AttachmentKind::Contract => "合同",
            AttachmentKind::Plan => "方案",
            AttachmentKind::Photo => "照片",
            AttachmentKind::Acceptance => "验收",
            AttachmentKind::Other => "其他",
        }
    }

    /// By code or label.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL.into_iter().find(|kind| kind.code() == text || kind.label() == text)
    }
}

/// The name that a file came with: one line, in NFC, no path; what it says of the content is believed by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentName(String);

impl AttachmentName {
    /// `Err`: what is wrong with it, as the second half of a sentence.
    pub fn parse(given: &str) -> Result<Self, &'static str> {
        let name: String = given.trim().nfc().collect();
        if name.is_empty() || name.chars().all(|c| c == '.') {
            return Err("不是文件名");
        }
        if name.contains(['/', '\\']) {
            return Err("含有路径");
        }
        if name.chars().any(misleads) {
            return Err("含有控制字符或看不见的字符");
        }
        // Some systems drop it, and then the name has another extension than it seemed.
        if name.ends_with('.') {
            return Err("以点结尾");
        }
        if name.chars().count() > NAME_LENGTH {
            return Err("超过 200 个字符");
        }
        Ok(Self(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The extension in small letters, where the name has one: up to five ASCII letters and digits, not digits alone, for
    /// `2024.12` and `附件1.关于…的批复` end in none.
    pub fn extension(&self) -> Option<String> {
        let (_, last) = self.0.rsplit_once('.')?;
        let shaped = (1..=5).contains(&last.len()) && last.bytes().all(|b| b.is_ascii_alphanumeric());
        let named = last.bytes().any(|b| b.is_ascii_alphabetic());
        (shaped && named).then(|| last.to_ascii_lowercase())
    }
}

impl fmt::Display for AttachmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
