//! What lies around a proposed boundary: parcels that the caller may see, blocks of other parks, divisions.

use geo::MultiPolygon;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::domain::{Ledger, ParkCode};
use crate::error::Result;
use crate::store::geometry_column;

/// A parcel that stands in a ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct NearParcel {
    pub ledger: Ledger,
    pub id: String,
    pub name: Option<String>,
    pub state: String,
    pub land_use_system: Option<String>,
    pub land_use_code: Option<String>,
    pub boundary: MultiPolygon<f64>,
    /// Ellipsoidal, m².
    pub area_m2: f64,
}

/// A current block of another park.
#[derive(Debug, Clone, PartialEq)]
pub struct NearBlock {
    pub id: String,
    pub park_name: String,
    pub name: Option<String>,
    pub illustrative: bool,
    pub boundary: MultiPolygon<f64>,
}

/// A prefecture or a county that has an outline.
#[derive(Debug, Clone, PartialEq)]
pub struct NearDivision {
    pub code: String,
    pub name: String,
    pub is_county: bool,
    pub outline: MultiPolygon<f64>,
}

/// Boxes as the statements take them: four parallel arrays, west, south, east, north.
fn sides(boxes: &[[f64; 4]]) -> [Vec<f64>; 4] {
    [0, 1, 2, 3].map(|at| boxes.iter().map(|bbox| bbox[at]).collect())
}

/// Rows of a table whose box meets one of the boxes $1 to $4. (OFFSET 0: the index is asked once a box.)
macro_rules! meeting {
    ($key:literal, $table:literal) => {
        concat!(
            $key,
            " IN (SELECT c.key FROM unnest($1::float8[], $2::float8[], $3::float8[], $4::float8[]) AS b (w, s, e, n),
                LATERAL (SELECT p.",
            $key,
            " AS key FROM ",
            $table,
            " p WHERE p.geom && ST_MakeEnvelope(b.w, b.s, b.e, b.n, 4490) OFFSET 0) c)"
        )
    };
}

type ParcelRow = (String, Option<String>, String, Option<String>, Option<String>, Vec<u8>, f64);

/// Standing parcels of a ledger whose boxes meet one of these, by id; at most so many and one more.
pub async fn parcels_around(
    connection: &mut PgConnection,
    ledger: Ledger,
    boxes: &[[f64; 4]],
    most: usize,
) -> Result<Vec<NearParcel>> {
    let meeting = match ledger {
        Ledger::LowEfficiency => meeting!("id", "low_efficiency_parcel"),
        _ => meeting!("id", "turnover_parcel"),
    };
    let sql = format!(
        "SELECT id, name, state, land_use_system, land_use_code, ST_AsEWKB(geom), area_m2 FROM {}
         WHERE valid_to = 'infinity' AND geom IS NOT NULL AND {meeting} ORDER BY id LIMIT $5",
        ledger.table()
    );
    let [west, south, east, north] = sides(boxes);
    let rows: Vec<ParcelRow> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(west)
        .bind(south)
        .bind(east)
        .bind(north)
        .bind(i64::try_from(most + 1).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    rows.into_iter()
        .map(|(id, name, state, land_use_system, land_use_code, geom, area_m2)| {
            let boundary = geometry_column::decode(&geom)?;
            Ok(NearParcel { ledger, id, name, state, land_use_system, land_use_code, boundary, area_m2 })
        })
        .collect()
}

/// Current blocks of other parks whose boxes meet one of these, by id.
pub async fn blocks_around(
    connection: &mut PgConnection,
    park: &ParkCode,
    boxes: &[[f64; 4]],
) -> Result<Vec<NearBlock>> {
    let sql = concat!(
        "SELECT b.id, k.name, b.name, b.illustrative, ST_AsEWKB(b.geom) FROM park_block b JOIN park k ON k.code = b.park_code
         WHERE b.valid_to = 'infinity' AND b.park_code <> $5 AND b.",
        meeting!("id", "park_block"),
        " ORDER BY b.id"
    );
    let [west, south, east, north] = sides(boxes);
    let rows: Vec<(String, String, Option<String>, bool, Vec<u8>)> = sqlx::query_as(sql)
        .bind(west)
        .bind(south)
        .bind(east)
        .bind(north)
        .bind(park.as_str())
        .fetch_all(connection)
        .await?;
    rows.into_iter()
        .map(|(id, park_name, name, illustrative, geom)| {
            Ok(NearBlock { id, park_name, name, illustrative, boundary: geometry_column::decode(&geom)? })
        })
        .collect()
}

/// Prefectures and counties with an outline whose box meets one of these, by code.
pub async fn divisions_around(connection: &mut PgConnection, boxes: &[[f64; 4]]) -> Result<Vec<NearDivision>> {
    let sql = concat!(
        "SELECT code, name, level = 'county', ST_AsEWKB(geom) FROM division WHERE level IN ('prefecture', 'county') AND ",
        meeting!("code", "division"),
        " ORDER BY code"
    );
    let [west, south, east, north] = sides(boxes);
    let rows: Vec<(String, String, bool, Vec<u8>)> =
        sqlx::query_as(sql).bind(west).bind(south).bind(east).bind(north).fetch_all(connection).await?;
    rows.into_iter()
        .map(|(code, name, is_county, geom)| {
            Ok(NearDivision { code, name, is_county, outline: geometry_column::decode(&geom)? })
        })
        .collect()
}
