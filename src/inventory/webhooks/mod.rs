//! Webhooks (变更通知): the operator names an address, and it is told that a layer has changed. CloudEvents 1.0, at least once, in order.
//!
//! Never: an address that a client sent, data of a layer in an event, a revision that is passed over.

mod deliver;
mod event;
mod send;

use serde_json::{Value, json};
use sqlx::PgPool;
use ureq::http::Uri;

pub use deliver::{backoff_seconds, deliver};

use crate::error::{Error, Result};
use crate::layers::declaration::LAYERS;
use crate::store::webhooks;

/// Shortest secret that may be given.
const SHORTEST_SECRET: usize = 16;

/// Adds a webhook for these layers (none = all); gives its number and its secret.
pub async fn add(pool: &PgPool, url: &str, layers: &[String], secret: Option<&str>) -> Result<(i64, String)> {
    check_address(url)?;
    if let Some(unknown) = layers.iter().find(|id| !LAYERS.iter().any(|layer| layer.id == **id)) {
        let known: Vec<&str> = LAYERS.iter().map(|layer| layer.id).collect();
        return Err(Error::not_found(
            "collection_not_found",
            format!("没有图层“{unknown}”；现有图层：{}", known.join("、")),
        ));
    }
    if secret.is_some_and(|secret| secret.chars().count() < SHORTEST_SECRET) {
        return Err(Error::invalid("webhook_secret_short", format!("密钥至少 {SHORTEST_SECRET} 个字符")));
    }
    let layers = if layers.is_empty() { LAYERS.iter().map(|l| l.id.to_owned()).collect() } else { layers.to_vec() };
    webhooks::add(pool, url, &layers, secret).await
}

/// `http` or `https`, a host, and nothing that would be a secret in a log.
fn check_address(url: &str) -> Result<()> {
    let invalid = || {
        Error::invalid(
            "webhook_address_invalid",
            "通知地址应为 http:// 或 https:// 开头的完整地址，不含用户名和密码，不超过 2000 个字符",
        )
    };
    if url.len() > 2_000 || !url.is_ascii() {
        return Err(invalid());
    }
    let parsed: Uri = url.parse().map_err(|_| invalid())?;
    let known_scheme = matches!(parsed.scheme_str(), Some("http" | "https"));
    let authority = parsed.authority().ok_or_else(invalid)?;
    if !known_scheme || authority.host().is_empty() || authority.as_str().contains('@') {
        return Err(invalid());
    }
    Ok(())
}

/// All webhooks, without their secrets.
pub async fn list(pool: &PgPool) -> Result<Vec<webhooks::Webhook>> {
    webhooks::list(pool).await
}

/// Ends a webhook.
pub async fn remove(pool: &PgPool, id: i64) -> Result<()> {
    webhooks::remove(pool, id).await
}

/// Tries a webhook again at once, also one that was given up.
pub async fn resume(pool: &PgPool, id: i64) -> Result<()> {
    webhooks::resume(pool, id).await
}

/// Sends an event of the type `cn.sizhi.test` now; gives the receiver's status. Nothing is written down.
pub async fn test(pool: &PgPool, id: i64, public_url: Option<&str>) -> Result<u16> {
    let (url, secret) = webhooks::address(pool, id).await?;
    let body = event::trial(id, public_url);
    match send::post(url, secret, body).await? {
        send::Outcome::Answered(status) => Ok(status),
        send::Outcome::Failed(why) => {
            Err(Error::Unavailable {
                code: "webhook_unreachable", detail: format!("通知没有送达：{why}"), cause: None
            })
        }
    }
}

/// A webhook as JSON, for `webhook list --json`.
pub fn to_json(webhook: &webhooks::Webhook) -> Value {
    json!({
        "id": webhook.id, "url": webhook.url, "layers": webhook.layers, "created_at": webhook.created_at.to_rfc3339(),
        "state": state(webhook), "behind": webhook.behind, "attempts": webhook.attempts,
        "failing_since": webhook.failing_since.map(|at| at.to_rfc3339()), "last_error": webhook.last_error,
        "next_attempt_at": webhook.next_attempt_at.to_rfc3339(),
        "last_delivered_at": webhook.last_delivered_at.map(|at| at.to_rfc3339()),
        "dead_at": webhook.dead_at.map(|at| at.to_rfc3339()),
    })
}

/// `ok`, `failing` (is tried again) or `dead` (waits for the operator).
pub fn state(webhook: &webhooks::Webhook) -> &'static str {
    match (webhook.dead_at, webhook.failing_since) {
        (Some(_), _) => "dead",
        (None, Some(_)) => "failing",
        (None, None) => "ok",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_http_with_a_host_and_without_secrets() {
        for good in ["http://127.0.0.1:9000/x", "https://example.cn/a?b=c", "http://[::1]:80/"] {
            assert!(check_address(good).is_ok(), "{good}");
        }
        let long = format!("http://example.cn/{}", "a".repeat(2_000));
        for bad in [
            "",
            "example.cn/x",
            "/x",
            "ftp://example.cn",
            "file:///etc/passwd",
            "http://",
            "http:///x",
            "https://user:secret@example.cn/",
            "http://例子.cn/",
            "http://a b/",
            long.as_str(),
        ] {
            assert_eq!(check_address(bad).err().map(|e| e.code()), Some("webhook_address_invalid"), "{bad}");
        }
    }
}
