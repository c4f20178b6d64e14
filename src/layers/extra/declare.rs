//! What a file declares and what the database says of the table → a layer like any other. It lives as long as the program: declarations
//! are read at start alone.

use std::collections::HashSet;

use super::{Faults, about, columns};
use crate::domain::extra_layer::{
    ColumnFacts, DeclaredFollow, DeclaredGeometry, DeclaredLayer, ExtraTable, POLL_SECONDS, ReadColumn, ShapeColumn,
    ShapeReading, TableColumn, TableFacts, TableKind,
};
use crate::domain::layer::{Classification, Follow, GeometryKind, LAST_ZOOM, Layer, Property, Titles, Visibility};
use crate::geometry::crs::Crs;

/// A layer, and what only the rows themselves can prove.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    pub layer: &'static Layer,
    /// No index says that every row has a key of its own.
    pub key_is_unproven: bool,
}

pub(super) fn kept(text: &str) -> &'static str {
    String::leak(text.to_owned())
}

fn column_of(facts: &ColumnFacts) -> TableColumn {
    TableColumn { quoted: kept(&facts.quoted), sql_type: kept(&facts.sql_type) }
}

/// The layer, or `None` with every fault told.
pub fn declare(declared: &DeclaredLayer, facts: &TableFacts, faults: &mut Faults) -> Option<Declared> {
    if facts.is_reserved {
        let what = "是登记库或数据库自己的表，不能作为附加图层";
        faults.error("layer_table_reserved", declared.line, about(declared, what));
        return None;
    }
    let before = faults.errors();
    if let Some(remedy) = &facts.unreadable {
        let what = format!("没有读取权限；请由表的所有者执行：{remedy}");
        faults.error("layer_table_unreadable", declared.line, about(declared, what));
    }
    let key = key(declared, facts, faults);
    let geometry = geometry(declared, facts, faults);
    let shape = geometry.and_then(|column| shape(declared, facts, column, faults));
    let division = declared.division.as_deref().and_then(|name| column(declared, facts, name, "division", faults));
    let properties = columns::properties(declared, facts, geometry, faults);
    let follow = follow(declared, facts, faults);
    let label = label(declared, &properties, faults);
    let key = key.filter(|_| faults.errors() == before)?;
    let (properties, columns): (Vec<_>, Vec<_>) = properties.into_iter().unzip();
    let extra = ExtraTable {
        table: kept(&facts.quoted),
        key: column_of(key),
        geometry: shape,
        columns: Vec::leak(columns),
        division: division.map(column_of),
        division_property: division
            .and_then(|column| properties.iter().map(|property| property.name).find(|name| *name == column.name)),
    };
    let kind = geometry.and_then(|column| column.shapes.as_ref()).map_or(GeometryKind::None, |shapes| shapes.kind);
    let layer = layer(declared, facts, Box::leak(Box::new(extra)));
    let layer = Layer { geometry: kind, properties: Vec::leak(properties), label, follow, ..layer };
    Some(Declared { layer: Box::leak(Box::new(layer)), key_is_unproven: !key.is_unique })
}

/// What the file says for itself, or the table's own words.
fn layer(declared: &DeclaredLayer, facts: &TableFacts, extra: &'static ExtraTable) -> Layer {
    let title = declared.title.as_ref().or(facts.comment.as_ref()).unwrap_or(&declared.id);
    let title_en = declared.title_en.as_ref().unwrap_or(&declared.id);
    let (visibility, classification) = if declared.is_public {
        (Visibility::Public, Classification::Public)
    } else {
        (Visibility::Internal, Classification::Internal)
    };
    let (min_zoom, max_zoom) = declared.zooms.unwrap_or((0, LAST_ZOOM));
    Layer {
        id: kept(&declared.id),
        title: Titles { zh: kept(title), en: kept(title_en) },
        description: Titles {
            zh: kept(declared.description.as_ref().or(facts.comment.as_ref()).unwrap_or(title)),
            en: kept(declared.description_en.as_ref().unwrap_or(title_en)),
        },
        relation: extra.table,
        extra: Some(extra),
        visibility,
        classification,
        generalisation: declared.generalisation,
        min_zoom,
        max_zoom,
        ..Layer::OF_REGISTER
    }
}

/// The column of this name, or word that there is none.
pub(super) fn column<'a>(
    declared: &DeclaredLayer,
    facts: &'a TableFacts,
    name: &str,
    asked_by: &str,
    faults: &mut Faults,
) -> Option<&'a ColumnFacts> {
    let found = facts.columns.iter().find(|column| column.name == name);
    if found.is_none() {
        let known: Vec<&str> = facts.columns.iter().take(50).map(|column| column.name.as_str()).collect();
        let what = format!("{asked_by} 所指的列“{name}”不存在；表的列：{}", known.join("、"));
        faults.error("layer_column_missing", declared.line, about(declared, what));
    }
    found
}

/// The declared key, else the primary key of one column.
fn key<'a>(declared: &DeclaredLayer, facts: &'a TableFacts, faults: &mut Faults) -> Option<&'a ColumnFacts> {
    let key = match &declared.key {
        Some(name) => column(declared, facts, name, "key", faults)?,
        None => {
            let primary = facts.columns.iter().find(|column| column.is_primary);
            if primary.is_none() {
                let what = "没有单列主键；请用 key 指明哪一列是要素的标识（不重复、不为空）";
                faults.error("layer_key_missing", declared.line, about(declared, what));
            }
            primary?
        }
    };
    if columns::reading(key).is_none() || key.is_array {
        let what = format!("列“{}”的类型 {} 不能作为标识", key.name, key.sql_type);
        faults.error("layer_column_unsupported", declared.line, about(declared, what));
        return None;
    }
    Some(key)
}

/// The declared column of shapes, else the only one.
fn geometry<'a>(declared: &DeclaredLayer, facts: &'a TableFacts, faults: &mut Faults) -> Option<&'a ColumnFacts> {
    match &declared.geometry {
        DeclaredGeometry::None => None,
        DeclaredGeometry::Column(name) => {
            let found = column(declared, facts, name, "geometry", faults)?;
            if found.shapes.is_none() {
                let what = format!("列“{name}”的类型是 {}，不是 geometry 或 geography", found.sql_type);
                faults.error("layer_geometry_unclear", declared.line, about(declared, what));
            }
            Some(found).filter(|column| column.shapes.is_some())
        }
        DeclaredGeometry::Only => {
            let mut found = facts.columns.iter().filter(|column| column.shapes.is_some());
            match (found.next(), found.next()) {
                (Some(only), None) => Some(only),
                (first, _) => {
                    let what = match first {
                        None => "没有图形列；只发布属性时请写 geometry = false",
                        Some(_) => "有几个图形列；请用 geometry 指明用哪一个",
                    };
                    faults.error("layer_geometry_unclear", declared.line, about(declared, what));
                    None
                }
            }
        }
    }
}

/// How the shapes get into EPSG:4490, where their system is one that may.
fn shape(
    declared: &DeclaredLayer,
    facts: &TableFacts,
    column: &ColumnFacts,
    faults: &mut Faults,
) -> Option<ShapeColumn> {
    let shapes = column.shapes.as_ref()?;
    let named: Vec<i32> = if shapes.srid != 0 { vec![shapes.srid] } else { shapes.found.clone() };
    let without = named.is_empty() || named.contains(&0);
    if shapes.srid != 0 && declared.srid.is_some_and(|srid| srid != shapes.srid) {
        let what = format!("列“{}”的坐标系是 EPSG:{}，与 srid 不符；请去掉 srid", column.name, shapes.srid);
        faults.error("layer_option_conflict", declared.line, about(declared, what));
        return None;
    }
    if named.is_empty() && declared.srid.is_none() {
        // Empty for once: those that come will say it, or not be shown.
        let what = format!("列“{}”没有写明坐标系，也还没有图形；请用 srid 写出 EPSG 代码", column.name);
        faults.warning("layer_srid_missing", declared.line, about(declared, what));
    } else if without && declared.srid.is_none() {
        let what = format!("列“{}”没有写明坐标系；请用 srid 写出 EPSG 代码", column.name);
        faults.error("layer_srid_missing", declared.line, about(declared, what));
        return None;
    }
    let all: HashSet<i32> = named.into_iter().chain(declared.srid).filter(|srid| *srid != 0).collect();
    let refused = |srid: &i32| {
        let crs = u32::try_from(*srid).map(Crs::from_epsg);
        crs.is_ok_and(Crs::is_legacy_chinese_datum) || facts.unknown_srids.contains(srid)
    };
    if let Some(srid) = all.iter().find(|srid| refused(srid)) {
        let what = format!(
            "坐标系 EPSG:{srid} 不能转换到 2000 国家大地坐标系（1954、1980 坐标系需要涉密参数，或数据库不认识）"
        );
        faults.error("layer_srid_unsupported", declared.line, about(declared, what));
        return None;
    }
    let srid = declared.srid.or_else(|| all.iter().next().copied()).unwrap_or(0);
    let reading = match shapes.srid {
        4490 if shapes.is_plain => ShapeReading::AsItIs,
        4326 if shapes.is_plain => ShapeReading::Renamed,
        _ => ShapeReading::Transformed { srid },
    };
    Some(ShapeColumn { column: column_of(column), reading })
}

/// A trigger where one sees every change, else polling.
fn follow(declared: &DeclaredLayer, facts: &TableFacts, faults: &mut Faults) -> Follow {
    let polling = Follow::ByPolling { seconds: declared.poll_seconds.unwrap_or(POLL_SECONDS) };
    let asked = declared.follow.or(declared.poll_seconds.map(|_| DeclaredFollow::Polling));
    if asked == Some(DeclaredFollow::Polling) {
        return polling;
    }
    if facts.kind != TableKind::Table {
        if asked == Some(DeclaredFollow::Trigger) {
            let what = "视图、分区表、继承表和外部表不能用触发器跟踪（会漏掉变化）；请用 follow = \"polling\"";
            faults.error("layer_follow_impossible", declared.line, about(declared, what));
        }
        return polling;
    }
    match (&facts.untriggered, asked) {
        (None, _) => Follow::ByTrigger,
        (Some(remedy), Some(_)) => {
            let what = format!("没有建立触发器的权限；请由表的所有者执行 {remedy}，或用 follow = \"polling\"");
            faults.error("layer_follow_impossible", declared.line, about(declared, what));
            polling
        }
        (Some(remedy), None) => {
            let what = format!("没有建立触发器的权限，改为定时比对；要用触发器请由表的所有者执行 {remedy}");
            faults.warning("layer_follow_by_polling", declared.line, about(declared, what));
            polling
        }
    }
}

fn label(declared: &DeclaredLayer, properties: &[(Property, ReadColumn)], faults: &mut Faults) -> Option<&'static str> {
    let wanted = declared.label.as_deref()?;
    let found = properties.iter().map(|(property, _)| property).find(|property| property.name == wanted);
    match found {
        Some(property) if !property.kind.is_list() => Some(property.name),
        _ => {
            let what = format!("label 所指的“{wanted}”不是这个图层的属性，或是列表");
            faults.error("layer_column_missing", declared.line, about(declared, what));
            None
        }
    }
}

#[cfg(test)]
mod tests;
