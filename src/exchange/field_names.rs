//! The synonym table: which field of a file is which of ours. Chinese, pinyin initials, English; one place.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{FieldMapping, ledger_names, zone_names};
use crate::domain::area::AreaUnit;
use crate::domain::ledger::FieldKind;
use crate::domain::{Finding, Ledger, Place};

/// Canonical name, Chinese title, and what files call it (compared without case, blanks, width and marks).
const SYNONYMS: [(&str, &str, &[&str]); 27] = [
    (
        "id",
        "编号",
        &[
            "id",
            "编号",
            "地块编号",
            "区块编号",
            "区块号",
            "宗地编号",
            "宗地代码",
            "地块代码",
            "dkbh",
            "qkbh",
            "zdbh",
            "zddm",
            "dkdm",
            "bsm",
            "标识码",
            "parcel_no",
            "parcelid",
            "block_no",
            "number",
            "gml_id",
            "fid_1",
        ],
    ),
    (
        "name",
        "名称",
        &["name", "名称", "地块名称", "区块名称", "片区名称", "dkmc", "qkmc", "mc", "block_name", "parcel_name"],
    ),
    (
        "park_code",
        "园区代码",
        &[
            "park_code",
            "园区代码",
            "开发区代码",
            "园区编码",
            "yqdm",
            "kfqdm",
            "yqbm",
            "parkcode",
            "代码",
            "code",
            "园区码",
        ],
    ),
    ("park_name", "园区名称", &["park_name", "园区名称", "开发区名称", "园区", "yqmc", "kfqmc", "parkname", "园区名"]),
    (
        "stated_area",
        "面积",
        &[
            "area",
            "面积",
            "地块面积",
            "区块面积",
            "标注面积",
            "公告面积",
            "核准面积",
            "批准面积",
            "规划面积",
            "用地面积",
            "mj",
            "dkmj",
            "qkmj",
            "pzmj",
            "stated_area",
            "approved_area",
            "contenance",
            "area_ha",
            "area_mu",
            "area_m2",
            "approved_area_ha",
            "stated_area_ha",
            "stated_area_m2",
            "核准",
            "公告",
            "appr_ha",
        ],
    ),
    ("east", "东至", &["east", "东", "东至", "四至东", "dz", "szd", "东侧", "东临"]),
    ("south", "南至", &["south", "南", "南至", "四至南", "nz", "szn", "南侧", "南临"]),
    ("west", "西至", &["west", "西", "西至", "四至西", "xz", "szx", "西侧", "西临"]),
    ("north", "北至", &["north", "北", "北至", "四至北", "bz_north", "szb", "北侧", "北临"]),
    ("four_extents", "四至范围", &["four_extents", "四至", "四至范围", "szfw", "四至描述", "sizhi", "extents"]),
    (
        "approved_text",
        "批准时间",
        &["approved_text", "批准时间", "批准日期", "pzsj", "approved_ym", "approved_on", "批准时", "approved"],
    ),
    ("leading_industries", "主导产业", &["leading_industries", "主导产业", "zdcy", "industries", "产业"]),
    ("level", "级别", &["level", "级别", "园区级别", "jb", "等级"]),
    ("type", "类型", &["type", "类型", "园区类型", "lx", "类别", "开发区类型"]),
    (
        "prefecture",
        "市州",
        &["prefecture", "市州", "所在市州", "地市", "所属市州", "sz", "市", "prefecture_name", "市州名", "pref_name"],
    ),
    ("prefecture_code", "市州代码", &["prefecture_code", "市州代码", "地市代码", "市州码", "pref_code"]),
    (
        "county_code",
        "县区代码",
        &[
            "county_code",
            "县区代码",
            "区县代码",
            "行政区代码",
            "行政区划代码",
            "xzqdm",
            "xzqhdm",
            "county_code_guess",
            "项目所在县区代码",
            "county_codes",
            "县区码",
            "county_cod",
        ],
    ),
    ("county", "县区", &["county", "县区", "区县", "县市区", "xzqmc", "行政区名称", "县区名", "countyname"]),
    ("land_use", "用途", &["land_use", "地块用途", "用途", "土地用途", "dkyt", "yt"]),
    ("land_use_code", "地类编码", &["land_use_code", "地类编码", "地类代码", "dlbm", "dldm"]),
    ("map_sheet", "图幅号", &["map_sheet", "图幅号", "tfh"]),
    ("location", "坐落", &["location", "坐落", "zl", "位置", "地址"]),
    ("document_no", "批准文号", &["document_no", "批准文号", "批文号", "文号", "pzwh"]),
    ("note", "备注", &["note", "备注", "bz", "说明", "remark"]),
    ("serial", "序号", &["serial", "序号", "xh", "seq"]),
    ("source", "来源", &["source", "来源", "数据来源", "ly"]),
    ("aliases", "别名", &["aliases", "别名", "曾用名"]),
];

/// Whose words a file is read by: 批准面积 is a block's area, and one of several areas of a parcel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Vocabulary {
    /// Parks and their blocks.
    #[default]
    Boundaries,
    Ledger(Ledger),
    /// Control lines.
    Zones,
}

/// What control lines share with blocks.
const SHARED_WITH_ZONES: [&str; 9] =
    ["id", "name", "stated_area", "county_code", "county", "source", "document_no", "land_use_code", "note"];

/// What parcels share with blocks.
const SHARED_WITH_LEDGERS: [&str; 8] =
    ["id", "name", "park_code", "park_name", "stated_area", "county_code", "county", "source"];

impl Vocabulary {
    /// The canonical name of a field, if the tables know it.
    pub fn canonical(self, field: &str) -> Option<&'static str> {
        match self {
            Vocabulary::Boundaries => canonical(field),
            Vocabulary::Ledger(ledger) => canonical_in_ledger(ledger, field),
            Vocabulary::Zones => canonical_in_zones(field),
        }
    }
}

/// Canonical names by what is left of the words for them ([`plain`]): all words would be made plain for each field of each edit.
struct Known {
    boundaries: HashMap<String, &'static str>,
    common: HashMap<String, &'static str>,
    zones: HashMap<String, &'static str>,
    ledgers: Vec<(Ledger, HashMap<String, &'static str>)>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let of_table = |table: &[(&'static str, &str, &'static [&'static str])]| {
        by_plain(table.iter().flat_map(|(name, _, words)| words.iter().map(|word| (*word, *name))))
    };
    Known {
        boundaries: of_table(&SYNONYMS),
        common: of_table(&ledger_names::COMMON),
        zones: of_table(&zone_names::ZONES),
        ledgers: Ledger::ALL.into_iter().map(|ledger| (ledger, by_plain(ledger_names::names(ledger)))).collect(),
    }
});

fn by_plain(names: impl Iterator<Item = (&'static str, &'static str)>) -> HashMap<String, &'static str> {
    let mut known = HashMap::new();
    for (word, name) in names {
        known.entry(plain(word)).or_insert(name);
    }
    known
}

/// A ledger's own words first: where 批准面积 is a field, it is not the area of the parcel.
fn canonical_in_ledger(ledger: Ledger, field: &str) -> Option<&'static str> {
    let (bare, _) = split_unit(field);
    let [whole, plain] = [plain(field), plain(&bare)];
    if plain.is_empty() {
        return None;
    }
    let of_ledger = KNOWN.ledgers.iter().find(|(of, _)| *of == ledger).map(|(_, names)| names)?;
    // 价款(万元) by its whole name; 批准面积(亩) without its unit.
    let found = of_ledger.get(&whole).or_else(|| of_ledger.get(&plain)).or_else(|| KNOWN.common.get(&plain));
    found.copied().or_else(|| canonical(field).filter(|name| SHARED_WITH_LEDGERS.contains(name)))
}

fn canonical_in_zones(field: &str) -> Option<&'static str> {
    let (bare, unit) = split_unit(field);
    let found = KNOWN.zones.get(&plain(&bare)).copied().filter(|name| unit.is_none() || *name == "stated_area");
    found.or_else(|| canonical(field).filter(|name| SHARED_WITH_ZONES.contains(name)))
}

/// The canonical name of a field, if the table knows it.
pub fn canonical(field: &str) -> Option<&'static str> {
    let (bare, unit) = split_unit(field);
    let plain = plain(&bare);
    if plain.is_empty() {
        return None;
    }
    let found = KNOWN.boundaries.get(&plain).copied();
    // A heading with a unit of area names an area or nothing of ours: 备注（亩） is no note.
    if unit.is_some() { found.filter(|name| *name == "stated_area") } else { found }
}

/// The Chinese title of a canonical name.
pub fn title(canonical: &str) -> Option<&'static str> {
    let of_table =
        SYNONYMS.iter().chain(&ledger_names::COMMON).chain(&zone_names::ZONES).find(|(name, ..)| *name == canonical);
    of_table
        .map(|(_, title, _)| *title)
        .or_else(|| Ledger::ALL.into_iter().find_map(|ledger| ledger.field(canonical)).map(|field| field.title.zh))
}

/// The unit that a field's name tells: 面积（公顷）, area_mu, MJ_M2, contenance (French cadastre: m²).
pub fn unit_of(field: &str) -> Option<AreaUnit> {
    let (_, unit) = split_unit(field);
    unit.or_else(|| {
        let plain = plain(field);
        if plain == "contenance" {
            return Some(AreaUnit::SquareMetre);
        }
        let tail = plain.rsplit('_').next()?;
        (tail.len() < plain.len()).then(|| AreaUnit::parse(tail)).flatten()
    })
}

/// 核准面积(公顷) → (核准面积, hectares); 面积_亩 likewise.
fn split_unit(field: &str) -> (String, Option<AreaUnit>) {
    let form: String = field.trim().chars().map(half_width).collect();
    if let Some((head, tail)) = form.split_once(['(', '[', '/'])
        && let Some(unit) = AreaUnit::parse(tail.trim_end_matches([')', ']']))
    {
        return (head.to_owned(), Some(unit));
    }
    if let Some((head, tail)) = form.rsplit_once('_')
        && !head.is_ascii()
        && let Some(unit) = AreaUnit::parse(tail)
    {
        return (head.to_owned(), Some(unit));
    }
    (form, None)
}

fn plain(field: &str) -> String {
    field
        .chars()
        .map(half_width)
        .filter(|c| !c.is_whitespace() && !matches!(c, '.' | ':' | '-' | '*'))
        .flat_map(char::to_lowercase)
        .collect()
}

fn half_width(c: char) -> char {
    match c {
        '（' => '(',
        '）' => ')',
        '【' => '[',
        '】' => ']',
        c @ '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        c => c,
    }
}

/// Names of the fields in files of ours, and the property of the layer that each shows.
pub type OwnNames = HashMap<String, &'static str>;

/// A field that is told by the register, not by the file.
pub const TOLD: &str = "told";

/// The mapping of a file that is an export of ours: nearly all its fields are ours by name, and the id and the computed area are among
/// them, which no paper has. Then 园区名称 is what the register found, not what a paper says. The fields go by the properties' names,
/// which name their units.
fn map_own(fields: &[String], ledger: Ledger, own: &OwnNames) -> Option<Vec<FieldMapping>> {
    let known: Vec<Option<&'static str>> = fields.iter().map(|f| own.get(f.trim()).copied()).collect();
    let has = |name: &str| known.contains(&Some(name));
    let ours = known.iter().flatten().count();
    if !(has("id") && has("computed_area_m2") && has("state") && ours * 10 >= fields.len() * 9) {
        return None;
    }
    let canonical = |property: &'static str| match property {
        "number" => Some("id"),
        "stated_area_m2" => Some("stated_area"),
        "stated_park" => Some("park_name"),
        "name" | "county_code" | "state" | "held_state" | "state_on" | "source" => Some(property),
        property => Some(ledger.field(property).map_or(TOLD, |field| field.name)),
    };
    let mapped = |(field, known): (&String, Option<&'static str>)| match (known, continued(field, own)) {
        (Some(property), _) => FieldMapping { field: property.into(), canonical: canonical(property) },
        // A further field of a long text, which goes by the first one's name too.
        (None, Some(name)) => FieldMapping { field: name.as_str().into(), canonical: Some(TOLD) },
        (None, None) => FieldMapping { field: field.as_str().into(), canonical: None },
    };
    Some(fields.iter().zip(known).map(mapped).collect())
}

/// Headings that name an amount of ours in a unit that is not known: 批准面积（万平方米） passed over would be an amount lost.
fn unknown_units(fields: &[String], mapping: &[FieldMapping], vocabulary: Vocabulary) -> Vec<Finding> {
    let Vocabulary::Ledger(ledger) = vocabulary else { return Vec::new() };
    let unmapped = fields.iter().zip(mapping).filter(|(_, m)| m.canonical.is_none());
    unmapped
        .filter_map(|(field, _)| {
            let form: String = field.trim().chars().map(half_width).collect();
            let (bare, _) = form.split_once(['(', '[', '/'])?;
            let name = vocabulary.canonical(bare)?;
            let is_amount = name == "stated_area"
                || ledger.field(name).is_some_and(|f| matches!(f.kind, FieldKind::Area | FieldKind::Number));
            is_amount.then(|| {
                let wanted = ledger.field(name).and_then(|f| f.unit).unwrap_or("平方米、公顷、亩");
                let message = format!("字段“{field}”的单位不认识；可用：{wanted}");
                Finding::error("unit_unknown", Place::whole().field(field.as_str()), message)
            })
        })
        .collect()
}

/// 备注2 of 备注, by the property's name: note2.
fn continued(field: &str, own: &OwnNames) -> Option<String> {
    let first = field.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = &field[first.len()..];
    own.get(first).filter(|_| !number.is_empty()).map(|property| format!("{property}{number}"))
}

/// Maps all fields of a file. A canonical name goes to the first field that claims it, unless a later one is spelled as
/// the canonical name itself; the others stay plain attributes and a finding says so.
pub fn map_fields(fields: &[String], vocabulary: Vocabulary, own: &OwnNames) -> (Vec<FieldMapping>, Vec<Finding>) {
    if let Vocabulary::Ledger(ledger) = vocabulary
        && let Some(mapping) = map_own(fields, ledger, own)
    {
        return (mapping, Vec::new());
    }
    let mapped = |field: &String| FieldMapping { field: field.as_str().into(), canonical: vocabulary.canonical(field) };
    let mut mapping: Vec<FieldMapping> = fields.iter().map(mapped).collect();
    let has = |names: &[&str]| mapping.iter().any(|m| m.canonical.is_some_and(|name| names.contains(&name)));
    // A file that says its counties otherwise means an area by it.
    if vocabulary == Vocabulary::Zones && has(&["province", "city"]) && !has(&["county", "county_code"]) {
        let county = mapping.iter_mut().find(|m| plain(&m.field) == zone_names::COUNTY_OR_AREA);
        if let Some(county) = county {
            county.canonical = Some("county");
        }
    }
    let mut findings = unknown_units(fields, &mapping, vocabulary);
    for i in 0..mapping.len() {
        let Some(name) = mapping[i].canonical else { continue };
        let Some(first) = mapping[..i].iter().position(|m| m.canonical == Some(name)) else { continue };
        let (kept, dropped) = if mapping[i].field.eq_ignore_ascii_case(name) { (i, first) } else { (first, i) };
        mapping[dropped].canonical = None;
        findings.push(Finding::info(
            "field_ambiguous",
            Place::whole().field(&*mapping[dropped].field),
            format!(
                "字段“{}”和“{}”都可作为“{}”，采用“{}”",
                mapping[first].field,
                mapping[i].field,
                title(name).unwrap_or(name),
                mapping[kept].field
            ),
        ));
    }
    (mapping, findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_real_files() {
        for (field, expected) in [
            ("DKBH", Some("id")),
            ("地块编号", Some("id")),
            ("区块编号 ", Some("id")),
            ("ＤＫＭＣ", Some("name")),
            ("核准面积（公顷）", Some("stated_area")),
            ("面积_亩", Some("stated_area")),
            ("MJ", Some("stated_area")),
            ("contenance", Some("stated_area")),
            ("东至", Some("east")),
            ("四至范围", Some("four_extents")),
            ("XZQDM", Some("county_code")),
            ("DLBM", Some("land_use_code")),
            ("主导产业", Some("leading_industries")),
            ("备注", Some("note")),
            ("备注（亩）", None),
            ("OBJECTID", None),
            ("", None),
        ] {
            assert_eq!(canonical(field), expected, "{field}");
        }
    }

    #[test]
    fn a_ledger_reads_by_its_own_words() {
        let turnover = Vocabulary::Ledger(Ledger::Turnover);
        let low = Vocabulary::Ledger(Ledger::LowEfficiency);
        for (vocabulary, field, expected) in [
            (turnover, "地块编号", Some("id")),
            (turnover, "批准面积（亩）", Some("approved_area_m2")),
            (turnover, "approved_area_m2", Some("approved_area_m2")),
            (turnover, "面积(公顷)", Some("stated_area")),
            (turnover, "成交价款(万元)", Some("price_10k_yuan")),
            (turnover, "ＰＺＷＨ", Some("approval_doc_province")),
            (turnover, "园区名称", Some("park_name")),
            (turnover, "主导产业", None),
            (turnover, "状态", Some("state")),
            (low, "PZWH", Some("approval_doc")),
            (low, "RJL", Some("floor_area_ratio")),
            (low, "ZDBH", Some("id")),
            (low, "MJ", Some("stated_area")),
            (low, "DJMJ", Some("registered_area_m2")),
            (low, "产权人", Some("owner")),
            (Vocabulary::Ledger(Ledger::Plan), "所属地块", Some("parcel_no")),
        ] {
            assert_eq!(vocabulary.canonical(field), expected, "{field}");
        }
    }

    #[test]
    fn units_in_headings() {
        for (field, expected) in [
            ("核准面积(公顷)", Some("ha")),
            ("面积（亩）", Some("mu")),
            ("area_ha", Some("ha")),
            ("area_mu", Some("mu")),
            ("用地面积/㎡", Some("m2")),
            ("contenance", Some("m2")),
            ("MJ", None),
        ] {
            assert_eq!(unit_of(field).map(AreaUnit::as_str), expected, "{field}");
        }
    }

    #[test]
    fn every_synonym_is_claimed_once() {
        let mut seen = std::collections::HashMap::new();
        for (name, _, words) in SYNONYMS {
            for word in words {
                if let Some(other) = seen.insert(plain(word), name) {
                    panic!("“{word}” is claimed by {other} and {name}");
                }
            }
        }
    }

    #[test]
    fn two_fields_for_one_name_are_told() {
        let fields = ["DKBH", "BSM", "name", "面积"].map(str::to_owned);
        let (mapping, findings) = map_fields(&fields, Vocabulary::Boundaries, &OwnNames::new());
        assert_eq!(
            mapping.iter().map(|m| m.canonical).collect::<Vec<_>>(),
            [Some("id"), None, Some("name"), Some("stated_area")]
        );
        assert_eq!(findings.iter().map(|f| f.code.as_ref()).collect::<Vec<_>>(), ["field_ambiguous"]);
        let (mapping, _) = map_fields(&["BSM".to_owned(), "id".to_owned()], Vocabulary::Boundaries, &OwnNames::new());
        assert_eq!(mapping[1].canonical, Some("id"), "a field spelled as the canonical name wins");
    }
}
