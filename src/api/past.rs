//! `revision=`: which past an answer is of, and how long it may be kept.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web;

use super::params::{self, Params};
use super::problem::Answer;
use super::state::State;
use crate::domain::layer::{Layer, Visibility};
use crate::error::Result;
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
    /// Reads `revision` and settles which one is meant.
    pub async fn read(params: &Params, state: &web::Data<State>) -> Result<Self> {
        let Some(asked) = params::revision(params)? else { return Ok(Self { revision: None, named: false }) };
        let revision = as_of::resolve(&state.pool, asked).await?;
        Ok(Self { revision: Some(revision), named: matches!(asked, Asked::Number(_)) })
    }

    /// Tells the revision, and lets an answer about the past be kept.
    pub fn mark(self, answer: Answer, revision: i64, layer: &Layer) -> Answer {
        let mut response = answer?;
        let headers = response.headers_mut();
        headers.insert(REVISION_HEADER, HeaderValue::from(revision));
        if self.named {
            let whose = if layer.visibility == Visibility::Public { "public" } else { "private" };
            if let Ok(value) = HeaderValue::from_str(&format!("{whose}, max-age={KEEP_SECONDS}, immutable")) {
                headers.insert(header::CACHE_CONTROL, value);
            }
        }
        Ok(response)
    }
}
