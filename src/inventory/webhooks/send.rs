//! One POST to a receiver: short limits, no redirects, no proxy of the environment, the answer's body unread.

use std::time::Duration;

use chrono::Utc;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use ureq::Agent;

use crate::error::{Error, Result};

/// A receiver has so long to take an event.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered(u16),
    /// No answer; a sentence for the operator.
    Failed(String),
}

/// Sends `body`, signed. Blocking work, so off the async threads.
pub async fn post(url: String, secret: String, body: String) -> Result<Outcome> {
    tokio::task::spawn_blocking(move || {
        let agent: Agent = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .timeout_connect(Some(Duration::from_secs(5)))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .proxy(None)
            .user_agent(concat!("sizhi/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let signed = agent
            .post(&url)
            .header("content-type", "application/cloudevents+json; charset=utf-8")
            .header("sizhi-signature", signature(&secret, Utc::now().timestamp(), &body)?);
        Ok(match signed.send(body) {
            Ok(answer) => Outcome::Answered(answer.status().as_u16()),
            Err(why) => Outcome::Failed(why.to_string()),
        })
    })
    .await
    .map_err(|cause| Error::internal("发送通知时程序出错", cause))?
}

/// `t=<seconds>,v1=<hex>`: HMAC-SHA256 of the seconds, a dot and the body. With the moment in it, an old event cannot be played
/// again as a new one.
fn signature(secret: &str, seconds: i64, body: &str) -> Result<String> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|cause| Error::internal("签名失败", cause))?;
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("t={seconds},v1={hex}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_openssl_gives() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let wanted = include_str!("../../../fixtures/webhooks/signature.txt").trim();
        assert_eq!(signature("0123456789abcdef", 1_700_000_000, "{\"a\":1}").expect("signed"), wanted);
    }
}
