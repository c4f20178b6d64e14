//! A service over a streaming replica: writes are refused before anything is read of them, answers tell how old they may be, and a client
//! may ask for no older than a revision that it knows of.
//!
//! 503 and not 405 or 409: what refuses is this server at this time, not the address and not the content. A balancer passes the request on
//! to the next server, and after a promotion the same request is taken.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web;

use super::in_memory::STALE_HEADER;
use super::state::State;
use crate::config::HttpArgs;
use crate::error::{Error, Result};
use crate::layers::declaration::LAYERS;
use crate::store::as_of;

/// An answer is marked stale where the replica may be further behind: below that it comes and goes with every large write.
const BEHIND: Duration = Duration::from_secs(6);
/// The revision that an answer is to show at least.
const AT_LEAST: HeaderName = HeaderName::from_static("sizhi-at-least");
/// So long a request waits for it.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Between two looks whether it is there.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Longest address of a primary, in bytes.
const LONGEST_ADDRESS: usize = 2_000;

/// Refuses a request that would write, while the database takes no writes.
pub fn refuse_write(request: &ServiceRequest, state: &State) -> Result<()> {
    match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => Ok(()),
        _ => state.role.refuse_writes(),
    }
}

/// Whether a problem of this code is what a replica is, and nothing for the operator to look into.
pub fn is_of_role(code: &str) -> bool {
    matches!(code, "read_only_replica" | "behind")
}

/// The same address at the primary's service, for whom a replica has refused with this code; `None` where nobody has said which it is.
pub fn way_to_primary(code: &str, request: &HttpRequest) -> Option<String> {
    if code != "read_only_replica" {
        return None;
    }
    let primary = request.app_data::<web::Data<State>>()?.http.primary_url.as_deref()?;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let url = format!("{}{path}", primary.trim_end_matches('/'));
    // It is written into a header.
    HeaderValue::from_str(&url).is_ok().then_some(url)
}

/// Lets a client read what it has written elsewhere: an answer to a request that names a revision shows that one or a later.
pub async fn wait_for_revision(request: &ServiceRequest, state: &State) -> Result<()> {
    let Some(said) = request.headers().get(AT_LEAST) else { return Ok(()) };
    if !request.method().is_safe() {
        return Ok(());
    }
    let wanted = said.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    let wanted: i64 = wanted.map(|text| text.parse().unwrap_or(i64::MAX)).ok_or_else(|| {
        Error::invalid("at_least_invalid", "Sizhi-At-Least 应为修订号（0 起的整数），即修改的应答中的 Sizhi-Revision")
    })?;
    if is_held(state, wanted) {
        return Ok(());
    }
    let is_primary = state.role.takes_writes();
    // Boxed: few ask for it, and it lies in the future of every request.
    let waiting = Box::pin(async {
        while as_of::newest(&mut *state.pool.acquire().await?).await? < wanted {
            if is_primary {
                // What the primary does not have there is nowhere.
                return Err(behind(wanted));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        let Some(live) = state.live.clone() else { return Ok(()) };
        // In a task of its own: a client that goes away must not throw away what others wait for as well.
        let refreshing = tokio::spawn(async move { live.refresh().await });
        refreshing.await.map_err(|cause| Error::internal("图层没能更新", cause))?
    });
    tokio::time::timeout(LONGEST_WAIT, waiting).await.unwrap_or_else(|_| Err(behind(wanted)))
}

fn behind(wanted: i64) -> Error {
    Error::Unavailable {
        code: "behind",
        detail: format!(
            "本服务还没有修订 {wanted}（副本落后于主库，或没有这个修订）；请稍后重试，或改到主库的服务上查询"
        ),
        cause: None,
    }
}

/// Whether all that memory holds of the register shows this revision.
fn is_held(state: &State, wanted: i64) -> bool {
    let Some(live) = &state.live else { return false };
    LAYERS.iter().all(|layer| live.held(layer).is_some_and(|held| held.revision >= wanted))
}

/// Marks an answer that a replica gives which has not heard of its primary for some time.
pub fn mark_stale<B: MessageBody>(answer: &mut ServiceResponse<B>) {
    let state = answer.request().app_data::<web::Data<State>>();
    let Some(lag) = state.and_then(|state| state.role.lag_over(BEHIND)) else { return };
    if answer.status().as_u16() >= 400 {
        return;
    }
    let seconds = lag.as_secs();
    let said = answer.headers().get(STALE_HEADER).and_then(|said| said.to_str().ok()?.parse::<u64>().ok());
    // Two reasons to be old: this process has not seen its database, the database not its primary.
    let seconds = said.map_or(seconds, |said| said.saturating_add(seconds));
    answer.headers_mut().insert(STALE_HEADER, HeaderValue::from(seconds));
}

/// Refuses a `--primary-url` that could not be given to clients.
pub fn check_primary_url(http: &HttpArgs) -> Result<()> {
    let Some(url) = http.primary_url.as_deref() else { return Ok(()) };
    let parsed: Option<actix_web::http::Uri> = url.parse().ok().filter(|_| url.len() <= LONGEST_ADDRESS);
    let is_sound = parsed.is_some_and(|parsed| {
        let host =
            parsed.authority().filter(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
        matches!(parsed.scheme_str(), Some("http" | "https")) && host.is_some() && parsed.query().is_none()
    });
    if is_sound {
        return Ok(());
    }
    Err(Error::invalid(
        "primary_url_invalid",
        "--primary-url 应为 http:// 或 https:// 开头的完整地址，不含用户名、密码和查询参数，例如 https://gis.example.cn/sizhi",
    ))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use sqlx::postgres::PgPoolOptions;

    use super::*;
    use crate::inventory::database_role::DatabaseRole;

    fn http(primary_url: Option<&str>) -> HttpArgs {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            http: HttpArgs,
        }
        let http = Only::parse_from(["test"]).http;
        HttpArgs { primary_url: primary_url.map(str::to_owned), ..http }
    }

    #[test]
    fn a_primary_is_named_by_a_whole_address_without_secrets() {
        for good in [None, Some("https://gis.example.cn/sizhi"), Some("http://10.0.0.1:8080"), Some("http://[::1]:80/")]
        {
            assert!(check_primary_url(&http(good)).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "gis.example.cn",
            "/api",
            "ftp://a.cn",
            "https://",
            "https://u:p@a.cn/",
            "https://a.cn/?x=1",
            "https://a b/",
        ] {
            let code = check_primary_url(&http(Some(bad))).err().map(|error| error.code());
            assert_eq!(code, Some("primary_url_invalid"), "{bad}");
        }
    }

    #[actix_web::test]
    async fn the_way_to_the_primary_keeps_path_and_query() {
        let way = |primary: Option<&str>, path: &str, code: &str| {
            let pool = PgPoolOptions::new().connect_lazy("postgres://nobody@127.0.0.1:1/none").expect("a pool");
            let state = State::new(pool, http(primary)).with_role(DatabaseRole::new(true));
            way_to_primary(code, &TestRequest::with_uri(path).app_data(web::Data::new(state)).to_http_request())
        };
        let code = "read_only_replica";
        for (primary, expected) in [
            (Some("https://a.cn/sizhi/"), Some("https://a.cn/sizhi/api/imports?x=1")),
            (Some("https://a.cn"), Some("https://a.cn/api/imports?x=1")),
            (None, None),
        ] {
            assert_eq!(way(primary, "/api/imports?x=1", code).as_deref(), expected);
        }
        assert_eq!(way(Some("https://a.cn"), "/api/imports", "register_busy"), None);
    }
}
