//! The published layers, each declared once.

use std::sync::LazyLock;

use super::ledgers;
use crate::domain::Ledger;
use crate::domain::generalisation::Generalisation;
use crate::domain::layer::{
    Classification, KnownValue, Layer, Property, PropertyKind, Shows, Source, Titles, Visibility,
};
use PropertyKind::{Boolean, Integer, Number, Text, TextList};

const fn t(zh: &'static str, en: &'static str) -> Titles {
    Titles { zh, en }
}

const fn p(name: &'static str, kind: PropertyKind, zh: &'static str, en: &'static str) -> Property {
    Property::new(name, kind, t(zh, en))
}

/// A property that may be asked for by name.
const fn q(name: &'static str, kind: PropertyKind, zh: &'static str, en: &'static str) -> Property {
    Property::new(name, kind, t(zh, en)).queryable()
}

const fn area(name: &'static str, zh: &'static str, en: &'static str, unit: &'static str) -> Property {
    Property::new(name, Number, t(zh, en)).unit(unit)
}

const fn v(value: &'static str, zh: &'static str, en: &'static str) -> KnownValue {
    KnownValue { value, title: t(zh, en) }
}

const PARK_LEVELS: &[KnownValue] = &[v("国家级", "国家级", "National"), v("省级", "省级", "Provincial")];
const PARK_STATUSES: &[KnownValue] = &[
    v("active", "正常", "Active"),
    v("under_adjustment", "调整中", "Under adjustment"),
    v("merged", "已合并", "Merged"),
    v("revoked", "已撤销", "Revoked"),
    v("upgraded", "已升级", "Upgraded"),
    v("split", "已拆分", "Split"),
];
const DIVISION_LEVELS: &[KnownValue] = &[
    v("province", "省", "Province"),
    v("prefecture", "市州", "Prefecture"),
    v("county", "县区", "County"),
    v("statistical", "统计用代码", "Statistical code"),
    v("superseded", "已停用代码", "Superseded code"),
];

/// A table that everybody may see.
const fn from(table: &'static str, id: &'static str, shows: Shows, zh: &'static str, en: &'static str) -> Source {
    Source { table, title: t(zh, en), id, shows, division: None }
}

/// All published layers, in the order of the collections page.
pub static LAYERS: LazyLock<Vec<Layer>> = LazyLock::new(|| {
    [PARKS, PARK_BLOCKS, DIVISIONS, CONTROL_ZONES].into_iter().chain(Ledger::ALL.map(ledgers::layer)).collect()
});

/// The layer of this id.
pub fn find(id: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.id == id)
}

/// What the public sees of parks and blocks: within 10 m of the border, on a grid of some 11 m. The handbook (domain.md §11) gives no
/// number; ours is coarse enough to set no boundary mark by and fine enough for a map of a county.
const OUTLINE: Generalisation = Generalisation { tolerance_m: 10.0, decimals: 4 };

pub const PARKS: Layer = Layer {
    id: "parks",
    title: t("产业园区", "Industrial parks"),
    description: t(
        "园区名录与现行边界（各区块合成一个多面）；示意（illustrative）为是者，边界由程序绘制",
        "Park directory with current boundaries, the blocks of a park as one multipolygon; illustrative = drawn, not surveyed",
    ),
    relation: "layer_parks",
    sources: &[
        from("park", "code", Shows::AsItself, "园区", "Park"),
        from("park_block", "id", Shows::InFeatureOf("park_code"), "区块", "Block"),
        from("division", "code", Shows::WhereProperty("prefecture_code"), "市州", "Prefecture"),
    ],
    label: Some("name"),
    properties: &[
        q("code", Text, "园区代码", "Park code").from_zoom(0),
        q("name", Text, "名称", "Name").from_zoom(0),
        p("aliases", TextList, "别名", "Aliases"),
        q("level", Text, "级别", "Level").from_zoom(0).values(PARK_LEVELS),
        q("type", Text, "类型", "Type"),
        q("prefecture_code", Text, "市州代码", "Prefecture code"),
        q("prefecture_name", Text, "市州", "Prefecture"),
        q("county_codes", TextList, "县区代码", "County codes"),
        q("leading_industries", TextList, "主导产业", "Leading industries"),
        p("approved_text", Text, "批准时间", "Approved (year.month)"),
        area("approved_area_ha", "核准面积", "Approved area", "ha"),
        area("stated_area_ha", "公告面积", "Stated area", "ha"),
        area("computed_area_m2", "椭球面积", "Computed ellipsoidal area", "m2"),
        area("computed_area_ha", "椭球面积", "Computed ellipsoidal area", "ha"),
        area("computed_area_mu", "椭球面积", "Computed ellipsoidal area", "mu"),
        p("block_count", Integer, "区块数", "Number of blocks"),
        q("status", Text, "状态", "Status").from_zoom(0).values(PARK_STATUSES),
        p("successor_code", Text, "并入园区", "Successor"),
        q("illustrative", Boolean, "示意", "Illustrative"),
        p("source", Text, "来源", "Source").not_in_tiles(),
    ],
    visibility: Visibility::Public,
    classification: Classification::Public,
    generalisation: Some(OUTLINE),
    ..Layer::OF_REGISTER
};

pub const PARK_BLOCKS: Layer = Layer {
    id: "park_blocks",
    title: t("园区区块", "Park blocks"),
    description: t("园区的区块边界、四至文字与面积", "Blocks of parks: boundary, four-extents words, areas"),
    relation: "layer_park_blocks",
    current_only: true,
    sources: &[
        from("park_block", "id", Shows::AsItself, "区块", "Block"),
        from("park", "code", Shows::WhereProperty("park_code"), "园区", "Park"),
    ],
    properties: &[
        q("id", Text, "区块标识", "Block id"),
        q("park_code", Text, "园区代码", "Park code"),
        q("park_name", Text, "园区名称", "Park name"),
        q("number", Text, "区块编号", "Block number"),
        q("name", Text, "区块名称", "Block name"),
        area("stated_area_ha", "公告面积", "Stated area", "ha"),
        area("computed_area_m2", "椭球面积", "Computed ellipsoidal area", "m2"),
        area("computed_area_ha", "椭球面积", "Computed ellipsoidal area", "ha"),
        area("computed_area_mu", "椭球面积", "Computed ellipsoidal area", "mu"),
        p("east", Text, "东至", "East").not_in_tiles(),
        p("south", Text, "南至", "South").not_in_tiles(),
        p("west", Text, "西至", "West").not_in_tiles(),
        p("north", Text, "北至", "North").not_in_tiles(),
        p("four_extents", Text, "四至范围", "Four extents").not_in_tiles(),
        q("illustrative", Boolean, "示意", "Illustrative"),
        p("source", Text, "来源", "Source").not_in_tiles(),
        p("source_crs", Text, "原坐标系", "Source CRS").not_in_tiles(),
        q("prefecture_code", Text, "市州代码", "Prefecture code"),
    ],
    visibility: Visibility::Public,
    classification: Classification::Public,
    generalisation: Some(OUTLINE),
    ..Layer::OF_REGISTER
};

pub const DIVISIONS: Layer = Layer {
    id: "divisions",
    title: t("行政区划", "Administrative divisions"),
    description: t(
        "省、市州、县区代码；市州有概略界线，不作定界依据",
        "Province, prefecture and county codes; prefectures with a generalised outline that decides no boundary",
    ),
    relation: "layer_divisions",
    sources: &[from("division", "code", Shows::AsItself, "行政区划", "Division")],
    properties: &[
        q("code", Text, "代码", "Code").from_zoom(0),
        q("name", Text, "名称", "Name").from_zoom(0),
        q("level", Text, "级别", "Level").from_zoom(0).values(DIVISION_LEVELS),
        q("parent_code", Text, "上级代码", "Parent code"),
        q("maps_to", Text, "对应代码", "Stands for"),
        p("note", Text, "说明", "Note").not_in_tiles(),
        p("source", Text, "来源", "Source").not_in_tiles(),
    ],
    visibility: Visibility::Public,
    classification: Classification::Public,
    ..Layer::OF_REGISTER
};

/// Control lines: what must not be taken, must not be left, or has rules of its own. All of the staff see all of them, whosever they are.
pub const CONTROL_ZONES: Layer = Layer {
    id: "control_zones",
    title: t("管控区域", "Control zones"),
    description: t(
        "三区三线与三线一单：永久基本农田、生态保护红线、城镇开发边界、环境管控单元等，附管控要求",
        "Control lines with their rules: permanent farmland, ecological red line, urban development boundary, environmental control units",
    ),
    relation: "layer_control_zones",
    sources: &[
        from("control_zone", "id", Shows::AsItself, "管控区域", "Control zone"),
        from("control_zone_kind", "code", Shows::WhereProperty("kind"), "管控类型", "Kind of zones"),
        from("division", "code", Shows::WhereProperty("division_code"), "行政区划", "Division"),
    ],
    label: Some("name"),
    properties: &[
        q("id", Text, "标识", "Id"),
        q("kind", Text, "管控类型代码", "Kind").from_zoom(0),
        p("kind_name", Text, "管控类型", "Kind in Chinese").from_zoom(0),
        q("number", Text, "编号", "Number"),
        q("name", Text, "名称", "Name"),
        q("division_code", Text, "行政区划代码", "Division code"),
        p("division_name", Text, "行政区划", "Division"),
        q("effect", Text, "管控方式", "Effect").from_zoom(0).values(ZONE_EFFECTS),
        p("park_weight", Text, "园区边界冲突等级", "Weight for a park's boundary").values(ZONE_WEIGHTS),
        p("parcel_weight", Text, "地块冲突等级", "Weight for a parcel").values(ZONE_WEIGHTS),
        q("management_class", Text, "单元分类", "Class of a control unit"),
        p("rule", Text, "管控要求", "Rule").not_in_tiles(),
        p("spatial_rule", Text, "空间布局约束", "Rules of layout").not_in_tiles(),
        p("pollution_rule", Text, "污染物排放管控", "Rules of discharge").not_in_tiles(),
        p("risk_rule", Text, "环境风险防控", "Rules of risk").not_in_tiles(),
        p("resource_rule", Text, "资源开发利用要求", "Rules of resources").not_in_tiles(),
        p("document_no", Text, "文号", "Document"),
        area("stated_area_ha", "标注面积", "Stated area", "ha"),
        area("computed_area_m2", "椭球面积", "Computed ellipsoidal area", "m2"),
        area("computed_area_ha", "椭球面积", "Computed ellipsoidal area", "ha"),
        area("computed_area_mu", "椭球面积", "Computed ellipsoidal area", "mu"),
        q("illustrative", Boolean, "示意", "Illustrative"),
        p("source", Text, "来源", "Source").not_in_tiles(),
        p("source_crs", Text, "原坐标系", "Source CRS").not_in_tiles(),
    ],
    visibility: Visibility::Staff,
    classification: Classification::Internal,
    ..Layer::OF_REGISTER
};

const ZONE_EFFECTS: &[KnownValue] = &[
    v("keep_out", "避让", "Keep out"),
    v("keep_within", "应在界内", "Keep within"),
    v("inform", "告知管控要求", "Inform"),
];
const ZONE_WEIGHTS: &[KnownValue] = &[
    v("block", "不得通过", "Must not pass"),
    v("warn", "需核对", "To be looked at"),
    v("note", "提示", "For information"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DivisionLevel;
    use crate::domain::control_zone::Effect;
    use crate::domain::lifecycle::ParkStatus;
    use crate::domain::overlap_check::Weight;

    #[test]
    fn known_values_are_those_of_the_domain() {
        let of = |values: &[KnownValue]| values.iter().map(|v| (v.value, v.title.zh)).collect::<Vec<_>>();
        assert_eq!(of(PARK_STATUSES), ParkStatus::ALL.map(|s| (s.as_str(), s.label())));
        assert_eq!(of(DIVISION_LEVELS), DivisionLevel::ALL.map(|l| (l.as_str(), l.label())));
        assert_eq!(of(ZONE_EFFECTS), Effect::ALL.map(|e| (e.as_str(), e.label())));
        assert_eq!(of(ZONE_WEIGHTS), Weight::ALL.iter().map(|w| (w.as_str(), w.label())).collect::<Vec<_>>());
        for layer in LAYERS.iter() {
            let state = layer.property("state");
            let ledger = Ledger::ALL.into_iter().find(|l| l.layer() == layer.id);
            assert_eq!(state.is_some(), ledger.is_some(), "{}", layer.id);
            if let (Some(state), Some(ledger)) = (state, ledger) {
                let states: Vec<_> = ledger.machine().states.iter().map(|s| (s.code, s.label)).collect();
                assert_eq!(of(state.values), states, "{}", layer.id);
            }
        }
    }

    #[test]
    fn a_label_is_a_property() {
        for layer in LAYERS.iter() {
            assert!(layer.label.is_none_or(|label| layer.property(label).is_some()), "{}", layer.id);
        }
    }

    #[test]
    fn a_property_of_ours_is_the_column_of_its_name() {
        let plain = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        for property in LAYERS.iter().flat_map(|layer| layer.properties) {
            assert!(property.name == property.column && plain(property.name), "{property:?}");
        }
    }
}
