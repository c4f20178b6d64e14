//! Reads behind the park directory: lists with filters and facets, and all that one park's card shows.

use std::collections::HashMap;

use chrono::NaiveDate;
use geo::MultiPolygon;
use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgPool};

use super::as_of;
use super::outlines::Shown;
use super::pool::{begin_read, begin_read_as};
use super::{blocks, geometry_column};
use crate::domain::access::Viewer;
use crate::domain::items_query::ItemsQuery;
use crate::domain::layer::Layer;
use crate::domain::{Block, ParkCode};
use crate::error::Result;

/// What the directory is asked; every part optional, joined by “and”.
#[derive(Debug, Clone, Default)]
pub struct DirectoryQuery {
    /// Division code: `430100`.
    pub prefecture: Option<String>,
    /// Division code; a statistical or superseded one means the county that it stands for.
    pub county: Option<String>,
    pub level: Option<String>,
    pub kind: Option<String>,
    pub industry: Option<String>,
    pub status: Option<String>,
    /// Text in name, alias, code or leading industry.
    pub text: Option<String>,
    pub sort: DirectorySort,
    pub descending: bool,
    pub limit: i64,
    pub offset: i64,
    /// The directory as of this revision; `None` = as it stands.
    pub revision: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DirectorySort {
    #[default]
    Code,
    Name,
    ApprovedArea,
    ComputedArea,
    Approved,
}

impl DirectorySort {
    /// The word of the `sort` parameter.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "code" => Some(Self::Code),
            "name" => Some(Self::Name),
            "approved_area" => Some(Self::ApprovedArea),
            "computed_area" => Some(Self::ComputedArea),
            "approved" => Some(Self::Approved),
            _ => None,
        }
    }

    /// The column that orders; names by pinyin, as ICU has it.
    fn order(self, descending: bool) -> &'static str {
        match (self, descending) {
            (Self::Code, false) => "code",
            (Self::Code, true) => "code DESC",
            (Self::Name, false) => "name COLLATE \"zh-x-icu\"",
            (Self::Name, true) => "name COLLATE \"zh-x-icu\" DESC",
            (Self::ApprovedArea, false) => "layer_parks.approved_area_ha NULLS LAST",
            (Self::ApprovedArea, true) => "layer_parks.approved_area_ha DESC NULLS LAST",
            (Self::ComputedArea, false) => "exact_area_m2 NULLS LAST",
            (Self::ComputedArea, true) => "exact_area_m2 DESC NULLS LAST",
            (Self::Approved, false) => "layer_parks.valid_from NULLS LAST",
            (Self::Approved, true) => "layer_parks.valid_from DESC NULLS LAST",
        }
    }
}

/// One row of the directory.
#[derive(Debug, Clone, FromRow)]
pub struct DirectoryRow {
    pub code: String,
    pub name: String,
    pub aliases: Vec<String>,
    pub level: String,
    #[sqlx(rename = "type")]
    pub kind: String,
    pub prefecture_code: String,
    pub prefecture_name: String,
    pub county_codes: Vec<String>,
    pub leading_industries: Vec<String>,
    pub approved_text: Option<String>,
    pub approved_area_ha: Option<f64>,
    pub stated_area_ha: Option<f64>,
    pub computed_area_m2: Option<f64>,
    pub block_count: i32,
    pub status: String,
    pub successor_code: Option<String>,
    pub illustrative: bool,
    pub source: String,
    pub valid_from: Option<NaiveDate>,
    pub valid_to: Option<NaiveDate>,
}

const MATCHES: &str = "
    ($1::text IS NULL OR prefecture_code = $1) AND ($2::text IS NULL OR coalesce((SELECT maps_to FROM division WHERE division.code = $2), $2) = ANY(county_codes)) AND ($3::text IS NULL OR level = $3)
    AND ($4::text IS NULL OR type = $4) AND ($5::text IS NULL OR $5 = ANY(leading_industries)) AND ($6::text IS NULL OR status = $6)
    AND ($7::text IS NULL OR strpos(lower(name || ' ' || code || ' ' || array_to_string(aliases, ' ') || ' ' || array_to_string(leading_industries, ' ')), lower($7)) > 0)";

const COLUMNS: &str = "code, name, aliases, level, type, prefecture_code, prefecture_name, county_codes, leading_industries, approved_text,
    approved_area_ha::float8 AS approved_area_ha, stated_area_ha::float8 AS stated_area_ha, exact_area_m2 AS computed_area_m2,
    block_count, status, successor_code, illustrative, source, valid_from, valid_to";

macro_rules! with_filters {
    ($query:expr, $q:expr) => {
        $query
            .bind(&$q.prefecture)
            .bind(&$q.county)
            .bind(&$q.level)
            .bind(&$q.kind)
            .bind(&$q.industry)
            .bind(&$q.status)
            .bind(&$q.text)
    };
}

/// One page of the directory, from one state of the register.
#[derive(Debug, Clone)]
pub struct DirectoryPage {
    pub rows: Vec<DirectoryRow>,
    /// All parks that match, on this page or not.
    pub matched: i64,
    /// Facet (`level`, `type`, `prefecture`), value, number of matching parks.
    pub facets: Vec<(String, String, i64)>,
    /// The revision whose state this is.
    pub revision: i64,
}

/// Rows, count and facets agree: they are read in one snapshot.
pub async fn list(pool: &PgPool, q: &DirectoryQuery) -> Result<DirectoryPage> {
    let mut transaction = begin_read(pool).await?;
    let revision = as_of::turn_back(&mut transaction, q.revision).await?;
    // All put together from this file's own constants.
    let count = format!("SELECT count(*) FROM layer_parks WHERE {MATCHES}");
    let matched: i64 =
        with_filters!(sqlx::query_scalar(sqlx::AssertSqlSafe(count)), q).fetch_one(&mut *transaction).await?;
    let order = q.sort.order(q.descending);
    let page = format!("SELECT {COLUMNS} FROM layer_parks WHERE {MATCHES} ORDER BY {order}, code LIMIT $8 OFFSET $9");
    let rows = with_filters!(sqlx::query_as(sqlx::AssertSqlSafe(page)), q)
        .bind(q.limit)
        .bind(q.offset)
        .fetch_all(&mut *transaction)
        .await?;
    let facets = format!(
        "WITH m AS (SELECT * FROM layer_parks WHERE {MATCHES})
         SELECT 'level', level, count(*) FROM m GROUP BY level
         UNION ALL SELECT 'type', type, count(*) FROM m GROUP BY type
         UNION ALL SELECT 'prefecture', prefecture_code || ' ' || prefecture_name, count(*) FROM m GROUP BY prefecture_code, prefecture_name
         ORDER BY 1, 2"
    );
    let facets = with_filters!(sqlx::query_as(sqlx::AssertSqlSafe(facets)), q).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(DirectoryPage { rows, matched, facets, revision })
}

/// All that a park's card needs.
#[derive(Debug, Clone)]
pub struct ParkCard {
    pub park: DirectoryRow,
    pub blocks: Vec<Block>,
    /// The boundary of each of them as the viewer is shown it; empty where it has none.
    pub boundaries: Vec<MultiPolygon<f64>>,
    /// Events, newest first, as JSON objects.
    pub events: Vec<Value>,
    /// What each published directory says of the park.
    pub directory_versions: Vec<Value>,
    /// The revision whose state this is.
    pub revision: i64,
}

/// The card of one park, read from one consistent state, as of a revision or as it stands; with boundaries as `blocks_layer` shows them to
/// the viewer.
pub async fn find(
    pool: &PgPool,
    viewer: &Viewer,
    blocks_layer: &Layer,
    code: &ParkCode,
    asked: Option<i64>,
) -> Result<Option<ParkCard>> {
    let mut transaction = begin_read_as(pool, viewer).await?;
    let revision = as_of::turn_back(&mut transaction, asked).await?;
    let sql = format!("SELECT {COLUMNS} FROM layer_parks WHERE code = $1");
    let park: Option<DirectoryRow> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(code.as_str()).fetch_optional(&mut *transaction).await?;
    let Some(park) = park else { return Ok(None) };
    let blocks = blocks::list_current(&mut transaction, Some(code)).await?;
    let boundaries = boundaries(&mut transaction, viewer, blocks_layer, &blocks, asked).await?;
    let events = sqlx::query_scalar(
        "SELECT jsonb_build_object('id', id, 'kind', kind, 'occurred', occurred_text, 'stage', stage, 'document_no', document_no,
             'area_before_ha', trim_scale(area_before_ha), 'area_out_ha', trim_scale(area_out_ha), 'area_in_ha', trim_scale(area_in_ha),
             'area_after_ha', trim_scale(area_after_ha), 'block_areas_ha', (SELECT coalesce(jsonb_agg(trim_scale(a)), '[]') FROM unnest(block_areas_ha) a),
             'related_park_codes', to_jsonb(related_park_codes), 'note', note, 'source', source)
         FROM park_event WHERE park_code = $1 ORDER BY occurred_on DESC NULLS LAST, occurred_text DESC NULLS LAST, id",
    )
    .bind(code.as_str())
    .fetch_all(&mut *transaction)
    .await?;
    let directory_versions = sqlx::query_scalar(
        "SELECT jsonb_build_object('id', v.id, 'title', v.title, 'document_no', v.document_no, 'issued_on', v.issued_on, 'serial', e.serial,
             'name', e.name, 'area_ha', trim_scale(e.area_ha), 'approved_text', e.approved_text,
             'leading_industries', to_jsonb(e.leading_industries), 'four_extents', e.four_extents, 'source', v.source)
         FROM directory_entry e JOIN directory_version v ON v.id = e.version_id WHERE e.park_code = $1
         ORDER BY v.issued_on DESC NULLS LAST, v.id",
    )
    .bind(code.as_str())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Some(ParkCard { park, blocks, boundaries, events, directory_versions, revision }))
}

async fn boundaries(
    connection: &mut PgConnection,
    viewer: &Viewer,
    layer: &Layer,
    blocks: &[Block],
    revision: Option<i64>,
) -> Result<Vec<MultiPolygon<f64>>> {
    let asked = ItemsQuery { revision, ..ItemsQuery::default() };
    let shown = Shown::to(connection, viewer, layer, &asked).await?;
    let Some(outlines) = shown.outlines() else { return Ok(blocks.iter().map(|b| b.boundary.clone()).collect()) };
    let outlines: HashMap<&str, Option<&[u8]>> = outlines.iter().collect();
    let outline = |block: &Block| match outlines.get(block.id.to_string().as_str()).copied().flatten() {
        Some(bytes) => geometry_column::decode(bytes),
        None => Ok(MultiPolygon(Vec::new())),
    };
    blocks.iter().map(outline).collect()
}
