//! `Error`: what went wrong, in our words.
//!
//! Variants are named by what the caller can do about them. Never: HTTP status codes, SQL or a file
//! format — each leaf writes `impl From<Leaf> for Error` in its own module, `api::problem` alone turns
//! a variant into a status.

use std::error::Error as StdError;

use crate::domain::Finding;

/// The result of everything that can go wrong in sizhi.
pub type Result<T> = std::result::Result<T, Error>;

/// The cause of an error, for the log only: a client never sees it.
pub type Cause = Box<dyn StdError + Send + Sync + 'static>;

/// What went wrong, by what the caller can do about it.
///
/// `detail` is one Chinese sentence for a person; `code` is stable and English.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The thing asked for does not exist.
    #[error("{detail}")]
    NotFound { code: &'static str, detail: String },
    /// The input is wrong; every fault is listed with its place.
    #[error("{detail}")]
    Invalid { code: &'static str, detail: String, findings: Vec<Finding> },
    /// The input is right, but the register has moved on or forbids it now.
    #[error("{detail}")]
    Conflict { code: &'static str, detail: String, findings: Vec<Finding> },
    /// The version that the caller decided on is no longer the one that stands.
    #[error("{detail}")]
    Stale { detail: String },
    /// The caller names no version, where an edit must be decided on one.
    #[error("{detail}")]
    VersionMissing { detail: String },
    /// Known caller, not allowed.
    #[error("{detail}")]
    Forbidden { code: &'static str, detail: String },
    /// Unknown caller.
    #[error("{detail}")]
    Unauthenticated { code: &'static str, detail: String },
    /// A published limit is passed.
    #[error("{detail}")]
    TooLarge { code: &'static str, detail: String },
    /// A file or media type that sizhi does not read or write.
    #[error("{detail}")]
    UnsupportedFormat { code: &'static str, detail: String },
    /// Too many attempts; trying again helps after this time.
    #[error("{detail}")]
    Throttled { code: &'static str, detail: String, retry_after_s: u64 },
    /// A dependency (the database) is away; trying again later may help.
    #[error("{detail}")]
    Unavailable {
        code: &'static str,
        detail: String,
        #[source]
        cause: Option<Cause>,
    },
    /// Our own fault. The cause goes to the log, never to a client.
    #[error("{detail}")]
    Internal {
        detail: String,
        #[source]
        cause: Option<Cause>,
    },
}

impl Error {
    /// The stable English code that stands beside the Chinese sentence.
    pub fn code(&self) -> &'static str {
        match self {
            Error::NotFound { code, .. }
            | Error::Invalid { code, .. }
            | Error::Conflict { code, .. }
            | Error::Forbidden { code, .. }
            | Error::Unauthenticated { code, .. }
            | Error::TooLarge { code, .. }
            | Error::UnsupportedFormat { code, .. }
            | Error::Throttled { code, .. }
            | Error::Unavailable { code, .. } => code,
            Error::Stale { .. } => "version_stale",
            Error::VersionMissing { .. } => "version_missing",
            Error::Internal { .. } => "internal",
        }
    }

    /// What was found in the input, with places; empty for most variants.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Error::Invalid { findings, .. } | Error::Conflict { findings, .. } => findings,
            _ => &[],
        }
    }

    /// The thing asked for does not exist.
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Error::NotFound { code, detail: detail.into() }
    }

    /// Wrong input without a list of findings.
    pub fn invalid(code: &'static str, detail: impl Into<String>) -> Self {
        Error::Invalid { code, detail: detail.into(), findings: Vec::new() }
    }

    /// Right input that the register refuses now.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Error::Conflict { code, detail: detail.into(), findings: Vec::new() }
    }

    /// A published limit is passed.
    pub fn too_large(code: &'static str, detail: impl Into<String>) -> Self {
        Error::TooLarge { code, detail: detail.into() }
    }

    /// A format that sizhi does not read or write.
    pub fn unsupported(code: &'static str, detail: impl Into<String>) -> Self {
        Error::UnsupportedFormat { code, detail: detail.into() }
    }

    /// Our own fault, with its cause for the log.
    pub fn internal(detail: impl Into<String>, cause: impl Into<Cause>) -> Self {
        Error::Internal { detail: detail.into(), cause: Some(cause.into()) }
    }
}
