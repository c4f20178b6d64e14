//! Extra layers in the database: the relation that shows an operator's table like any other layer, and, in rooms of their own, what the
//! catalogue says of the table, who may read it, and how its changes are followed.
//!
//! Names come from the declaration, where they stand quoted by the database itself.

pub mod admit;
pub mod follow;
pub mod inspect;

use std::fmt::Write as _;

use sqlx::PgPool;

use crate::domain::extra_layer::{ExtraTable, Reading, ShapeReading};
use crate::domain::layer::{Layer, Visibility};
use crate::error::Result;

/// What stands behind FROM: the columns that every layer's relation has, and only the rows that the transaction may see.
pub(super) fn relation(layer: &Layer, extra: &ExtraTable) -> String {
    format!("({} WHERE {}) AS extra", columns(layer, extra), access(layer, extra))
}

/// The condition that a feature is one of these, whose ids the database itself gave: their keys are asked for as what they are, so that
/// the table's own index serves. (An id of a client's may be no key at all.)
pub fn is_one_of(layer: &Layer, place: &str) -> String {
    match layer.extra {
        Some(extra) if extra.key.sql_type != "text" => {
            format!("raw_key = ANY({place}::text[]::{}[])", extra.key.sql_type)
        }
        _ => format!("feature_id = ANY({place})"),
    }
}

fn columns(layer: &Layer, extra: &ExtraTable) -> String {
    let mut sql = format!(
        "SELECT t.{0}::text AS feature_id, t.{0} AS raw_key, {1} AS geom, NULL::date AS valid_from, NULL::date AS valid_to, NULL::bigint AS row_revision, {2} AS access_division",
        extra.key.quoted,
        shape(extra),
        extra.division.map_or("NULL::text".to_owned(), |division| format!("t.{}::text", division.quoted)),
    );
    for (property, read) in layer.properties.iter().zip(extra.columns) {
        let column = read.column.quoted;
        // Writing to a String cannot fail.
        let _ = match read.reading {
            Reading::AsItIs => write!(sql, ", t.{column} AS {}", property.column),
            Reading::AsText => write!(sql, ", t.{column}::text AS {}", property.column),
            Reading::AsDouble => write!(sql, ", t.{column}::text::float8 AS {}", property.column),
            Reading::AsUtc => write!(sql, ", t.{column} AT TIME ZONE 'UTC' AS {}", property.column),
            Reading::AsTexts => write!(sql, ", t.{column}::text[] AS {}", property.column),
            Reading::AsNumbers => write!(sql, ", t.{column}::text::float8[] AS {}", property.column),
        };
    }
    let _ = write!(sql, " FROM {} t", extra.table);
    sql
}

fn shape(extra: &ExtraTable) -> String {
    match extra.geometry {
        None => "NULL::geometry(Geometry, 4490)".to_owned(),
        Some(shape) => {
            let column = shape.column.quoted;
            match shape.reading {
                // The index of the table's own column serves.
                ShapeReading::AsItIs => format!("t.{column}"),
                ShapeReading::Renamed => format!("ST_SetSRID(t.{column}, 4490)"),
                ShapeReading::Transformed { srid } => format!("shown_geometry(t.{column}::geometry, {srid})"),
            }
        }
    }
}

/// Who may see which rows. As row-level security has it for the register's own tables (`jurisdiction_condition` of migration 0003); a
/// table that says nothing of where its rows lie is for those without bounds.
fn access(layer: &Layer, extra: &ExtraTable) -> String {
    let setting = "(SELECT current_setting('sizhi.jurisdiction', true))";
    let list = "((SELECT string_to_array(current_setting('sizhi.jurisdiction', true), ','))::text[])";
    match (layer.visibility, extra.division) {
        (Visibility::Public, _) => "TRUE".to_owned(),
        // (No table of an operator's is for all of the staff; one that were would be for those without bounds.)
        (Visibility::Internal | Visibility::Staff, None) => format!("{setting} = '*'"),
        (Visibility::Internal | Visibility::Staff, Some(division)) => {
            let code = format!("t.{}::text", division.quoted);
            format!(
                "({setting} = '*' OR left({code}, 2) = ANY ({list}) OR left({code}, 4) = ANY ({list}) OR {code} = ANY ({list}))"
            )
        }
    }
}

/// A mark of what the operator's tables hold at this moment, for ETags: as long as it is the same, nothing has been committed in between.
/// It may change without them: any transaction of the database moves it.
pub async fn mark(pool: &PgPool) -> Result<String> {
    let sql = "SELECT left(md5(concat_ws('/', pg_current_snapshot(), pg_postmaster_start_time(),
                   CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END)), 16)";
    Ok(sqlx::query_scalar(sql).fetch_one(pool).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::extra_layer::{ReadColumn, ShapeColumn, TableColumn};
    use crate::domain::layer::{Property, PropertyKind, Titles};

    const fn column(quoted: &'static str) -> TableColumn {
        TableColumn { quoted, sql_type: "text" }
    }

    #[test]
    fn a_relation_has_the_columns_of_every_layer() {
        static COLUMNS: [ReadColumn; 1] = [ReadColumn { column: column("\"end\""), reading: Reading::AsUtc }];
        static PROPERTIES: [Property; 1] =
            [Property { column: "\"end\"", ..Property::new("end", PropertyKind::DateTime, Titles { zh: "", en: "" }) }];
        let extra = ExtraTable {
            table: "gis.\"T\"",
            key: column("id"),
            geometry: Some(ShapeColumn { column: column("g"), reading: ShapeReading::Transformed { srid: 3857 } }),
            columns: &COLUMNS,
            ..ExtraTable::UNNAMED
        };
        let layer = Layer { properties: &PROPERTIES, ..Layer::OF_REGISTER };
        assert_eq!(
            relation(&layer, &extra),
            "(SELECT t.id::text AS feature_id, t.id AS raw_key, shown_geometry(t.g::geometry, 3857) AS geom, NULL::date AS valid_from, \
             NULL::date AS valid_to, NULL::bigint AS row_revision, NULL::text AS access_division, \
             t.\"end\" AT TIME ZONE 'UTC' AS \"end\" FROM gis.\"T\" t \
             WHERE (SELECT current_setting('sizhi.jurisdiction', true)) = '*') AS extra"
        );
    }
}
