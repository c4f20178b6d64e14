//! Reading the features of a tile from the database: for layers that are not held in memory.

use sqlx::{AssertSqlSafe, PgPool};

use super::conditions::{bind, conditions, parameter_count, relation};
use super::features::{FeatureRow, Row, row_columns};
use super::outlines::Shown;
use super::pool::begin_read_as;
use crate::domain::access::Viewer;
use crate::domain::items_query::{Bbox, ItemsQuery};
use crate::domain::layer::Layer;
use crate::error::{Error, Result};

/// Features of one tile: what a request may hold in memory (reliability.md G5).
const MAX_ROWS: i64 = 100_000;

/// The layer's current features that meet the box, by their ids.
pub async fn list(pool: &PgPool, viewer: &Viewer, layer: &Layer, bbox: Bbox) -> Result<Vec<FeatureRow>> {
    let query = ItemsQuery { boxes: vec![bbox], ..ItemsQuery::default() };
    let mut transaction = begin_read_as(pool, viewer).await?;
    let shown = Shown::to(&mut transaction, viewer, layer, &query).await?;
    let sql = format!(
        "SELECT {} FROM {} WHERE {} ORDER BY feature_id COLLATE \"C\" LIMIT ${}",
        row_columns(layer),
        relation(&shown),
        conditions(&shown, &query),
        parameter_count(&shown, &query) + 1
    );
    let rows = bind(sqlx::query_as(AssertSqlSafe(sql)), &shown, &query).bind(MAX_ROWS + 1);
    let rows: Vec<Row> = rows.fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    if rows.len() as i64 > MAX_ROWS {
        return Err(Error::too_large("tile_too_large", format!("这张瓦片里的要素超过 {MAX_ROWS} 个；请放大后再取")));
    }
    rows.into_iter().map(|row| FeatureRow::of(row, Vec::new())).collect()
}
