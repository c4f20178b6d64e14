//! The part of the OpenAPI document about who asks: session, accounts, tokens.

use serde_json::{Map, Value, json};

use super::openapi::{JSON, Operation, limit_parameter, query, segment};
use super::openapi_schemas::reference;
use crate::domain::access::Role;
use crate::domain::account::{PASSWORD_MAX, PASSWORD_MIN};
use crate::inventory::accounts::tokens::{DAYS, MAX_DAYS};

/// By a token or by a login.
pub fn security() -> Value {
    json!([{"token": []}, {"session": []}])
}

fn secured(id: &str, tag: &str, summary: &str) -> Operation {
    Operation::new(id, tag, summary).field("security", security())
}

fn body(schema: &str) -> Value {
    json!({"required": true, "content": {JSON: {"schema": reference(schema)}}})
}

fn answer(operation: Operation, description: &str, schema: &str) -> Operation {
    operation.answers("200", description, &[(JSON, reference(schema))])
}

fn nothing(operation: Operation) -> Operation {
    operation.response("204", json!({"description": "完成"}))
}

pub fn paths(paths: &mut Map<String, Value>) {
    session_paths(paths);
    account_paths(paths);
    token_paths(paths);
}

/// What `/readyz` tells.
pub fn readiness() -> Value {
    json!({
        "type": "object", "required": ["status", "role", "revision"],
        "properties": {
            "status": {"type": "string"},
            "role": {"type": "string", "enum": ["primary", "replica"], "description": "数据库是主库还是只读副本"},
            "revision": {"type": "integer", "description": "最新的修订"},
            "lag_s": {"type": "number", "nullable": true, "description": "副本：至多落后主库多少秒；null 表示无从得知"},
            "receiving": {"type": "boolean", "description": "副本：此刻是否在接收主库的更改"}
        }
    })
}

fn session_paths(paths: &mut Map<String, Value>) {
    let who = answer(Operation::new("get_session", "access", "我是谁；没有登录时是公众"), "登录状态", "Session");
    let log_in = answer(Operation::new("log_in", "access", "登录；登录凭据在 Set-Cookie"), "登录状态", "Session")
        .field("requestBody", body("Login"))
        .errors(&["400", "401", "403", "413", "415", "429", "503"]);
    let log_out = nothing(Operation::new("log_out", "access", "退出登录")).errors(&["403"]);
    paths.insert(
        "/session".into(),
        json!({"get": who.errors(&["400", "401"]).0, "post": log_in.0, "delete": log_out.0}),
    );
    let change = nothing(secured("change_password", "access", "修改自己的密码；其他登录随之失效"))
        .field("requestBody", body("PasswordChange"))
        .errors(&["400", "401", "403", "413", "415", "429", "503"]);
    paths.insert("/session/password".into(), change.post());
}

fn account_paths(paths: &mut Map<String, Value>) {
    let errors = &["400", "401", "403", "404", "409", "413", "415"];
    let list = answer(secured("list_accounts", "accounts", "账号，按名称"), "一页账号", "AccountList")
        .parameters(vec![limit_parameter(), query("after", "只列名称在其后的账号", json!({"type": "string"}))])
        .errors(&["400", "401", "403"]);
    let create = secured("create_account", "accounts", "新建账号")
        .field("requestBody", body("NewAccount"))
        .answers("201", "账号；地址在 Location", &[(JSON, reference("Account"))])
        .errors(errors);
    paths.insert("/accounts".into(), json!({"get": list.0, "post": create.0}));
    let of_account = |id: &str, summary: &str| {
        secured(id, "accounts", summary).parameters(vec![segment("name", "账号名", "zhang.san")])
    };
    let get = answer(of_account("get_account", "一个账号"), "账号", "Account").errors(&["400", "401", "403", "404"]);
    let change =
        answer(of_account("change_account", "改变角色、管辖范围，停用、启用；没有给出的不变"), "账号", "Account")
            .field("requestBody", body("AccountChange"))
            .errors(errors);
    paths.insert("/accounts/{name}".into(), json!({"get": get.0, "patch": change.0}));
    let reset = nothing(of_account("reset_password", "重设密码；该账号的登录随之失效"))
        .field("requestBody", body("PasswordReset"))
        .errors(errors);
    paths.insert("/accounts/{name}/password".into(), reset.post());
    let unlock = answer(of_account("unlock_account", "解除登录锁定"), "账号", "Account");
    paths.insert("/accounts/{name}/unlock".into(), unlock.errors(&["400", "401", "403", "404"]).post());
}

fn token_paths(paths: &mut Map<String, Value>) {
    let before = query("before", "只列编号更小的令牌", json!({"type": "integer", "minimum": 1}));
    let list =
        answer(secured("list_tokens", "tokens", "自己的令牌；管理员看到全部"), "一页令牌，不含令牌本身", "TokenList")
            .parameters(vec![limit_parameter(), before])
            .errors(&["400", "401"]);
    let create = secured("create_token", "tokens", "签发令牌；令牌本身只在这次应答里")
        .field("requestBody", body("NewToken"))
        .answers("201", "令牌", &[(JSON, reference("IssuedToken"))])
        .errors(&["400", "401", "403", "404", "409", "413", "415"]);
    paths.insert("/tokens".into(), json!({"get": list.0, "post": create.0}));
    let revoke = nothing(secured("revoke_token", "tokens", "撤销令牌，立即生效"))
        .parameters(vec![segment("id", "令牌编号", "1")])
        .errors(&["400", "401", "403", "404"]);
    paths.insert("/tokens/{id}".into(), json!({"delete": revoke.0}));
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

fn roles(public: bool) -> Value {
    let roles: Vec<&str> = Role::ALL.into_iter().filter(|r| public || *r != Role::Public).map(Role::as_str).collect();
    json!({"type": "string", "enum": roles})
}

/// Schemas of what stands above.
pub fn schemas() -> Vec<(&'static str, Value)> {
    let text = |title: &str| json!({"type": "string", "title": title});
    let flag = |title: &str| json!({"type": "boolean", "title": title});
    let moment = |title: &str| json!({"type": "string", "format": "date-time", "title": title});
    let maybe_moment = |title: &str| json!({"type": "string", "format": "date-time", "nullable": true, "title": title});
    let divisions = json!({"type": "array", "items": {"type": "string", "pattern": "^([*]|[1-9][0-9]{5})$"}, "title": "管辖范围：行政区划代码，* 表示全部"});
    let password =
        json!({"type": "string", "format": "password", "minLength": PASSWORD_MIN, "maxLength": PASSWORD_MAX});
    let any_password = json!({"type": "string", "format": "password"});
    let number = json!({"type": "integer", "title": "编号"});
    let links = json!({"type": "array", "items": reference("Link")});
    let list = |name: &str, schema: &str| {
        object(
            &["numberReturned", name, "links"],
            json!({"numberReturned": {"type": "integer"}, name: {"type": "array", "items": reference(schema)}, "links": links}),
        )
    };
    let maybe_text = |title: &str| json!({"type": "string", "nullable": true, "title": title});
    let session = json!({
        "account": maybe_text("账号名"), "display_name": maybe_text("姓名或单位"), "role": roles(true), "divisions": divisions,
        "must_change_password": flag("应修改密码"), "expires": maybe_moment("登录到期"),
    });
    let account = json!({
        "name": text("账号名"), "display_name": text("姓名或单位"), "role": roles(false), "divisions": divisions,
        "disabled": flag("停用"), "must_change_password": flag("应修改密码"), "locked_until": maybe_moment("锁定到"),
        "created_at": moment("建立"), "password_changed_at": moment("密码修改"), "last_login_at": maybe_moment("上次登录"),
    });
    let token = json!({
        "id": number, "account": text("账号名"), "name": text("用途"), "role": roles(false), "divisions": divisions,
        "created_at": moment("签发"), "created_by": text("签发人"), "expires_at": moment("到期"),
        "revoked_at": maybe_moment("撤销"), "last_used_at": maybe_moment("上次使用"),
    });
    let mut issued = token.clone();
    issued["token"] = text("令牌本身，只显示这一次");
    let all = |properties: &Value| -> Vec<String> {
        properties.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect()
    };
    let whole = |properties: Value| {
        let names = all(&properties);
        object(&names.iter().map(String::as_str).collect::<Vec<_>>(), properties)
    };
    vec![
        ("Session", whole(session)),
        ("Login", object(&["account", "password"], json!({"account": text("账号名"), "password": any_password}))),
        (
            "PasswordChange",
            object(&["password", "new_password"], json!({"password": any_password, "new_password": password})),
        ),
        ("PasswordReset", object(&["password"], json!({"password": password}))),
        ("Account", whole(account)),
        ("AccountList", list("accounts", "Account")),
        (
            "NewAccount",
            object(
                &["name", "role", "password"],
                json!({
                    "name": text("账号名"), "display_name": text("姓名或单位"), "role": roles(false), "divisions": divisions, "password": password,
                }),
            ),
        ),
        (
            "AccountChange",
            object(
                &[],
                json!({
                    "display_name": text("姓名或单位"), "role": roles(false), "divisions": divisions, "disabled": flag("停用"),
                }),
            ),
        ),
        ("Token", whole(token)),
        ("IssuedToken", whole(issued)),
        ("TokenList", list("tokens", "Token")),
        (
            "NewToken",
            object(
                &["name"],
                json!({
                    "account": text("账号名；只有管理员可以写别人的"), "name": text("用途"), "role": roles(false), "divisions": divisions,
                    "days": {"type": "integer", "minimum": 1, "maximum": MAX_DAYS, "default": DAYS, "title": "有效天数"},
                }),
            ),
        ),
    ]
}
