//! The bytes of attachments, a part at a time.

use sqlx::PgConnection;

use crate::error::Result;

/// Bytes of a part; the last one has what is left. The table's CHECK has the same number.
pub const PART_BYTES: usize = 1024 * 1024;

/// Keeps a part of a content; false where it was there already. Needs no revision: content is no row of the register, but what one names.
pub async fn write_part(
    connection: &mut PgConnection,
    county: &str,
    sha256: &str,
    part: i32,
    bytes: &[u8],
) -> Result<bool> {
    let written = sqlx::query(
        "INSERT INTO attachment_content (county_code, sha256, part, bytes) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(county)
    .bind(sha256)
    .bind(part)
    .bind(bytes)
    .execute(connection)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// A part of a content; `None` behind the last.
pub async fn read_part(
    connection: &mut PgConnection,
    county: &str,
    sha256: &str,
    part: i32,
) -> Result<Option<Vec<u8>>> {
    Ok(sqlx::query_scalar("SELECT bytes FROM attachment_content WHERE county_code = $1 AND sha256 = $2 AND part = $3")
        .bind(county)
        .bind(sha256)
        .bind(part)
        .fetch_optional(connection)
        .await?)
}
