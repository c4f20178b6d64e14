//! The layers of the ledgers, made from their field tables.

use crate::domain::Ledger;
use crate::domain::layer::{
    Classification, KnownValue, Layer, Property, PropertyKind, Shows, Source, Titles, Visibility,
};
use crate::domain::ledger::{DerivedSet, Field, FieldKind};
use PropertyKind::{Boolean, Date, Integer, Number, Text, TextList};

const fn property(
    name: &'static str,
    kind: PropertyKind,
    queryable: bool,
    zh: &'static str,
    en: &'static str,
) -> Property {
    Property { queryable, ..Property::new(name, kind, Titles { zh, en }) }
}

const fn area(name: &'static str, zh: &'static str, en: &'static str, unit: &'static str) -> Property {
    property(name, Number, true, zh, en).unit(unit)
}

/// Before the fields: what it is, where it lies, where it stands.
fn head(ledger: Ledger) -> Vec<Property> {
    let mut head = vec![
        property("id", Text, true, "标识", "Id"),
        property("number", Text, true, if ledger == Ledger::Plan { "方案编号" } else { "地块编号" }, "Number"),
        property("name", Text, true, "名称", "Name"),
        property("county_code", Text, true, "县区代码", "County code"),
        property("county_name", Text, true, "县区", "County"),
    ];
    if ledger == Ledger::Plan {
        head.push(property("parcel_id", Text, true, "所属地块", "Parcel"));
        head.push(property("parcel_name", Text, false, "所属地块名称", "Name of the parcel"));
    }
    head.push(property("park_code", Text, true, "园区代码", "Park code"));
    head.push(property("park_name", Text, true, "园区名称", "Park name"));
    if ledger != Ledger::Plan {
        head.extend([
            property("block_id", Text, true, "区块", "Block"),
            property("inside_share", Number, false, "区块内占比", "Share inside the block"),
            property("stated_park", Text, false, "所填园区", "Park on paper"),
            property("park_agrees", Boolean, true, "园区相符", "Park on paper agrees"),
        ]);
    }
    head.extend([
        property("state", Text, true, "状态代码", "State").from_zoom(0).values(states(ledger)),
        property("state_label", Text, false, "状态", "State in Chinese"),
    ]);
    if ledger != Ledger::Plan {
        head.push(property("held_state", Text, true, "原状态", "State held meanwhile").values(states(ledger)));
    }
    head.push(property("state_on", Date, true, "状态日期", "In this state since"));
    if ledger != Ledger::Plan {
        head.extend([
            area("stated_area_m2", "标注面积", "Stated area", "m2"),
            area("computed_area_m2", "椭球面积", "Computed ellipsoidal area", "m2"),
            area("computed_area_ha", "椭球面积", "Computed ellipsoidal area", "ha"),
            area("computed_area_mu", "椭球面积", "Computed ellipsoidal area", "mu"),
        ]);
    }
    head
}

/// Declared once for the life of the program, as everything here is.
fn known(values: impl Iterator<Item = (&'static str, &'static str)>) -> &'static [KnownValue] {
    // The stable words are English already.
    let english = |code: &str| -> &'static str { String::leak(code.replace('_', " ")) };
    Vec::leak(values.map(|(value, zh)| KnownValue { value, title: Titles { zh, en: english(value) } }).collect())
}

fn states(ledger: Ledger) -> &'static [KnownValue] {
    known(ledger.machine().states.iter().map(|state| (state.code, state.label)))
}

fn stocks() -> &'static [KnownValue] {
    known(DerivedSet::ALL.into_iter().map(|set| (set.as_str(), set.label())))
}

fn of_field(field: &'static Field) -> Property {
    let kind = match field.kind {
        FieldKind::Text | FieldKind::Choice(_) => Text,
        FieldKind::Date => Date,
        FieldKind::Area | FieldKind::Number => Number,
        FieldKind::Year => Integer,
        FieldKind::Boolean => Boolean,
    };
    let unit = if field.kind == FieldKind::Area { Some("m2") } else { field.unit };
    // The words of the papers, in Chinese alone.
    let values: &'static [KnownValue] = match field.kind {
        FieldKind::Choice(words) => known(words.iter().map(|word| (*word, *word))),
        _ => &[],
    };
    Property { unit, queryable: field.queryable, values, ..Property::new(field.name, kind, field.title) }
}

/// Behind the fields: what is told of them.
fn told(ledger: Ledger) -> Vec<Property> {
    match ledger {
        Ledger::Turnover => vec![
            property("derived_sets", TextList, true, "存量类别", "Stocks").from_zoom(0).values(stocks()),
            property("approval_age_years", Integer, true, "批后年数", "Full years since approval"),
            property("approval_age", Text, true, "批后年限段", "Years since approval, bucketed"),
            property("start_overdue_days", Integer, true, "逾期开工天数", "Days past the agreed start"),
            property("finish_overdue_days", Integer, true, "逾期竣工天数", "Days past the agreed finish"),
            property("idle_stage", Text, true, "闲置预警", "Idle by the rule"),
        ],
        Ledger::LowEfficiency => vec![
            property("plan_id", Text, true, "方案标识", "Plan"),
            property("plan_no", Text, false, "再开发方案编号", "Number of the plan"),
            property("plan_state", Text, true, "方案状态", "State of the plan").values(states(Ledger::Plan)),
            property("plan_deadline_on", Date, true, "方案期限", "Deadline of the plan"),
        ],
        Ledger::Plan => vec![
            property("steps", TextList, false, "步骤", "Steps"),
            property("steps_open", Integer, true, "未完成步骤", "Steps not done"),
        ],
    }
}

const fn of_county(table: &'static str, id: &'static str, shows: Shows, zh: &'static str, en: &'static str) -> Source {
    Source { table, title: Titles { zh, en }, id, shows, division: Some("county_code") }
}

const fn of_all(table: &'static str, shows: Shows, zh: &'static str, en: &'static str) -> Source {
    Source { table, title: Titles { zh, en }, id: "code", shows, division: None }
}

const DIVISION: Source = of_all("division", Shows::WhereProperty("county_code"), "县区", "County");
const PARK: Source = of_all("park", Shows::WhereProperty("park_code"), "园区", "Park");

static OF_TURNOVER: [Source; 3] =
    [of_county("turnover_parcel", "id", Shows::AsItself, "周转用地", "Turnover land"), DIVISION, PARK];
static OF_LOW_EFFICIENCY: [Source; 4] = [
    of_county("low_efficiency_parcel", "id", Shows::AsItself, "低效用地", "Low-efficiency land"),
    of_county("redevelopment_plan", "id", Shows::InFeatureOf("parcel_id"), "再开发方案", "Redevelopment plan"),
    DIVISION,
    PARK,
];
static OF_PLANS: [Source; 5] = [
    of_county("redevelopment_plan", "id", Shows::AsItself, "再开发方案", "Redevelopment plan"),
    of_county("plan_step", "id", Shows::InFeatureOf("plan_id"), "步骤", "Step"),
    of_county("low_efficiency_parcel", "id", Shows::WhereProperty("parcel_id"), "低效用地", "Low-efficiency land"),
    DIVISION,
    PARK,
];

/// The layer of a ledger.
pub(super) fn layer(ledger: Ledger) -> Layer {
    let mut properties = head(ledger);
    properties.extend(ledger.fields().iter().map(of_field));
    properties.extend(told(ledger));
    properties.push(property("end_reason", Text, true, "终止原因", "Why its life ended"));
    properties.push(property("illustrative", Boolean, true, "示意", "Illustrative"));
    properties.push(property("source", Text, false, "来源", "Source").not_in_tiles());
    if ledger != Ledger::Plan {
        properties.push(property("source_crs", Text, false, "原坐标系", "Source CRS").not_in_tiles());
    }
    let (title, description, relation) = match ledger {
        Ledger::Turnover => (
            Titles { zh: "周转用地", en: "Turnover land" },
            Titles {
                zh: "园区周转用地台账：报批、征地、供地、交地、开竣工各环节的地块",
                en: "Ledger of turnover land: parcels on their way from approval to finished building",
            },
            "layer_turnover_parcels",
        ),
        Ledger::LowEfficiency => (
            Titles { zh: "低效用地", en: "Low-efficiency land" },
            Titles {
                zh: "低效用地台账：认定、编制方案、实施、验收、销号",
                en: "Ledger of low-efficiency land: recognition, plan, implementation, acceptance, closing",
            },
            "layer_low_efficiency_parcels",
        ),
        Ledger::Plan => (
            Titles { zh: "再开发方案", en: "Redevelopment plans" },
            Titles {
                zh: "低效用地再开发方案，一宗一策；图形为所属地块",
                en: "Redevelopment plans, one per low-efficiency parcel, on its land",
            },
            "layer_redevelopment_plans",
        ),
    };
    Layer {
        id: ledger.layer(),
        title,
        description,
        relation,
        sources: match ledger {
            Ledger::Turnover => &OF_TURNOVER,
            Ledger::LowEfficiency => &OF_LOW_EFFICIENCY,
            Ledger::Plan => &OF_PLANS,
        },
        // Declared once for the life of the program.
        properties: Vec::leak(properties),
        current_only: true,
        visibility: Visibility::Internal,
        classification: Classification::Internal,
        label: Some("name"),
        ..Layer::OF_REGISTER
    }
}
