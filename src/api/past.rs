//! `revision=` and `since=`: which past an answer is of, and how long it may be kept.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web;
use chrono::{DateTime, Datelike};

use super::params::{Params, parse_day, shorten};
use super::problem::Answer;
use super::state::State;
use crate::domain::layer::Visibility;
use crate::error::{Error, Result};
use crate::store::as_of::{self, Asked};

/// The revision of the state that an answer shows.
pub const REVISION_HEADER: HeaderName = HeaderName::from_static("sizhi-revision");

/// A past revision says the same for ever; but a restored register counts the same numbers again, so not for longer than a day.
const KEEP_SECONDS: u32 = 86_400;

/// The past that a request asks about.
#[derive(Debug, Clone, Copy)]
pub struct Past {
    /// `None` = the register as it stands.
    pub revision: Option<i64>,
    /// Named by its number: the same address will always mean it.
    named: bool,
}

impl Past {
    /// The register as it stands.
    pub fn none() -> Self {
        Self { revision: None, named: false }
    }

    /// Reads `revision` and settles which one is meant.
    pub async fn read(params: &Params, state: &web::Data<State>) -> Result<Self> {
        let Some(asked) = revision(params)? else { return Ok(Self::none()) };
        let revision = Box::pin(as_of::resolve(&state.pool, asked)).await?;
        Ok(Self { revision: Some(revision), named: matches!(asked, Asked::Number(_)) })
    }

    /// Parameters for the links of other pages: a moment is settled, so that all pages are of the one revision.
    pub fn settle(self, pairs: &mut [(String, String)]) {
        let asked = pairs.iter_mut().find(|(name, _)| name == "revision");
        if let (Some((_, value)), Some(revision)) = (asked, self.revision) {
            *value = revision.to_string();
        }
    }

    /// Tells the revision, and lets an answer about the past be kept.
    pub fn mark(self, answer: Answer, revision: i64, visibility: Visibility) -> Answer {
        let mut response = answer?;
        let headers = response.headers_mut();
        headers.insert(REVISION_HEADER, HeaderValue::from(revision));
        // A ledger's answer counts days until today, and is for whoever may see it today (`api::access` says so of all that is named).
        if self.named
            && visibility == Visibility::Public
            && let Ok(value) = HeaderValue::from_str(&format!("public, max-age={KEEP_SECONDS}, immutable"))
        {
            headers.insert(header::CACHE_CONTROL, value);
        }
        Ok(response)
    }
}

/// `revision`: a number, or the moment (RFC 3339, or a day in China) whose knowledge is asked for.
fn revision(params: &Params) -> Result<Option<Asked>> {
    params.get("revision").map(parse_revision).transpose()
}

fn parse_revision(text: &str) -> Result<Asked> {
    let invalid = || {
        Error::invalid(
            "revision_invalid",
            format!("revision“{}”不合规则：应为修订号（0 起的整数），或 RFC 3339 日期、时间", shorten(text)),
        )
    };
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // One that no number holds is one that is not made yet.
        return Ok(Asked::Number(text.parse().unwrap_or(i64::MAX)));
    }
    if let Some(day) = parse_day(text) {
        return Ok(Asked::On(day));
    }
    let moment = DateTime::parse_from_rfc3339(&text.replace(' ', "+")).map_err(|_| invalid())?;
    // Years that the database has no moments for.
    let year = moment.naive_utc().year();
    if (1..=9999).contains(&year) { Ok(Asked::By(moment.to_utc())) } else { Err(invalid()) }
}

/// A revision that a client holds the state of: a whole number from 0.
pub fn parse_since(text: &str) -> Result<i64> {
    let digits = Some(text).filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()));
    digits.map(|t| t.parse().unwrap_or(i64::MAX)).ok_or_else(|| {
        Error::invalid("since_invalid", format!("since 应为修订号（0 起的整数），不是“{}”", shorten(text)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_numbers_days_or_moments() {
        let moment = |text: &str| text.parse().map(Asked::By).ok();
        for (text, expected) in [
            ("0", Some(Asked::Number(0))),
            ("17", Some(Asked::Number(17))),
            ("99999999999999999999", Some(Asked::Number(i64::MAX))),
            ("2024-03-01", parse_day("2024-03-01").map(Asked::On)),
            ("2024-03-01T00:00:00Z", moment("2024-03-01T00:00:00Z")),
            ("2024-03-01T08:00:00 08:00", moment("2024-03-01T00:00:00Z")),
        ] {
            assert_eq!(parse_revision(text).ok(), expected, "{text}");
        }
        for bad in [
            "",
            "-1",
            "+1",
            "1.0",
            "x",
            "2024",
            "2024-13-01",
            "now",
            "0x1",
            "１",
            "0000-01-01",
            "+12024-01-01T00:00:00Z",
        ] {
            let code = parse_revision(bad).err().map(|e| e.code());
            // Four digits are a number.
            assert_eq!(code, (bad != "2024").then_some("revision_invalid"), "{bad}");
        }
        for bad in ["", "-1", "+1", "1.5", "x", "１"] {
            assert_eq!(parse_since(bad).err().map(|e| e.code()), Some("since_invalid"), "{bad}");
        }
        assert_eq!(parse_since("99999999999999999999").ok(), Some(i64::MAX));
    }
}
