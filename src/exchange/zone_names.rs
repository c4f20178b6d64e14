//! What the files of control lines call their fields: the names of the 三线一单 exchange format and of land surveys (domain.md §8), and
//! plain words.

/// Canonical name, Chinese title, other words.
pub(super) const ZONES: [(&str, &str, &[&str]); 14] = [
    (
        "id",
        "编号",
        &[
            "hjzhgkdybm",
            "环境管控单元编码",
            "管控单元编码",
            "单元编码",
            "yjjbnttbbh",
            "永久基本农田图斑编号",
            "图斑编号",
            "tbbh",
            "hxbh",
            "红线编号",
            "红线编码",
            "zone_no",
        ],
    ),
    (
        "name",
        "名称",
        &["hjzhgkdymc", "环境管控单元名称", "管控单元名称", "单元名称", "红线名称", "hxmc", "边界名称", "zone_name"],
    ),
    ("kind", "管控类型", &["kind", "管控类型", "管控类型代码", "控制线类型", "gklx", "kzxlx", "zone_kind"]),
    (
        "management_class",
        "单元分类",
        &["zhgkdyfl", "环境管控单元分类", "管控单元分类", "单元分类", "management_class", "gkdyfl"],
    ),
    ("rule", "管控要求", &["rule", "管控要求", "gkyq", "管制要求"]),
    ("spatial_rule", "空间布局约束", &["kjbjys", "空间布局约束", "spatial_rule"]),
    ("pollution_rule", "污染物排放管控", &["pwwpfgk", "污染物排放管控", "pollution_rule"]),
    ("risk_rule", "环境风险防控", &["hjfxfk", "环境风险防控", "risk_rule"]),
    (
        "resource_rule",
        "资源开发利用要求",
        &["zykfxlyq", "资源开发效率要求", "资源开发利用要求", "资源利用效率要求", "resource_rule"],
    ),
    ("province", "省", &["prov", "省", "province", "省份"]),
    ("city", "市", &["city", "市", "所在市"]),
    ("county", "县", &["县", "county_name", "division_name"]),
    ("county_code", "行政区划代码", &["division_code", "行政区划"]),
    ("stated_area", "面积", &["jbntmj", "永久基本农田面积", "tbmj", "图斑面积", "hxmj", "红线面积"]),
];

/// In the 三线一单 format the county's name, among the names of province and city; elsewhere an area.
pub(super) const COUNTY_OR_AREA: &str = "area";
