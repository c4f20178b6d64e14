//! How the records of a file are read: their encoding, their coordinate system, their fields and units, each decided once and told.

use std::collections::HashSet;

use super::cell_text::{self, Chosen};
use super::drawing_text;
use super::source::{Format, Source};
use super::wire::{Feature, Header, Shape};
use crate::domain::area::AreaUnit;
use crate::domain::{Finding, Place};
use crate::exchange::stated_area::{self, ColumnUnit};
use crate::exchange::{FieldMapping, ReadOptions, Vocabulary, field_names, rings, text_encoding};
use crate::geometry::area;
use crate::geometry::crs::{self, Crs};

/// How the records of this file are read.
pub(super) struct How {
    pub texts: Texts,
    pub system: System,
    pub mapping: Vec<FieldMapping>,
    pub area_unit: AreaUnit,
    /// Every one of these decisions has a reason; records to come might still give one for the unit.
    pub settled: bool,
    pub encoding: Option<String>,
    /// Told by each decision: of the encoding, and of the system and the fields.
    pub of_texts: Vec<Finding>,
    pub of_system: Vec<Finding>,
}

impl How {
    /// Decides by the head, the names of the fields, and the records at hand. A finding where the texts cannot be read.
    pub fn decide(
        header: &Header,
        fields: &[Vec<u8>],
        features: &[Feature],
        source: &Source,
        options: &ReadOptions,
    ) -> Result<Self, Finding> {
        let (texts, encoding, of_texts) = decide_texts(fields, features, source, options)?;
        let mut of_system = Vec::new();
        let system = decide_crs(header, first_point(features), options, &mut of_system);
        let names: Vec<String> = fields.iter().map(|name| texts.name(name)).collect();
        let (mut mapping, ambiguous) = field_names::map_fields(&names, options.vocabulary, &options.own_names);
        of_system.extend(ambiguous);
        if source.format == Format::Dxf && matches!(options.vocabulary, Vocabulary::Ledger(_)) {
            of_system.extend(number_by_layers(&mut mapping, features));
        }
        let (area_unit, told) = decide_area_unit(features, &mapping, &texts, &system);
        of_system.extend(told);
        let settled = area_unit.is_some();
        let area_unit = area_unit.unwrap_or(stated_area::IN_VECTOR_FILES[0]);
        Ok(How { texts, system, mapping, area_unit, settled, encoding, of_texts, of_system })
    }
}

/// How texts of this file are decoded.
pub(super) enum Texts {
    Utf8,
    /// Bytes of a DBF.
    Cells(Chosen),
    /// Of a drawing.
    Drawing(Chosen),
}

impl Texts {
    /// The text, and whether a half character was cut off; `None` where it does not decode.
    pub fn decode(&self, bytes: Vec<u8>) -> Option<(String, bool)> {
        match *self {
            Texts::Cells(chosen) => cell_text::decode(chosen, &bytes),
            Texts::Drawing(chosen) => drawing_text::decode_drawing(chosen, &bytes),
            Texts::Utf8 => String::from_utf8(bytes).ok().map(|text| (text, false)),
        }
    }

    /// A field's name; what does not decode is shown by its bytes, so that two names never become one.
    fn name(&self, bytes: &[u8]) -> String {
        self.decode(bytes.to_vec())
            .map_or_else(|| bytes.escape_ascii().to_string(), |(text, _)| text_encoding::clean(text))
    }
}

/// The encoding by name, and what is to be said of it; GeoPackage and FileGDB hold UTF-8. A finding where it cannot be told.
fn decide_texts(
    fields: &[Vec<u8>],
    features: &[Feature],
    source: &Source,
    options: &ReadOptions,
) -> Result<(Texts, Option<String>, Vec<Finding>), Finding> {
    let asked = options.encoding.as_deref();
    let (texts, chosen, findings) = match source.format {
        Format::GeoPackage | Format::FileGdb | Format::FlatGeobuf => return Ok((Texts::Utf8, None, Vec::new())),
        Format::Shapefile => {
            let values = features.iter().flat_map(|f| &f.values).flatten().map(Vec::as_slice);
            let texts = fields.iter().map(Vec::as_slice).chain(values);
            let (chosen, findings) = cell_text::choose(asked, &source.declared, texts)?;
            (Texts::Cells(chosen), chosen, findings)
        }
        Format::Dxf => {
            let written = written_text(fields);
            let values = features.iter().flat_map(|f| f.values.iter().enumerate());
            let names = values.filter(|(at, _)| Some(*at) != written).filter_map(|(_, value)| value.as_deref());
            let texts: Vec<Vec<u8>> = names.filter_map(drawing_text::drawing_bytes).collect();
            let (chosen, findings) = cell_text::choose(asked, &source.declared, texts.iter().map(Vec::as_slice))?;
            (Texts::Drawing(chosen), chosen, findings)
        }
    };
    Ok((texts, Some(chosen.name.to_owned()), findings))
}

/// The field of what is written in a drawing. It says nothing of the encoding, unlike the names of layers: GDAL makes characters of
/// `%%d` and `\U+00B2` that look like bytes, and cuts long lines.
pub(super) fn written_text(fields: &[Vec<u8>]) -> Option<usize> {
    fields.iter().position(|name| name == b"Text")
}

/// A drawing has no column for numbers, by which a ledger knows its land. Where every area has a layer of its own, that is named by
/// the number; where two areas share a layer, its name is a kind of thing.
fn number_by_layers(mapping: &mut [FieldMapping], features: &[Feature]) -> Option<Finding> {
    let at = mapping.iter().position(|m| &*m.field == "Layer")?;
    if mapping.iter().any(|m| m.canonical == Some("id")) {
        return None;
    }
    let mut names = HashSet::new();
    for feature in features.iter().filter(|f| matches!(f.shape, Shape::Polygons(_))) {
        let name = feature.values.get(at)?.as_deref()?;
        // Everything stands on layer 0 until somebody says otherwise.
        if name == b"0" || !names.insert(name) {
            return None;
        }
    }
    mapping[at].canonical = Some("id");
    let message = "图中每个图形各有自己的图层，以图层名作为地块编号；如果图层名不是编号，请改用带编号的格式";
    (!names.is_empty()).then(|| Finding::warning("number_from_layer", Place::whole(), message))
}

/// The unit of the area column: named, or weighed on the records at hand. None yet where none of them could be weighed.
fn decide_area_unit(
    features: &[Feature],
    mapping: &[FieldMapping],
    texts: &Texts,
    system: &System,
) -> (Option<AreaUnit>, Option<Finding>) {
    let Some(at) = mapping.iter().position(|m| m.canonical == Some("stated_area")) else {
        return (Some(stated_area::IN_VECTOR_FILES[0]), None);
    };
    if let Some(named) = field_names::unit_of(&mapping[at].field) {
        return (Some(named), None);
    }
    let sample = |feature: &Feature| {
        let (text, _) = texts.decode(feature.values.get(at)?.clone()?)?;
        let number = stated_area::bare_number(&text)?;
        let Shape::Polygons(parts) = &feature.shape else { return None };
        let built = rings::build(parts.clone(), system.usable?, 0);
        Some((number, area::ellipsoidal(&built.geometry?)))
    };
    let weighed = ColumnUnit::weigh(features.iter().filter_map(sample), stated_area::IN_VECTOR_FILES);
    (weighed.is_settled().then_some(weighed.unit), weighed.told(&mapping[at].field))
}

pub(super) fn first_point(features: &[Feature]) -> Option<(f64, f64)> {
    features
        .iter()
        .filter_map(|f| if let Shape::Polygons(parts) = &f.shape { Some(parts) } else { None })
        .flatten()
        .flatten()
        .flatten()
        .copied()
        .find(|(x, y)| x.is_finite() && y.is_finite())
}

/// The system as reports show it, and as the coordinates at hand are in.
pub(super) struct System {
    pub shown: Option<Crs>,
    /// `None` where nobody knows, or the axes are turned: no geometry is built then.
    pub usable: Option<Crs>,
}

fn decide_crs(
    header: &Header,
    sample: Option<(f64, f64)>,
    options: &ReadOptions,
    findings: &mut Vec<Finding>,
) -> System {
    let declared = options.crs.or(header.epsg.map(Crs::from_epsg));
    if let Some(legacy) = declared.filter(|crs| crs.is_legacy_chinese_datum()) {
        findings.push(Finding::error(
            "datum_not_supported",
            Place::whole(),
            format!("坐标系 {legacy} 不是 2000 国家大地坐标系，转换参数属涉密资料，不能在此转换；请提供转换后的成果"),
        ));
        return System { shown: declared, usable: None };
    }
    if header.transformed {
        let name = header.srs_name.as_deref().unwrap_or("未命名");
        let name: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
        findings.push(Finding::info(
            "crs_transformed",
            Place::whole(),
            if header.same_datum {
                format!("文件的坐标系是“{name}”，属 2000 国家大地坐标系，已由投影反算为经纬度")
            } else {
                format!(
                    "文件的坐标系是“{name}”，已按公布的参数转换为经纬度（WGS 84，与 2000 国家大地坐标系相差厘米级）"
                )
            },
        ));
        return System { shown: declared, usable: Some(Crs::Cgcs2000) };
    }
    let Some(sample) = sample else { return System { shown: declared, usable: declared } };
    let detection = crs::detect(&[sample], None, None);
    match declared {
        None => {
            let found = detection.crs;
            findings.extend(at_first_row(detection.findings));
            if let Some(found) = found.filter(|_| !detection.swapped) {
                findings.push(Finding::warning(
                    "crs_detected",
                    Place::whole(),
                    format!(
                        "文件没有说明坐标系，按坐标数值判断为{}（{found}）；不对时请指定坐标系（crs）",
                        found.label()
                    ),
                ));
            }
            System { shown: found, usable: found.filter(|_| !detection.swapped) }
        }
        Some(declared) if detection.swapped => {
            findings
                .extend(at_first_row(detection.findings.into_iter().filter(|f| f.code == "axes_swapped").collect()));
            System { shown: Some(declared), usable: None }
        }
        Some(declared) => {
            let contradicts = detection.crs.is_some_and(|found| !agree(declared, found));
            if contradicts {
                findings.push(contradiction(declared, sample));
            }
            System { shown: Some(declared), usable: Some(declared).filter(|_| !contradicts) }
        }
    }
}

/// Whether numbers that look like `found` may stand in a file of system `declared`.
fn agree(declared: Crs, found: Crs) -> bool {
    match (declared, found) {
        (Crs::GaussKruger3 { zone: a, prefixed: true }, Crs::GaussKruger3 { zone: b, .. })
        | (Crs::GaussKruger6 { zone: a, prefixed: true }, Crs::GaussKruger6 { zone: b, .. }) => a == b,
        (d, f) => {
            d.is_geographic() == f.is_geographic() && !matches!(f, Crs::GaussKruger3 { .. } | Crs::GaussKruger6 { .. })
        }
    }
}

fn contradiction(declared: Crs, (x, y): (f64, f64)) -> Finding {
    Finding::error(
        "crs_contradicts_numbers",
        Place::row(1).coordinate(x, y),
        format!(
            "文件声明的坐标系是{}（{declared}），但坐标（{x}，{y}）不像；请核对带号，或指定坐标系（crs）",
            declared.label()
        ),
    )
}

fn at_first_row(mut findings: Vec<Finding>) -> Vec<Finding> {
    for finding in &mut findings {
        finding.place.row = Some(1);
    }
    findings
}
