//! The operator's file of extra layers (TOML) → what it declares. Every fault is told, each with its line.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::{Lines, Reader, text_of, whole};
use super::{Faults, names};
use crate::domain::extra_layer::{
    DeclaredFollow, DeclaredGeometry, DeclaredLayer, DeclaredProperty, DeclaredZoom, MAX_DECIMALS, MAX_ID,
    MAX_POLL_SECONDS, MAX_TOLERANCE_M,
};
use crate::domain::generalisation::Generalisation;
use crate::domain::layer::LAST_ZOOM;

/// Bytes of a file.
const MAX_BYTES: usize = 1024 * 1024;
/// Layers of a file.
const MAX_LAYERS: usize = 200;

/// What the file declares; where there are faults, what could be read.
pub fn parse(text: &str, faults: &mut Faults) -> Vec<DeclaredLayer> {
    if text.len() > MAX_BYTES {
        faults.error("layers_file_value", 1, "图层文件超过 1 MB");
        return Vec::new();
    }
    let lines = Lines(text);
    let (document, broken) = DeTable::parse_recoverable(text);
    for fault in &broken {
        let line = fault.span().map_or(1, |span| lines.of(&span));
        faults.error("layers_file_syntax", line, format!("不是有效的 TOML：{}", fault.message()));
    }
    if !broken.is_empty() {
        // What is recovered of a broken document would only bring faults that are none.
        return Vec::new();
    }
    let mut root = Reader::new(document.get_ref(), &document.span(), &lines, "文件".to_owned());
    let layers = root.get("layer");
    let mut declared = Vec::new();
    match layers.map(Spanned::get_ref) {
        None => faults.error("layers_file_missing", 1, "文件中没有图层；每个图层以 [[layer]] 开始"),
        Some(DeValue::Array(list)) if list.len() <= MAX_LAYERS => {
            for (number, item) in (1..).zip(list.iter()) {
                match item.get_ref() {
                    DeValue::Table(table) => {
                        let reader = Reader::new(table, &item.span(), &lines, format!("第 {number} 个图层"));
                        declared.extend(layer(reader, &declared, faults));
                    }
                    _ => root.wrong(faults, "layer", item, " [[layer]] 表"),
                }
            }
        }
        Some(_) => {
            if let Some(value) = layers {
                root.wrong(faults, "layer", value, &format!("至多 {MAX_LAYERS} 个 [[layer]] 表"));
            }
        }
    }
    root.finish(faults);
    declared
}

/// One layer; `None` where it cannot even be named or found.
fn layer(mut reader: Reader<'_, '_>, before: &[DeclaredLayer], faults: &mut Faults) -> Option<DeclaredLayer> {
    let line = reader.line;
    let id = reader.needed("id", faults);
    if let Some(id) = id.as_ref().filter(|id| !names::is_id(id)) {
        let rule = format!("id“{id}”不合规则：小写字母开头，只用小写字母、数字、_ 和 -，不超过 {MAX_ID} 个字符");
        faults.error("layers_file_value", line, rule);
    }
    if let Some(id) = id.as_ref().filter(|id| before.iter().any(|other| other.id == **id)) {
        faults.error("layer_id_taken", line, format!("有两个图层的 id 是“{id}”"));
    }
    let table = reader.needed("table", faults);
    let named = table.as_deref().and_then(|text| {
        let named = names::table(text);
        if named.is_none() {
            let rule = format!("table“{text}”不合规则：应为 模式.表名；名称中有点或引号时写在双引号里");
            faults.error("layers_file_value", line, rule);
        }
        named
    });
    let visibility = reader.word("visibility", &["public", "internal"], faults);
    let follow = reader.word("follow", &["trigger", "polling"], faults);
    let mut declared = DeclaredLayer {
        line,
        key: reader.text("key", faults),
        geometry: geometry(&mut reader, faults),
        srid: reader.number("srid", (1, 999_999), faults).and_then(|n| i32::try_from(n).ok()),
        properties: properties(&mut reader, faults),
        title: reader.text("title", faults),
        title_en: reader.text("title_en", faults),
        description: reader.text("description", faults),
        description_en: reader.text("description_en", faults),
        zooms: zooms(&mut reader, faults),
        // Whoever does not say it shows it to nobody outside.
        is_public: visibility == Some("public"),
        division: reader.text("division", faults),
        follow: follow.map(|word| if word == "trigger" { DeclaredFollow::Trigger } else { DeclaredFollow::Polling }),
        poll_seconds: reader
            .number("poll_seconds", (1, i64::from(MAX_POLL_SECONDS)), faults)
            .and_then(|n| u32::try_from(n).ok()),
        label: reader.text("label", faults),
        generalisation: generalisation(&mut reader, faults),
        ..DeclaredLayer::default()
    };
    reader.finish(faults);
    (declared.schema, declared.table) = named?;
    declared.id = id?;
    check_together(&declared, faults);
    Some(declared)
}

/// What each is right by itself and wrong together.
fn check_together(layer: &DeclaredLayer, faults: &mut Faults) {
    if layer.is_public && layer.division.is_some() {
        let what = "公开图层所有人可见，不能用 division 限定；请去掉 division，或改为 visibility = \"internal\"";
        faults.error("layer_option_conflict", layer.line, super::about(layer, what));
    }
    if layer.generalisation.is_some() && !layer.is_public {
        let what = "generalise 只用于 visibility = \"public\"：内部图层的图形不给公众看";
        faults.error("layer_option_conflict", layer.line, super::about(layer, what));
    }
    if layer.follow == Some(DeclaredFollow::Trigger) && layer.poll_seconds.is_some() {
        let what = "poll_seconds 只用于 follow = \"polling\"";
        faults.error("layer_option_conflict", layer.line, super::about(layer, what));
    }
    let of_shapes = layer.srid.is_some() || layer.zooms.is_some() || layer.generalisation.is_some();
    if layer.geometry == DeclaredGeometry::None && of_shapes {
        let what = "没有图形（geometry = false）的图层不能有 srid、zooms、generalise";
        faults.error("layer_option_conflict", layer.line, super::about(layer, what));
    }
}

/// A column's name, or `false`.
fn geometry(reader: &mut Reader<'_, '_>, faults: &mut Faults) -> DeclaredGeometry {
    let Some(value) = reader.get("geometry") else { return DeclaredGeometry::Only };
    match value.get_ref() {
        DeValue::Boolean(false) => DeclaredGeometry::None,
        other => match text_of(other) {
            Some(name) => DeclaredGeometry::Column(name),
            None => {
                reader.wrong(faults, "geometry", value, "图形列的名称，没有图形时写 false");
                DeclaredGeometry::Only
            }
        },
    }
}

/// `{ tolerance_m = 20.0, decimals = 4 }`: both, since neither follows from the other.
fn generalisation(reader: &mut Reader<'_, '_>, faults: &mut Faults) -> Option<Generalisation> {
    let value = reader.get("generalise")?;
    let DeValue::Table(table) = value.get_ref() else {
        reader.wrong(faults, "generalise", value, "表，例如 { tolerance_m = 20, decimals = 4 }");
        return None;
    };
    let mut own = Reader::new(table, &value.span(), reader.lines(), "generalise ".to_owned());
    let tolerance_m = own.needed_decimal("tolerance_m", (0.0, MAX_TOLERANCE_M), faults);
    let decimals = own.needed_number("decimals", (0, i64::from(MAX_DECIMALS)), faults);
    own.finish(faults);
    Some(Generalisation { tolerance_m: tolerance_m?, decimals: u8::try_from(decimals?).ok()? })
}

fn zooms(reader: &mut Reader<'_, '_>, faults: &mut Faults) -> Option<(u8, u8)> {
    let value = reader.get("zooms")?;
    let zoom = |value: &Spanned<DeValue<'_>>| {
        whole(value.get_ref()).and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= LAST_ZOOM)
    };
    let zooms = match value.get_ref() {
        DeValue::Array(list) if list.len() == 2 => list.first().and_then(zoom).zip(list.get(1).and_then(zoom)),
        _ => None,
    };
    let zooms = zooms.filter(|(from, to)| from <= to);
    if zooms.is_none() {
        reader.wrong(faults, "zooms", value, &format!("两个 0 到 {LAST_ZOOM} 的整数，例如 [8, 18]，小的在前"));
    }
    zooms
}

/// `"all"`, or a list of names and of tables with a `name`.
fn properties(reader: &mut Reader<'_, '_>, faults: &mut Faults) -> Option<Vec<DeclaredProperty>> {
    let value = reader.get("properties")?;
    let list = match value.get_ref() {
        DeValue::Array(list) => list,
        other if text_of(other).as_deref() == Some("all") => return None,
        _ => {
            reader.wrong(
                faults,
                "properties",
                value,
                " \"all\" 或列表，例如 [\"name\", { name = \"pop\", title = \"人口\" }]",
            );
            return None;
        }
    };
    let mut properties: Vec<DeclaredProperty> = Vec::with_capacity(list.len());
    for item in list.iter() {
        let property = match item.get_ref() {
            DeValue::Table(table) => property(reader, table, item, faults),
            other => text_of(other).map(|name| DeclaredProperty { name, ..DeclaredProperty::default() }),
        };
        match property {
            Some(property) if properties.iter().any(|p| p.name == property.name) => {
                let message = format!("properties 中“{}”出现了两次", property.name);
                faults.error("layers_file_value", reader.line_of(item), message);
            }
            Some(property) => properties.push(property),
            None if matches!(item.get_ref(), DeValue::Table(_)) => {}
            None => reader.wrong(faults, "properties", item, "列名，或带 name 的表"),
        }
    }
    Some(properties)
}

fn property(
    of: &Reader<'_, '_>,
    table: &DeTable<'_>,
    item: &Spanned<DeValue<'_>>,
    faults: &mut Faults,
) -> Option<DeclaredProperty> {
    let lines = of.lines();
    let mut reader = Reader::new(table, &item.span(), lines, "属性".to_owned());
    let name = reader.needed("name", faults);
    let property = DeclaredProperty {
        name: String::new(),
        title: reader.text("title", faults),
        title_en: reader.text("title_en", faults),
        unit: reader.text("unit", faults),
        queryable: reader.flag("queryable", faults),
        from_zoom: from_zoom(&mut reader, faults),
    };
    reader.finish(faults);
    Some(DeclaredProperty { name: name?, ..property })
}

/// A zoom, or `false` for never.
fn from_zoom(reader: &mut Reader<'_, '_>, faults: &mut Faults) -> DeclaredZoom {
    let Some(value) = reader.get("from_zoom") else { return DeclaredZoom::Unsaid };
    match value.get_ref() {
        DeValue::Boolean(false) => DeclaredZoom::Never,
        other => {
            let zoom = whole(other).and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= LAST_ZOOM);
            if zoom.is_none() {
                reader.wrong(faults, "from_zoom", value, &format!(" 0 到 {LAST_ZOOM} 的整数，不进瓦片时写 false"));
            }
            zoom.map_or(DeclaredZoom::Unsaid, DeclaredZoom::From)
        }
    }
}

#[cfg(test)]
mod tests;
