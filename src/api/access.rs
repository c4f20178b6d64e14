//! The rule of every address: who may use which of its methods. Data beside the URL table, asked in one place, before the
//! handler; the access matrix of the tests is generated from it.

use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Resource, web};

use super::auth;
use super::problem::Problem;
use super::replica;
use super::state::State;
use crate::domain::access::Role;
use crate::error::{Error, Result};

/// Time to find out who asks; the database's own limits do not count while it hangs.
const LOOK_UP_TIME: Duration = Duration::from_secs(3);

/// Who may use an address by a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Everybody, and nobody is asked who they are: the answer is the same, or the handler is the login itself.
    Open,
    /// Everybody; what is shown may depend on who asks.
    Public,
    /// Whoever has an account or the operator's token; the handler keeps each to their own things.
    Own,
    /// 查询人员 and above.
    Staff,
    /// 规划人员, 编辑人员 and administrators: whoever checks boundaries.
    Planner,
    /// 编辑人员 and administrators.
    Editor,
    /// 管理员.
    Admin,
}

/// One method of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub method: Method,
    pub path: &'static str,
    pub rule: Rule,
}

/// An address with the rules of its methods.
pub struct Ruled {
    pub resource: Resource,
    pub path: &'static str,
    pub rules: Vec<(Method, Rule)>,
}

/// The URL table while it is written: resources and their rules can only be added together.
pub struct Routes<'a> {
    config: Option<&'a mut web::ServiceConfig>,
    pub accesses: Vec<Access>,
}

impl<'a> Routes<'a> {
    /// To be served.
    pub fn to_serve(config: &'a mut web::ServiceConfig) -> Self {
        Self { config: Some(config), accesses: Vec::new() }
    }

    /// To be read.
    pub fn to_read() -> Self {
        Self { config: None, accesses: Vec::new() }
    }

    pub fn service(&mut self, ruled: Ruled) -> &mut Self {
        let Ruled { resource, path, rules } = ruled;
        self.accesses.extend(rules.iter().map(|(method, rule)| Access { method: method.clone(), path, rule: *rule }));
        if let Some(config) = self.config.as_mut() {
            config.service(resource.wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| {
                // Another method is refused behind this, by the resource itself.
                let rule = rules.iter().find(|(method, _)| method == request.method()).map(|(_, rule)| *rule);
                enforce(rule, request, next)
            })));
        }
        self
    }
}

/// Asks the rule, then the handler. What somebody was shown by their credentials is for no shared cache.
pub(super) async fn enforce(
    rule: Option<Rule>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> std::result::Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let (Some(rule), Some(state)) = (rule, request.app_data::<web::Data<State>>().cloned()) else {
        return next.call(request).await;
    };
    let asked = tokio::time::timeout(LOOK_UP_TIME, ask(rule, &request, &state)).await;
    match asked {
        Err(_) => return Ok(request.error_response(Problem::too_long())),
        Ok(Err(error)) => return Ok(request.error_response(Problem::from(error))),
        Ok(Ok(())) => {}
    }
    if let Err(refused) = replica::refuse_write(&request, &state) {
        return Ok(request.error_response(Problem::from(refused)));
    }
    if rule != Rule::Open
        && let Err(behind) = replica::wait_for_revision(&request, &state).await
    {
        return Ok(request.error_response(Problem::from(behind)));
    }
    let named =
        request.headers().contains_key(header::AUTHORIZATION) || auth::session_cookie(request.request()).is_some();
    let mut answered = next.call(request).await?;
    if rule != Rule::Open {
        let headers = answered.headers_mut();
        // One line: the layers outside read but the first.
        let vary = match headers.get(header::VARY).and_then(|vary| vary.to_str().ok()) {
            None => Ok(HeaderValue::from_static("Authorization, Cookie")),
            Some(said) => HeaderValue::from_str(&[said, "Authorization, Cookie"].join(", ")),
        };
        if let Ok(vary) = vary {
            headers.insert(header::VARY, vary);
        }
        if named && headers.get(header::CACHE_CONTROL).is_some_and(|said| said != "no-store") {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        }
    }
    Ok(answered)
}

async fn ask(rule: Rule, request: &ServiceRequest, state: &State) -> Result<()> {
    let request = request.request();
    auth::refuse_foreign_writes(request, state)?;
    match rule {
        Rule::Open => Ok(()),
        Rule::Public => auth::viewer(request, state).await.map(drop),
        // The operator's token reads too: it has every right of an administrator.
        Rule::Own | Rule::Staff => auth::staff(request, state).await.map(drop),
        Rule::Planner => auth::planner(request, state).await.map(drop),
        Rule::Editor => auth::editor(request, state).await.map(drop),
        Rule::Admin => auth::admin(request, state).await.map(drop),
    }
}

/// The account that a deed is about: the caller's own; another's only for administrators. `None`: all.
pub fn own_or_all(caller: &auth::Caller) -> Result<Option<&str>> {
    match (caller.viewer.role, caller.account.as_deref()) {
        (Role::Admin, _) => Ok(None),
        (_, Some(account)) => Ok(Some(account)),
        (_, None) => Err(Error::Unauthenticated { code: "token_missing", detail: "需要登录".to_owned() }),
    }
}
