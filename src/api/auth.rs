//! Who asks: a token, a login, or nobody. And what the rule of an address demands.
//!
//! Credentials are looked at once a request; the answer is kept with the request. Wrong ones are an error, also where none
//! are needed: a client that believes to be somebody must not be shown less in silence. Never: SQL, a password.

use std::net::IpAddr;

use actix_web::http::Method;
use actix_web::http::header;
use actix_web::{HttpMessage as _, HttpRequest, web};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::representation;
use super::state::State;
use crate::domain::access::{Role, Viewer};
use crate::error::{Error, Result};
use crate::inventory::accounts::{login, tokens};
use crate::store::sessions::Session;

/// The cookie of a login.
const COOKIE: &str = "sizhi_session";

/// Who asks, and by which credentials.
#[derive(Debug, Clone)]
pub struct Caller {
    pub viewer: Viewer,
    /// The account behind it; the operator's token has none.
    pub account: Option<String>,
    pub login: Option<Login>,
}

/// A login and the secret of its cookie.
#[derive(Debug, Clone)]
pub struct Login {
    pub secret: String,
    pub session: Session,
}

/// Who asks. Without credentials: the public; with wrong, expired or revoked ones: an error.
pub async fn viewer(request: &HttpRequest, state: &State) -> Result<Viewer> {
    Ok(caller(request, state).await?.viewer)
}

/// Somebody who may read what is internal.
pub async fn staff(request: &HttpRequest, state: &State) -> Result<Viewer> {
    demanded(request, state, Role::reads_internal).await
}

/// Somebody who may check boundaries.
pub async fn planner(request: &HttpRequest, state: &State) -> Result<Viewer> {
    demanded(request, state, Role::checks_boundaries).await
}

/// Somebody who may write.
pub async fn editor(request: &HttpRequest, state: &State) -> Result<Viewer> {
    demanded(request, state, Role::writes).await
}

/// Somebody who may manage accounts.
pub async fn admin(request: &HttpRequest, state: &State) -> Result<Viewer> {
    demanded(request, state, |role| role == Role::Admin).await
}

async fn demanded(request: &HttpRequest, state: &State, suffices: impl Fn(Role) -> bool) -> Result<Viewer> {
    let viewer = viewer(request, state).await?;
    match viewer.role {
        role if suffices(role) => Ok(viewer),
        Role::Public => Err(Error::Unauthenticated {
            code: "token_missing",
            detail: "需要登录，或在请求头加 Authorization: Bearer <令牌>".to_owned(),
        }),
        role => Err(Error::Forbidden {
            code: "role_insufficient",
            detail: format!("“{}”没有进行这一操作的权限", role.label()),
        }),
    }
}

/// [`viewer`] with the credentials.
pub async fn caller(request: &HttpRequest, state: &State) -> Result<Caller> {
    if let Some(known) = request.extensions().get::<Caller>() {
        return Ok(known.clone());
    }
    let caller = match (bearer(request)?, session_cookie(request)) {
        (Some(token), _) if is_operators(&token, state) => {
            Caller { viewer: Viewer::operator("http:admin"), account: None, login: None }
        }
        // Boxed: what a statement needs to wait is large, lies in every handler's future and is moved with it, credentials or none.
        (Some(token), _) => known(state, &format!("token {token}"), Box::pin(by_token(&token, state))).await?,
        (None, Some(secret)) => known(state, &format!("login {secret}"), Box::pin(by_login(&secret, state))).await?,
        (None, None) => Caller { viewer: Viewer::public(), account: None, login: None },
    };
    request.extensions_mut().insert(caller.clone());
    Ok(caller)
}

/// The caller of this credential as known lately, else as the database tells.
async fn known(state: &State, credential: &str, look: impl Future<Output = Result<Caller>>) -> Result<Caller> {
    if state.live.is_none() {
        return look.await;
    }
    match state.callers.find(credential) {
        Ok(caller) => Ok(caller),
        Err(permission) => {
            let caller = look.await?;
            state.callers.keep(credential, &caller, permission);
            Ok(caller)
        }
    }
}

async fn by_login(secret: &str, state: &State) -> Result<Caller> {
    let session = login::session(&state.pool, secret)
        .await?
        .ok_or_else(|| Error::Unauthenticated {
            code: "session_ended", detail: "登录已失效，请重新登录".to_owned()
        })?;
    Ok(Caller {
        viewer: Viewer {
            actor: format!("account:{}", session.account),
            role: session.role,
            jurisdiction: session.jurisdiction.clone(),
        },
        account: Some(session.account.clone()),
        login: Some(Login { secret: secret.to_owned(), session }),
    })
}

/// The token of the request; `None` where it brings no such header.
fn bearer(request: &HttpRequest) -> Result<Option<String>> {
    let Some(value) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
    let given = value
        .to_str()
        .ok()
        .and_then(|v| v.split_once(' '))
        // The scheme's name is not case-sensitive (RFC 9110, 11.1).
        .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then_some(token.trim()));
    given.map(|token| Some(token.to_owned())).ok_or_else(|| Error::Unauthenticated {
        code: "token_missing",
        detail: "请求头 Authorization 应为 Bearer <令牌>".to_owned(),
    })
}

async fn by_token(given: &str, state: &State) -> Result<Caller> {
    let token = tokens::present(&state.pool, given).await?;
    let viewer = Viewer {
        actor: format!("token:{}/{}", token.account, token.name),
        role: token.role,
        jurisdiction: token.jurisdiction,
    };
    Ok(Caller { viewer, account: Some(token.account), login: None })
}

fn is_operators(given: &str, state: &State) -> bool {
    let Some(wanted) = state.http.admin_token.as_deref().filter(|token| !token.is_empty()) else { return false };
    // Hashes are of one length, so the comparison tells nothing of the token's.
    let (given, wanted) = (Sha256::digest(given), Sha256::digest(wanted));
    given.ct_eq(&wanted).into()
}

/// A mark for ETags of what not everybody sees alike.
pub fn scope_mark(viewer: &Viewer) -> String {
    let digest = Sha256::digest(format!("{}:{}", viewer.role.as_str(), viewer.jurisdiction.setting()));
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// The value of the login's cookie, if the request brings one.
pub fn session_cookie(request: &HttpRequest) -> Option<String> {
    let lines = request.headers().get_all(header::COOKIE).filter_map(|line| line.to_str().ok());
    let value = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))?;
    (!value.is_empty() && value.len() <= 128).then(|| value.to_owned())
}

/// The cookie of a new login. `Strict`: a link from elsewhere opens the public pages, which then ask again by themselves.
pub fn login_cookie(request: &HttpRequest, state: &State, secret: &str, seconds: i64) -> String {
    let base = representation::base_url(request, state);
    let (scheme, rest) = base.split_once("://").unwrap_or(("http", ""));
    // Behind a proxy's prefix the cookie is for what lies below it, and for no other application of the host.
    let path = rest.find('/').map_or("/", |at| &rest[at..]);
    let secure = if scheme == "https" { "; Secure" } else { "" };
    format!("{COOKIE}={secret}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// Takes the login's cookie away.
pub fn forgetting_cookie(request: &HttpRequest) -> String {
    match request.app_data::<web::Data<State>>() {
        Some(state) => login_cookie(request, state, "", 0),
        None => format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"),
    }
}

/// Refuses a write that another site's page makes a browser send. Browsers say where a request comes from; programs bring
/// a token, which no foreign page can add.
pub fn refuse_foreign_writes(request: &HttpRequest, state: &State) -> Result<()> {
    let harmless = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if harmless || request.headers().contains_key(header::AUTHORIZATION) {
        return Ok(());
    }
    let said = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
    let base = representation::base_url(request, state);
    let own =
        base.split_once("://").map(|(scheme, rest)| format!("{scheme}://{}", rest.split('/').next().unwrap_or("")));
    let is_own = match (said("sec-fetch-site"), said("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => Some(origin) == own,
        // A login without either is a program's; a cookie without either is nobody's we know.
        (None, None) => session_cookie(request).is_none(),
    };
    if is_own {
        return Ok(());
    }
    Err(Error::Forbidden {
        code: "cross_site_request",
        detail: "带登录状态的写请求只能来自本服务的页面；程序请使用令牌".to_owned(),
    })
}

/// The client's address as failures are counted by: a whole /64 of IPv6, which is one connection's.
pub fn client_address(request: &HttpRequest, state: &State) -> String {
    match address_of(request, state) {
        Some(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Some(v4) => v4.to_string(),
        None => "unknown".to_owned(),
    }
}

/// The address that the request came from, as far as proxies are believed.
pub fn address_of(request: &HttpRequest, state: &State) -> Option<IpAddr> {
    let forwarded = state.http.trust_forwarded.then(|| {
        let connection = request.connection_info();
        connection.realip_remote_addr().and_then(parse_address)
    });
    let address = forwarded.flatten().or_else(|| request.peer_addr().map(|peer| peer.ip()));
    address.map(|address| address.to_canonical())
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(inside, _)| inside);
    bare.parse().ok().or_else(|| bare.rsplit_once(':').and_then(|(host, _)| host.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_proxies_write_them() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:8080", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("unknown", None),
            ("", None),
        ] {
            assert_eq!(parse_address(text).map(|a| a.to_string()).as_deref(), expected, "{text}");
        }
    }
}
