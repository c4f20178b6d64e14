//! Who may write: for now the holder of `SIZHI_ADMIN_TOKEN`. Accounts come with the parcel ledgers.

use actix_web::HttpRequest;
use actix_web::http::header;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::state::State;
use crate::domain::access::Viewer;
use crate::error::{Error, Result};

/// Who asks. Without credentials: the public; with wrong ones: an error.
pub async fn viewer(request: &HttpRequest, state: &State) -> Result<Viewer> {
    if request.headers().contains_key(header::AUTHORIZATION) {
        writer(request, state).map(|actor| Viewer::operator(&actor))
    } else {
        Ok(Viewer::public())
    }
}

/// The actor for the revision log, or why there is none.
pub fn writer(request: &HttpRequest, state: &State) -> Result<String> {
    let Some(wanted) = state.http.admin_token.as_deref().filter(|t| !t.is_empty()) else {
        return Err(Error::Forbidden {
            code: "writing_closed",
            detail: "写接口没有开放；请运维人员设置环境变量 SIZHI_ADMIN_TOKEN 后重启服务".to_owned(),
        });
    };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split_once(' '))
        // The scheme's name is not case-sensitive (RFC 9110, 11.1).
        .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then_some(token));
    let Some(given) = given else {
        return Err(Error::Unauthenticated {
            code: "token_missing",
            detail: "需要令牌：请在请求头加 Authorization: Bearer <令牌>".to_owned(),
        });
    };
    // Hashes are of one length, so the comparison tells nothing of the token's.
    let (given, wanted) = (Sha256::digest(given.trim()), Sha256::digest(wanted));
    if bool::from(given.ct_eq(&wanted)) {
        Ok("http:admin".to_owned())
    } else {
        Err(Error::Unauthenticated { code: "token_wrong", detail: "令牌不正确".to_owned() })
    }
}
