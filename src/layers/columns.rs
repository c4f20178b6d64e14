//! What the columns of an export are called, and which property a column of our own files is: one table for both ways.

use std::collections::{HashMap, HashSet};

use crate::domain::export::{Column, ExportFormat, Headings};
use crate::domain::layer::{LIFE, Layer, Property, PropertyKind};

/// Columns of a table that is to be put on a map: a point inside the shape.
const CENTRE: [(&str, &str); 2] = [("中心经度", "centre_lon"), ("中心纬度", "centre_lat")];
/// The shape as text.
const WKT: (&str, &str) = ("图形WKT", "wkt");

/// What a file of outlines says of each: name in tables, in a DBF, in English and as a member of GeoJSON.
pub const OUTLINE: (&str, &str, &str) = ("概略轮廓", "概略", "outline");

/// Names in a DBF, which holds ten bytes: three Chinese characters in UTF-8, with a unit two and `_ha`. Never change one: files
/// that were given out come back. What is not here gets a name of its own making.
const SHORT: [(&str, &str, &str); 33] = [
    ("id", "标识", "id"),
    ("code", "代码", "code"),
    ("name", "名称", "name"),
    ("aliases", "别名", "aliases"),
    ("level", "级别", "level"),
    ("type", "类型", "type"),
    ("prefecture_code", "市州码", "pref_code"),
    ("prefecture_name", "市州名", "pref_name"),
    ("county_code", "县区码", "county_cod"),
    ("county_codes", "县区码", "county_cod"),
    ("county_name", "县区名", "countyname"),
    ("leading_industries", "产业", "industries"),
    ("approved_text", "批准时", "approved"),
    ("approved_area_ha", "核准_ha", "appr_ha"),
    ("stated_area_ha", "面积_ha", "area_ha"),
    ("computed_area_m2", "椭球_m2", "calc_m2"),
    ("computed_area_ha", "椭球_ha", "calc_ha"),
    ("computed_area_mu", "椭球_mu", "calc_mu"),
    ("block_count", "区块数", "blocks"),
    ("status", "状态", "status"),
    ("successor_code", "并入", "successor"),
    ("illustrative", "示意", "illustr"),
    ("source", "来源", "source"),
    ("park_code", "园区码", "park_code"),
    ("park_name", "园区名", "park_name"),
    ("number", "编号", "block_no"),
    ("east", "东至", "east"),
    ("south", "南至", "south"),
    ("west", "西至", "west"),
    ("north", "北至", "north"),
    ("four_extents", "四至", "extents"),
    ("valid_from", "生效", "valid_from"),
    ("valid_to", "失效", "valid_to"),
];

/// Bytes of a DBF's field name.
const DBF_NAME_BYTES: usize = 10;

/// One column: which of a row's cells it shows, and how it is called.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownColumn {
    /// The property's name, of the layer or of the life.
    pub property: &'static str,
    /// Its place in [`crate::domain::export::ExportRow::cells`].
    pub cell: usize,
    pub column: Column,
}

/// The attribute columns of a layer in a format.
pub fn of_layer(layer: &Layer, format: ExportFormat, headings: Headings) -> Vec<ShownColumn> {
    let is_dbf = format == ExportFormat::Shapefile;
    let mut taken = HashSet::new();
    let mut columns = Vec::with_capacity(layer.properties.len() + LIFE.len());
    let life = layer.life().iter().map(|day| (day.name, day.kind, None, day.title.zh, day.title.zh.to_owned()));
    let properties = layer.properties.iter().map(|p| (p.name, p.kind, p.unit, p.title.zh, long_heading(p, format)));
    for (cell, (property, kind, unit, title, long)) in properties.chain(life).enumerate() {
        let wanted = match (headings, is_dbf) {
            (_, true) => short_name(property, title, unit, headings),
            (Headings::Chinese, false) => long,
            (Headings::English, false) => property.to_owned(),
        };
        let heading = unused(wanted, is_dbf, &taken);
        taken.insert(heading.to_lowercase());
        columns.push(ShownColumn { property, cell, column: Column { heading, kind, unit } });
    }
    columns
}

/// The same with a column behind the others that says of each shape that it is an outline.
pub fn with_outline_mark(
    columns: Vec<ShownColumn>,
    layer: &Layer,
    format: ExportFormat,
    headings: Headings,
) -> Vec<ShownColumn> {
    let is_dbf = format == ExportFormat::Shapefile;
    let taken: HashSet<String> = columns.iter().map(|shown| shown.column.heading.to_lowercase()).collect();
    let (long, short, english) = OUTLINE;
    let wanted = match (headings, is_dbf) {
        (Headings::English, _) => english,
        (Headings::Chinese, true) => short,
        (Headings::Chinese, false) => long,
    };
    let heading = unused(wanted.to_owned(), is_dbf, &taken);
    let column = Column { heading, kind: PropertyKind::Text, unit: None };
    // Behind the properties and the days of the life.
    let mark = ShownColumn { property: english, cell: layer.properties.len() + LIFE.len(), column };
    columns.into_iter().chain([mark]).collect()
}

/// A table's heading is for people: 椭球面积（公顷）. A field of a database is a word: 椭球面积_公顷. GBK has no ².
fn long_heading(property: &Property, format: ExportFormat) -> String {
    let title = property.title.zh;
    let unit = if property.unit == Some("m2") { Some("平方米") } else { property.unit_zh() };
    match unit {
        Some(unit) if format.is_table() => format!("{title}（{unit}）"),
        Some(unit) => format!("{title}_{unit}"),
        None => title.to_owned(),
    }
}

/// From the table, else from the title or name, cut to what fits.
fn short_name(property: &str, title: &str, unit: Option<&str>, headings: Headings) -> String {
    let known = SHORT.iter().find(|(name, ..)| *name == property);
    match (headings, known, unit) {
        (Headings::Chinese, Some((_, zh, _)), _) => (*zh).to_owned(),
        (Headings::English, Some((_, _, en)), _) => (*en).to_owned(),
        // (A unit that leaves no room for a character of the title stays with the other headings.)
        (Headings::Chinese, None, Some(unit)) if unit.len() + 4 <= DBF_NAME_BYTES => {
            format!("{}_{unit}", cut(title, DBF_NAME_BYTES - 1 - unit.len()))
        }
        (Headings::Chinese, None, _) => cut(title, DBF_NAME_BYTES).to_owned(),
        (Headings::English, None, _) => cut(property, DBF_NAME_BYTES).to_owned(),
    }
}

/// The first whole characters within so many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= bytes).last();
    &text[..end.unwrap_or(0)]
}

/// The name, or with a number behind it where another column has it; a program may not tell capitals apart.
fn unused(name: String, is_dbf: bool, taken: &HashSet<String>) -> String {
    let mut candidate = name.clone();
    let mut number = 1;
    while taken.contains(&candidate.to_lowercase()) {
        number += 1;
        let tail = number.to_string();
        let room = if is_dbf { DBF_NAME_BYTES - tail.len() } else { usize::MAX };
        candidate = format!("{}{tail}", cut(&name, room));
    }
    candidate
}

/// The same columns with room for long texts: `fields` says how many fields of a DBF each cell needs.
pub fn with_room(columns: Vec<ShownColumn>, fields: impl Fn(usize) -> usize) -> Vec<ShownColumn> {
    let mut taken: HashSet<String> = columns.iter().map(|c| c.column.heading.to_lowercase()).collect();
    let mut roomy = Vec::with_capacity(columns.len());
    for shown in columns {
        let needed = fields(shown.cell);
        roomy.push(shown.clone());
        for number in 2..=needed {
            let tail = number.to_string();
            // The reader knows them by the whole name in front: where that leaves no room, there are none.
            let heading = format!("{}{tail}", shown.column.heading);
            if heading.len() > DBF_NAME_BYTES || !taken.insert(heading.to_lowercase()) {
                break;
            }
            roomy.push(ShownColumn { column: Column { heading, ..shown.column.clone() }, ..shown.clone() });
        }
    }
    roomy
}

/// The columns behind the attributes of a table.
pub fn of_centre(headings: Headings) -> [Column; 2] {
    CENTRE.map(|(zh, en)| Column { heading: chosen(zh, en, headings), kind: PropertyKind::Number, unit: None })
}

/// The column of the shape as text.
pub fn of_wkt(headings: Headings) -> Column {
    Column { heading: chosen(WKT.0, WKT.1, headings), kind: PropertyKind::Text, unit: None }
}

fn chosen(zh: &str, en: &str, headings: Headings) -> String {
    if headings == Headings::Chinese { zh } else { en }.to_owned()
}

/// Every name that a property of the layer has in any of our files.
pub fn properties_by_name(layer: &Layer) -> HashMap<String, &'static str> {
    let mut names = HashMap::new();
    for format in [ExportFormat::Csv, ExportFormat::GeoPackage, ExportFormat::Shapefile] {
        for headings in [Headings::Chinese, Headings::English] {
            for shown in of_layer(layer, format, headings) {
                names.entry(shown.column.heading).or_insert(shown.property);
            }
        }
    }
    for [zh, en] in CENTRE.iter().chain([&WKT]).map(|(zh, en)| [*zh, *en]) {
        names.insert(zh.to_owned(), "centre");
        names.insert(en.to_owned(), "centre");
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::declaration::LAYERS;

    #[test]
    fn names_of_columns_are_unique_and_fit_their_format() {
        for layer in LAYERS.iter() {
            for format in ExportFormat::ALL {
                for headings in [Headings::Chinese, Headings::English] {
                    let columns = of_layer(layer, format, headings);
                    let names: HashSet<String> = columns.iter().map(|c| c.column.heading.to_lowercase()).collect();
                    assert_eq!(names.len(), columns.len(), "{} {format:?} {headings:?}: {names:?}", layer.id);
                    for shown in &columns {
                        let heading = &shown.column.heading;
                        let fits = format != ExportFormat::Shapefile || heading.len() <= DBF_NAME_BYTES;
                        assert!(!heading.is_empty() && fits, "{} {format:?}: {heading}", layer.id);
                    }
                }
            }
        }
    }

    #[test]
    fn names_that_files_were_given_out_with_stand() {
        let blocks = LAYERS.iter().find(|l| l.id == "park_blocks").expect("blocks");
        let names = |format, headings| -> Vec<String> {
            of_layer(blocks, format, headings).into_iter().map(|c| c.column.heading).collect()
        };
        assert_eq!(
            names(ExportFormat::Shapefile, Headings::Chinese),
            [
                "标识",
                "园区码",
                "园区名",
                "编号",
                "名称",
                "面积_ha",
                "椭球_m2",
                "椭球_ha",
                "椭球_mu",
                "东至",
                "南至",
                "西至",
                "北至",
                "四至",
                "示意",
                "来源",
                "原坐标",
                "市州码",
                "生效",
                "失效"
            ]
        );
        assert_eq!(
            names(ExportFormat::Shapefile, Headings::English),
            [
                "id",
                "park_code",
                "park_name",
                "block_no",
                "name",
                "area_ha",
                "calc_m2",
                "calc_ha",
                "calc_mu",
                "east",
                "south",
                "west",
                "north",
                "extents",
                "illustr",
                "source",
                "source_crs",
                "pref_code",
                "valid_from",
                "valid_to"
            ]
        );
        assert_eq!(
            names(ExportFormat::GeoPackage, Headings::Chinese)[5..9],
            ["公告面积_公顷", "椭球面积_平方米", "椭球面积_公顷", "椭球面积_亩"]
        );
        assert_eq!(names(ExportFormat::Xlsx, Headings::Chinese)[6..8], ["椭球面积（平方米）", "椭球面积（公顷）"]);
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number_within_its_room() {
        let taken: HashSet<String> = ["avacantlan".to_owned(), "avacantla2".to_owned()].into();
        assert_eq!(unused("AVACANTLAN".to_owned(), true, &taken), "AVACANTLA3");
        assert_eq!((cut("园区名称", 10), cut("a园区", 3), cut("园", 2)), ("园区名", "a", ""));
    }
}
