//! The kinds of control lines as data: what each weighs and demands, put by whoever is responsible everywhere. An edit is one revision.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::ledgers::{self, Deed, Done};
use super::peoples_text;
use crate::domain::access::{Jurisdiction, Viewer};
use crate::domain::control_zone::{ZoneKind, is_kind_code};
use crate::error::{Error, Result};
use crate::store::control_zones::{self, StoredKind};
use crate::store::{self, as_of};

/// Characters of a name and of a rule.
const NAME_LENGTH: usize = 100;
const RULE_LENGTH: usize = 4_000;

/// Every kind, and the revision that was read; `revision` = as the register said then.
pub async fn list(pool: &PgPool, viewer: &Viewer, revision: Option<i64>) -> Result<(Vec<StoredKind>, i64)> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let read = as_of::turn_back(&mut transaction, revision).await?;
    let found = control_zones::list_kinds(&mut transaction).await?;
    transaction.commit().await?;
    Ok((found, read))
}

/// One kind, and the revision that was read.
pub async fn find(pool: &PgPool, viewer: &Viewer, code: &str, revision: Option<i64>) -> Result<(StoredKind, i64)> {
    let (all, read) = list(pool, viewer, revision).await?;
    let found = all.into_iter().find(|stored| stored.kind.code == code);
    Ok((found.ok_or_else(|| not_found(code))?, read))
}

/// Puts what a kind weighs and demands; a code that none has is one more kind, where the deed expects none.
pub async fn put(pool: &PgPool, deed: &Deed<'_>, kind: ZoneKind, expect_none: bool) -> Result<Done> {
    check_jurisdiction(deed.viewer)?;
    let kind = checked(kind)?;
    let (mut transaction, done) = ledgers::begin(pool, deed).await?;
    if let Some(done) = done {
        return Ok(done);
    }
    let standing = control_zones::list_kinds(&mut transaction).await?;
    let standing = standing.into_iter().find(|stored| stored.kind.code == kind.code);
    match (&standing, expect_none) {
        (Some(_), true) => return Err(stale(&kind.code)),
        (None, true) => {}
        (Some(stored), false) => check_version(deed, stored)?,
        (None, false) => return Err(not_found(&kind.code)),
    }
    let (id, created) = (kind.code.clone(), standing.is_none());
    if standing.is_some_and(|stored| stored.kind == kind) {
        let unchanged = Done { id, created, revision: None, replayed: false };
        return ledgers::finish(transaction, deed, unchanged).await;
    }
    let verb = if created { "增加" } else { "修改" };
    let revision =
        ledgers::open(&mut transaction, deed, &format!("{verb}管控类型 {}（{}）", kind.code, kind.name)).await?;
    control_zones::put_kind(&mut transaction, &kind, &deed.source).await?;
    ledgers::finish(transaction, deed, Done { id, created, revision: Some(revision), replayed: false }).await
}

/// Takes back what was said of a kind: one of the program's is again as the program brings it, another one is no more.
pub async fn end(pool: &PgPool, deed: &Deed<'_>, code: &str) -> Result<Done> {
    check_jurisdiction(deed.viewer)?;
    let (mut transaction, done) = ledgers::begin(pool, deed).await?;
    if let Some(done) = done {
        return Ok(done);
    }
    let standing = control_zones::list_kinds(&mut transaction).await?;
    let standing = standing.into_iter().find(|stored| stored.kind.code == code).ok_or_else(|| not_found(code))?;
    check_version(deed, &standing)?;
    if standing.source.is_none() {
        return Err(Error::conflict("kind_is_default", format!("管控类型 {code} 是程序自带的，没有改动过，无可删除")));
    }
    let zones = control_zones::count_of_kind(&mut transaction, code).await?;
    if !standing.is_default && zones > 0 {
        let detail = format!("管控类型 {code} 还有 {zones} 个管控区域，不能删除");
        return Err(Error::conflict("kind_in_use", detail));
    }
    let revision = ledgers::open(&mut transaction, deed, &format!("删除管控类型 {code} 的设定")).await?;
    control_zones::remove_kind(&mut transaction, code).await?;
    let done = Done { id: code.to_owned(), created: false, revision: Some(revision), replayed: false };
    ledgers::finish(transaction, deed, done).await
}

/// What a kind weighs holds for every county's checks.
fn check_jurisdiction(viewer: &Viewer) -> Result<()> {
    if viewer.jurisdiction == Jurisdiction::Everywhere {
        return Ok(());
    }
    let detail = "管控类型对全省的检查都起作用，只有管辖全部范围的人员可以改动".to_owned();
    Err(Error::Forbidden { code: "outside_jurisdiction", detail })
}

fn checked(kind: ZoneKind) -> Result<ZoneKind> {
    let text = |name: &str, given: &str, most: usize, needed: bool| {
        let text = peoples_text::line(name, given, most)?;
        if needed && text.is_empty() {
            return Err(Error::invalid("value_invalid", format!("{name} 应为 1 至 {most} 个字")));
        }
        Ok(text)
    };
    if !is_kind_code(&kind.code) {
        let detail = "管控类型代码应以小写字母开头，只含小写字母、数字和下划线，至多 40 个字符";
        return Err(Error::invalid("value_invalid", detail));
    }
    Ok(ZoneKind {
        name: text("name", &kind.name, NAME_LENGTH, true)?,
        name_en: text("name_en", &kind.name_en, NAME_LENGTH, true)?,
        rule: text("rule", &kind.rule, RULE_LENGTH, false)?,
        document: text("document", &kind.document, NAME_LENGTH, false)?,
        ..kind
    })
}

fn check_version(deed: &Deed<'_>, standing: &StoredKind) -> Result<()> {
    match deed.version {
        None => Err(Error::VersionMissing {
            detail: "修改前请先取得该管控类型，并在 If-Match 请求头中带上它的 ETag；新增的用 If-None-Match: *"
                .to_owned(),
        }),
        Some(version) if version == standing.version => Ok(()),
        Some(_) => Err(stale(&standing.kind.code)),
    }
}

fn stale(code: &str) -> Error {
    Error::Stale {
        detail: format!("管控类型 {code} 在您取得之后又有变动；请核对后再提交，现在的内容见 current")
    }
}

fn not_found(code: &str) -> Error {
    let shown: String = code.chars().filter(|c| !c.is_control()).take(40).collect();
    Error::not_found("kind_not_found", format!("没有管控类型“{shown}”"))
}

/// A kind as JSON, without links.
pub fn kind_json(stored: &StoredKind) -> Value {
    let kind = &stored.kind;
    json!({
        "code": kind.code,
        "name": kind.name,
        "name_en": kind.name_en,
        "effect": kind.effect.as_str(),
        "effect_label": kind.effect.label(),
        "park_weight": kind.park_weight.as_str(),
        "parcel_weight": kind.parcel_weight.as_str(),
        "rule": kind.rule,
        "document": kind.document,
        "is_default": stored.is_default,
        "source": stored.source,
        "version": stored.version,
    })
}
