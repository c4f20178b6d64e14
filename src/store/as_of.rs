//! The register as of a revision or a day: which relation to read, and the settings that its views go by.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};

use super::extra;
use crate::domain::items_query::Period;
use crate::domain::layer::Layer;
use crate::error::{Error, Result};

/// The relation of a layer, as it stands or as of a revision ([`look_back`] says of which). An extra layer has no past; its relation has
/// an alias of its own.
pub fn relation(layer: &Layer, revision: Option<i64>) -> String {
    if let Some(table) = layer.extra {
        return extra::relation(layer, table);
    }
    let schema = if revision.is_some() { "as_of" } else { "public" };
    format!("{schema}.{}", layer.relation)
}

/// Settles what this transaction asks about, and tells the revision whose state it reads. Of a period it is the last day:
/// what is put together from several rows (a park from its blocks) is shown as it was then.
pub async fn look_back(connection: &mut PgConnection, revision: Option<i64>, period: Option<Period>) -> Result<i64> {
    if let Some((_, Some(day))) = period {
        let day = day.to_string();
        sqlx::query("SELECT set_config('sizhi.on_day', $1, true)").bind(day).execute(&mut *connection).await?;
    }
    match revision {
        Some(revision) => {
            set(connection, revision).await?;
            Ok(revision)
        }
        None => newest(connection).await,
    }
}

/// Lets every table and view that this transaction names without a schema mean the one of the past; tells the revision that is read.
/// For reads that name many.
pub async fn turn_back(connection: &mut PgConnection, revision: Option<i64>) -> Result<i64> {
    if revision.is_some() {
        sqlx::query("SELECT set_config('search_path', 'as_of, public', true)").execute(&mut *connection).await?;
    }
    look_back(connection, revision, None).await
}

/// The views of `as_of` show this revision from here on, to the end of the transaction.
pub async fn set(connection: &mut PgConnection, revision: i64) -> Result<()> {
    sqlx::query("SELECT set_config('sizhi.as_of', $1, true)").bind(revision.to_string()).execute(connection).await?;
    Ok(())
}

/// The number of the newest revision; 0 where there is none.
pub async fn newest(connection: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT coalesce(max(number), 0) FROM revision").fetch_one(connection).await?)
}

/// Which revision a client means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Number(i64),
    /// The last one made by then.
    By(DateTime<Utc>),
    /// The last one made on this day of China or before.
    On(NaiveDate),
}

/// The number that is meant. One that is not made yet is an error; before the first one the register is empty: 0.
pub async fn resolve(pool: &PgPool, asked: Asked) -> Result<i64> {
    let unknown = |newest: i64| {
        Error::invalid("revision_unknown", format!("revision 所指的修订还没有产生；最新的修订是 {newest}"))
    };
    let mut connection = pool.acquire().await?;
    let newest = newest(&mut connection).await?;
    let sql = match asked {
        Asked::Number(number) if number <= newest => return Ok(number),
        Asked::Number(_) => return Err(unknown(newest)),
        Asked::By(_) => {
            "SELECT $1 <= clock_timestamp(), coalesce((SELECT max(number) FROM revision WHERE made_at <= $1), 0)"
        }
        // Days begin at midnight in China, which has known no summer time since 1991.
        Asked::On(_) => {
            "SELECT $1 - interval '1 day' <= clock_timestamp(), coalesce((SELECT max(number) FROM revision WHERE made_at < $1), 0)"
        }
    };
    let moment = match asked {
        Asked::On(day) => day.succ_opt().and_then(|next| next.and_hms_opt(0, 0, 0)).map(|m| m.and_utc() - EIGHT_HOURS),
        Asked::By(moment) => Some(moment),
        Asked::Number(_) => None,
    };
    let moment = moment.ok_or_else(|| unknown(newest))?;
    let (made, number): (bool, i64) = sqlx::query_as(sql).bind(moment).fetch_one(&mut *connection).await?;
    if made { Ok(number) } else { Err(unknown(newest)) }
}

/// China is ahead of UTC by this.
const EIGHT_HOURS: chrono::TimeDelta = chrono::TimeDelta::hours(8);

/// A mark of a revision (of the newest, where none is named), for ETags: its number, and the start of its hash, since a
/// register restored from an older backup counts the same numbers again.
pub async fn mark(pool: &PgPool, revision: Option<i64>) -> Result<String> {
    let mark: Option<Option<String>> = sqlx::query_scalar(
        "SELECT number || '-' || left(encode(hash, 'hex'), 8) FROM revision
         WHERE number <= coalesce($1, number) ORDER BY number DESC LIMIT 1",
    )
    .bind(revision)
    .fetch_optional(pool)
    .await?;
    Ok(mark.flatten().unwrap_or_else(|| "0".to_owned()))
}

/// Whether a [`mark`] of these parts was ever given out by the register that this is: not, where one restored from a backup has come to
/// the number by another way.
pub async fn is_marked(pool: &PgPool, number: i64, hash: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM revision WHERE number = $1 AND left(encode(hash, 'hex'), 8) = $2)";
    Ok(sqlx::query_scalar(sql).bind(number).bind(hash).fetch_one(pool).await?)
}
