//! Exports asked of `inventory` itself.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use sizhi::domain::access::Viewer;
use sizhi::domain::export::ExportFormat;
use sizhi::domain::items_query::{Filter, FilterValue, ItemsQuery};
use sizhi::domain::layer::Layer;
use sizhi::inventory::export::{self, ExportOptions, ExportRequest, INTERNAL_LIMIT};
use sizhi::inventory::progress::Silent;
use sizhi::layers::declaration;

use super::Database;

/// All of this layer in this format, for the operator.
pub fn of_layer(layer: &'static Layer, format: &str) -> ExportRequest {
    ExportRequest {
        layer,
        format: ExportFormat::parse(format).unwrap_or_else(|| panic!("no format {format}")),
        query: ItemsQuery::default(),
        limit: None,
        options: ExportOptions::default(),
        asked: String::new(),
        producer: "测试".to_owned(),
        at: chrono::DateTime::parse_from_rfc3339("2026-11-25T12:00:00Z").expect("a moment").to_utc(),
        viewer: Viewer::operator("test"),
        address: String::new(),
        internal_limit: INTERNAL_LIMIT,
    }
}

/// All blocks.
pub fn of(format: &str) -> ExportRequest {
    of_layer(declaration::find("park_blocks").expect("a layer"), format)
}

/// The blocks of one park.
pub fn of_park(mut request: ExportRequest, park: &str) -> ExportRequest {
    let property = request.layer.queryable("park_code").expect("a layer of blocks");
    request.query.filters.push(Filter { property, value: FilterValue::Text(park.to_owned()) });
    request
}

/// The whole file, and its rows.
pub async fn made(db: &Database, request: ExportRequest) -> (Vec<u8>, u64) {
    let format = request.format;
    let export = export::prepare(&db.pool, request).await.unwrap_or_else(|e| panic!("{format:?}: {e}"));
    let made = export.into_file(Duration::from_secs(60), Arc::new(Silent)).await;
    let mut made = made.unwrap_or_else(|e| panic!("{format:?}: {e}"));
    let mut bytes = Vec::new();
    made.file.read_to_end(&mut bytes).expect("readable");
    assert_eq!(bytes.len() as u64, made.size);
    (bytes, made.rows)
}

pub async fn bytes_of(db: &Database, request: ExportRequest) -> Vec<u8> {
    made(db, request).await.0
}
