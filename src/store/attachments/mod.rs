//! Attachments of the ledgers' records: what each file is, and its bytes in parts.

mod contents;
mod verify;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use crate::domain::Ledger;
use crate::error::Result;

pub use contents::{PART_BYTES, read_part, write_part};
pub(super) use verify::broken_contents;

/// An attachment with who added it, and who removed it.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Attachment {
    pub ordinal: i32,
    pub county_code: String,
    pub kind: String,
    pub file_name: String,
    pub note: Option<String>,
    pub media_type: String,
    pub size_bytes: i64,
    pub sha256: String,
    pub added_by: String,
    pub added_at: DateTime<Utc>,
    pub added_revision: i64,
    pub removed_by: Option<String>,
    pub removed_at: Option<DateTime<Utc>>,
    pub removed_revision: Option<i64>,
    pub removed_reason: Option<String>,
}

/// An attachment to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAttachment<'a> {
    pub ordinal: i32,
    pub county: &'a str,
    pub kind: &'a str,
    pub file_name: &'a str,
    pub note: Option<&'a str>,
    pub media_type: &'a str,
    pub size_bytes: i64,
    pub sha256: &'a str,
}

/// The county of a record that stands or has stood; of one that ended on its first day, and so has no row, that of its attachments.
pub async fn county_of_record(connection: &mut PgConnection, ledger: Ledger, id: &str) -> Result<Option<String>> {
    let sql = format!("SELECT county_code FROM {} WHERE id = $1 ORDER BY valid_from DESC LIMIT 1", ledger.table());
    let of_record: Option<String> =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(id).fetch_optional(&mut *connection).await?;
    if of_record.is_some() {
        return Ok(of_record);
    }
    let of_papers = "SELECT county_code FROM attachment WHERE ledger = $1 AND record_id = $2 ORDER BY ordinal LIMIT 1";
    Ok(sqlx::query_scalar(of_papers).bind(ledger.table()).bind(id).fetch_optional(connection).await?)
}

/// Those of a record in the order in which they came; with those that were removed, where asked for.
pub async fn list(
    connection: &mut PgConnection,
    ledger: Ledger,
    record: &str,
    with_removed: bool,
) -> Result<Vec<Attachment>> {
    Ok(sqlx::query_as(
        "SELECT a.ordinal, a.county_code, a.kind, a.file_name, a.note, a.media_type, a.size_bytes, a.sha256,
                w.actor AS added_by, w.made_at AS added_at, a.added_revision,
                x.actor AS removed_by, x.made_at AS removed_at, a.removed_revision, a.removed_reason
         FROM attachment a
         JOIN revision w ON w.number = a.added_revision
         LEFT JOIN revision x ON x.number = a.removed_revision
         WHERE a.ledger = $1 AND a.record_id = $2 AND ($3 OR a.removed_revision IS NULL)
         ORDER BY a.ordinal",
    )
    .bind(ledger.table())
    .bind(record)
    .bind(with_removed)
    .fetch_all(connection)
    .await?)
}

/// Needs an open revision.
pub async fn insert(
    connection: &mut PgConnection,
    ledger: Ledger,
    record: &str,
    new: &NewAttachment<'_>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO attachment (ledger, record_id, ordinal, county_code, kind, file_name, note, media_type, size_bytes, sha256,
                                 added_revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, current_revision())",
    )
    .bind(ledger.table())
    .bind(record)
    .bind(new.ordinal)
    .bind(new.county)
    .bind(new.kind)
    .bind(new.file_name)
    .bind(new.note)
    .bind(new.media_type)
    .bind(new.size_bytes)
    .bind(new.sha256)
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends it; its content stays. Needs an open revision.
pub async fn remove(
    connection: &mut PgConnection,
    ledger: Ledger,
    record: &str,
    ordinal: i32,
    reason: Option<&str>,
) -> Result<()> {
    sqlx::query(
        "UPDATE attachment SET removed_revision = current_revision(), removed_reason = $4
         WHERE ledger = $1 AND record_id = $2 AND ordinal = $3 AND removed_revision IS NULL",
    )
    .bind(ledger.table())
    .bind(record)
    .bind(ordinal)
    .bind(reason)
    .execute(connection)
    .await?;
    Ok(())
}

/// Records that this revision has taken out of the ledgers for good while attachments stand on them: ledger and id, the first twenty.
pub async fn left_behind(connection: &mut PgConnection, revision: i64) -> Result<Vec<(String, String)>> {
    let gone = |ledger: Ledger| {
        format!(
            "SELECT a.ledger, a.record_id FROM attachment a
             WHERE a.ledger = '{table}' AND a.removed_revision IS NULL
               AND a.record_id IN (SELECT feature_id FROM change WHERE revision = $1 AND layer = '{table}')
               AND NOT EXISTS (SELECT 1 FROM {table} r WHERE r.id = a.record_id)",
            table = ledger.table()
        )
    };
    let sql = format!("{} ORDER BY 1, 2 LIMIT 20", Ledger::ALL.map(gone).join(" UNION "));
    Ok(sqlx::query_as(AssertSqlSafe(sql)).bind(revision).fetch_all(connection).await?)
}
