//! Whole layers for memory: the register's state, every feature of a layer, and what was touched since.

use chrono::NaiveDate;
use futures_util::TryStreamExt as _;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Row as _, Transaction};
use tokio::sync::mpsc;

use super::features::{properties_query, row_of};
use super::pool::{IDLING, PLAN_ONCE, begin_read_with};
use super::row_text::{self, Texts};
use super::{as_of, changes, extra, geometry_column};
use crate::domain::Ledger;
use crate::domain::access::Viewer;
use crate::domain::layer::{Layer, Property, PropertyKind};
use crate::error::Result;
use crate::geometry::flat::FlatGeometry;

/// Rows that are handed on at once.
const BATCH: usize = 2_000;
/// Ids that are asked for at once.
const IDS: usize = 10_000;

/// Where the register stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The newest revision; 0 where there is none.
    pub revision: i64,
    /// The start of its hash: a register restored from a backup counts the same numbers again.
    pub hash: String,
    /// The day in China, by which timers go.
    pub day: NaiveDate,
}

/// A feature with all that memory holds of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerRow {
    pub id: String,
    pub from: Option<NaiveDate>,
    /// The revision that wrote its row; 0 where the layer has none.
    pub version: i64,
    pub properties: String,
    pub geometry: Option<FlatGeometry>,
    /// The division that decides who may see it.
    pub division: Option<String>,
    pub columns: Vec<Option<String>>,
}

/// How long a statement on a whole layer may take, and what is made of its rows.
const LONGEST: &str = "600s";

/// One state of the register, as one who sees all of it.
pub struct Reading(Transaction<'static, Postgres>);

impl Reading {
    pub async fn begin(pool: &PgPool) -> Result<Self> {
        // A large layer takes longer than a client's read may, and stays open while what was read is generalised. And the statements
        // that follow the log are the same after every edit: planned once for a connection, not each time for these very numbers, which
        // takes ten times as long as they do.
        let settings = [("statement_timeout", LONGEST), (IDLING, LONGEST), PLAN_ONCE];
        let transaction = begin_read_with(pool, &Viewer::operator("layers"), &settings).await?;
        Ok(Self(transaction))
    }

    pub async fn standing(&mut self) -> Result<Standing> {
        let (revision, hash, day): (i64, Option<String>, NaiveDate) = sqlx::query_as(
            "SELECT coalesce(max(number), 0), max(left(encode(hash, 'hex'), 8)), (now() AT TIME ZONE 'Asia/Shanghai')::date
             FROM (SELECT number, hash FROM revision ORDER BY number DESC LIMIT 1) newest",
        )
        .fetch_one(&mut *self.0)
        .await?;
        Ok(Standing { revision, hash: hash.unwrap_or_default(), day })
    }

    /// The tables that were touched from a standing to this revision; `None` where the register that this is has never stood so.
    pub async fn touched_tables(&mut self, since: &Standing, until: i64) -> Result<Option<Vec<String>>> {
        let sql = "SELECT ARRAY(SELECT DISTINCT layer FROM change WHERE revision > $1 AND revision <= $3)
                   WHERE $1 = 0 OR EXISTS (SELECT 1 FROM revision WHERE number = $1 AND left(encode(hash, 'hex'), 8) = $2)";
        let query = sqlx::query_scalar(sql).bind(since.revision).bind(&since.hash).bind(until);
        Ok(query.fetch_optional(&mut *self.0).await?)
    }

    /// The features of a layer that rows of these tables touched in these revisions.
    pub async fn touched(&mut self, layer: &Layer, tables: &[String], since: i64, until: i64) -> Result<Vec<String>> {
        changes::touched_ids(&mut self.0, layer, tables, since, until).await
    }

    /// Every current feature, handed on in batches as they come; ends early where nobody takes them.
    pub async fn all(
        &mut self,
        layer: &Layer,
        columns: &[&'static Property],
        take: mpsc::Sender<Vec<LayerRow>>,
    ) -> Result<()> {
        let sql = statement(layer, columns, "");
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut *self.0);
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(row) = rows.try_next().await? {
            batch.push(of_row(layer, columns, &row)?);
            if batch.len() == BATCH
                && take.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).await.is_err()
            {
                return Ok(());
            }
        }
        let _ = take.send(batch).await;
        Ok(())
    }

    /// Those of these features that are current.
    pub async fn some(
        &mut self,
        layer: &Layer,
        columns: &[&'static Property],
        ids: &[String],
    ) -> Result<Vec<LayerRow>> {
        let sql = statement(layer, columns, &format!(" AND {}", extra::is_one_of(layer, "$1")));
        let mut rows = Vec::with_capacity(ids.len());
        for some in ids.chunks(IDS) {
            let found = sqlx::query(AssertSqlSafe(sql.clone())).bind(some).fetch_all(&mut *self.0).await?;
            for row in &found {
                rows.push(of_row(layer, columns, row)?);
            }
        }
        Ok(rows)
    }

    pub async fn end(self) -> Result<()> {
        Ok(self.0.commit().await?)
    }

    /// For what else is to be read from the same state.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

/// An operator's properties come as JSON, and as texts those that memory keeps by themselves; the register's all as texts.
fn of_row(layer: &Layer, columns: &[&'static Property], row: &PgRow) -> Result<LayerRow> {
    let texts: Texts<'_> = row.try_get(4)?;
    let (properties, columns) = match row.try_get(3)? {
        Some(json) => (json, texts.all()),
        None => (texts.properties(layer)?, texts.columns(layer, columns)),
    };
    let geometry: Option<&[u8]> = row.try_get(5)?;
    let geometry = geometry.and_then(geometry_column::decode_shown).filter(|geometry| !geometry.is_empty());
    let (id, from, version, division) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(6)?);
    Ok(LayerRow { id, from, version, properties, geometry, division, columns })
}

fn statement(layer: &Layer, columns: &[&'static Property], further: &str) -> String {
    let (relation, current) = (as_of::relation(layer, None), changes::current(layer));
    let Some(_) = layer.extra else {
        let version = if Ledger::of_layer(layer.id).is_some() { "row_revision::bigint" } else { "0::bigint" };
        let division = layer.division_property().and_then(|name| layer.property(name));
        let division = division.map_or("NULL".to_owned(), |property| property.column.to_owned());
        return format!(
            "SELECT feature_id, valid_from, {version}, NULL::text, {}, ST_AsEWKB(geom), {division}::text
             FROM {relation} WHERE {current}{further}",
            row_text::texts(layer),
        );
    };
    let column = |p: &&'static Property| match p.kind {
        PropertyKind::TextList | PropertyKind::NumberList => format!("to_json({})::text", p.column),
        _ => format!("{}::text", p.column),
    };
    // The properties are a row of the join and no subquery, which PostgreSQL would not give to workers of its own; they are most of the work.
    // (No column of a relation has these names: `layers::extra` keeps them free.)
    format!(
        "SELECT sizhi_id, sizhi_from, sizhi_version, row_to_json({row})::text, sizhi_columns, sizhi_geom, sizhi_division
         FROM (SELECT feature_id AS sizhi_id, valid_from AS sizhi_from, 0::bigint AS sizhi_version, ST_AsEWKB(geom) AS sizhi_geom,
                      access_division AS sizhi_division, ARRAY[{}]::text[] AS sizhi_columns, *
               FROM {relation} WHERE {current}{further}) x,
              LATERAL ({}) {row}",
        columns.iter().map(column).collect::<Vec<_>>().join(", "),
        properties_query(layer, ""),
        row = row_of(layer),
    )
}
