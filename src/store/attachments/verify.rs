//! Whether the content of every attachment is still what its row says, a part at a time.

use futures_util::TryStreamExt as _;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::error::Result;
use crate::store::audit::BadRow;

/// Contents named; the rest is not looked up.
const NAMED: usize = 100;

/// County and hash.
type Content = (String, String);

/// The contents that were looked at, and the attachments of those that are not what they were.
pub async fn broken_contents(connection: &mut PgConnection) -> Result<(i64, Vec<BadRow>)> {
    let mut look = Look::default();
    {
        // By the primary key, which brings the parts in order; one that no attachment names is nobody's.
        let mut parts = sqlx::query_as::<_, (String, String, Option<Vec<u8>>)>(
            "SELECT a.county_code, a.sha256, c.bytes
             FROM (SELECT DISTINCT county_code, sha256 FROM attachment) a LEFT JOIN attachment_content c USING (county_code, sha256)
             ORDER BY a.county_code, a.sha256, c.part",
        )
        .fetch(&mut *connection);
        while let Some((county, sha256, bytes)) = parts.try_next().await? {
            look.part((county, sha256), bytes.as_deref());
        }
    }
    look.end();
    let (counties, hashes): (Vec<String>, Vec<String>) = look.broken.iter().map(|(content, _)| content.clone()).unzip();
    let rows: Vec<(i64, String, String, String)> = sqlx::query_as(
        "SELECT added_revision, ledger || '@' || record_id || '@' || ordinal, county_code, sha256 FROM attachment
         WHERE (county_code, sha256) IN (SELECT * FROM unnest($1::text[], $2::text[])) ORDER BY added_revision, ledger, record_id, ordinal",
    )
    .bind(counties)
    .bind(hashes)
    .fetch_all(connection)
    .await?;
    let told = |(revision, id, county, sha256): (i64, String, String, String)| {
        let what = look.broken.iter().find(|((c, s), _)| *c == county && *s == sha256).map_or("", |(_, what)| *what);
        BadRow {
            revision: Some(revision),
            ordinal: None,
            layer: Some("attachment".to_owned()),
            feature_id: Some(id),
            what: what.to_owned(),
        }
    };
    Ok((look.count, rows.into_iter().map(told).collect()))
}

/// What was seen so far: the content whose parts come, and those that were found broken.
#[derive(Default)]
struct Look {
    count: i64,
    current: Option<(Content, Sha256, bool)>,
    broken: Vec<(Content, &'static str)>,
}

impl Look {
    fn part(&mut self, content: Content, bytes: Option<&[u8]>) {
        if self.current.as_ref().is_none_or(|(current, ..)| *current != content) {
            self.end();
            self.current = Some((content, Sha256::new(), false));
        }
        if let (Some((_, hasher, has_parts)), Some(bytes)) = (&mut self.current, bytes) {
            hasher.update(bytes);
            *has_parts = true;
        }
    }

    fn end(&mut self) {
        let Some((content, hasher, has_parts)) = self.current.take() else { return };
        self.count += 1;
        let what = match has_parts {
            false => "content_missing",
            true if format!("{:x}", hasher.finalize()) != content.1 => "content_altered",
            true => return,
        };
        if self.broken.len() < NAMED {
            self.broken.push((content, what));
        }
    }
}
