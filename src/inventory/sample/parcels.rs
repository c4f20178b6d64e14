//! Drawn parcels (示意): cells of a grid inside the park blocks, in all states of both ledgers, with plans where a state rests on one.
//! Deterministic: days count back from a fixed one, so the same binary draws the same parcels for ever.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use geo::{BoundingRect, Contains, Coord, LineString, MultiPolygon, Polygon};
use rayon::prelude::*;

use super::blocks::Dice;
use crate::domain::ledger::{FieldValue, State, StateKind, Where};
use crate::domain::{Block, DivisionCode, Ledger, Parcel, Park, RecordId, SquareMetres};
use crate::geometry::area;

/// What every drawn parcel says of itself.
pub const SOURCE: &str = "示意：由 sizhi seed 绘制的地块，非真实台账";

/// Days are drawn back from here.
const ANCHOR: (i32, u32, u32) = (2026, 9, 30);

/// A drawn parcel and where it lies.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnParcel {
    pub parcel: Parcel,
    pub place: Where,
    pub plan: Option<DrawnPlan>,
}

/// The plan of a drawn low-efficiency parcel.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnPlan {
    pub id: String,
    pub number: String,
    pub state: &'static str,
    pub state_on: NaiveDate,
    pub fields: BTreeMap<&'static str, FieldValue>,
    /// Task, due, done.
    pub steps: Vec<(&'static str, NaiveDate, Option<NaiveDate>)>,
}

/// `n` parcels or a few less where blocks are too small to be divided so far; three quarters of them turnover land.
pub fn draw(
    blocks: &[Block],
    parks: &[Park],
    counties: &dyn Fn(&Park, Coord<f64>) -> Option<DivisionCode>,
    n: usize,
) -> Vec<DrawnParcel> {
    let total: f64 = blocks.iter().map(|b| b.area.value()).sum();
    let mut due = 0.0;
    let mut given = 0;
    let mut wanted = Vec::with_capacity(blocks.len());
    for block in blocks {
        due += n as f64 * block.area.value() / total;
        let count = (due.round() as usize).saturating_sub(given);
        given += count;
        wanted.push(count);
    }
    let cells: Vec<Vec<Polygon<f64>>> =
        blocks.par_iter().zip(wanted).map(|(block, count)| divide(&block.boundary, block.area, count)).collect();
    let mut drawn = Vec::with_capacity(n);
    for (block, cells) in blocks.iter().zip(cells) {
        let Some(park) = parks.iter().find(|p| p.code == *block.id.park()) else { continue };
        for (at, cell) in (1..).zip(cells) {
            let Some(first) = cell.exterior().0.first().copied() else { continue };
            let Some(county) = counties(park, first) else { continue };
            drawn.extend(parcel(block, park, county, at, cell));
        }
    }
    drawn
}

/// Cells of a grid that lie in the shape with a road around each; the first `count` in reading order.
fn divide(shape: &MultiPolygon<f64>, area: SquareMetres, count: usize) -> Vec<Polygon<f64>> {
    let Some(bounds) = shape.bounding_rect().filter(|_| count > 0) else { return Vec::new() };
    let latitude = bounds.center().y.to_radians();
    // Degrees of a metre; parcels are rather longer than wide.
    let (per_x, per_y) = (1.0 / (111_320.0 * latitude.cos()), 1.0 / 110_800.0);
    let mut side = (area.value() / count as f64).sqrt();
    for _ in 0..40 {
        let (width, height) = (side * 1.25 * per_x, side * 0.8 * per_y);
        // By their corners first: whether a cell lies inside altogether is dear to ask.
        if grid(bounds, width, height, count, |cell| has_corners(shape, cell)).len() >= count {
            let cells = grid(bounds, width, height, count, |cell| has_corners(shape, cell) && shape.contains(cell));
            if cells.len() >= count {
                return cells;
            }
        }
        side *= 0.94;
    }
    Vec::new()
}

fn has_corners(shape: &MultiPolygon<f64>, cell: &Polygon<f64>) -> bool {
    cell.exterior().coords().all(|c| shape.contains(c))
}

fn grid(
    bounds: geo::Rect<f64>,
    width: f64,
    height: f64,
    most: usize,
    lies_inside: impl Fn(&Polygon<f64>) -> bool,
) -> Vec<Polygon<f64>> {
    const ROAD: f64 = 0.06;
    let columns = (bounds.width() / width).ceil() as usize;
    let rows = (bounds.height() / height).ceil() as usize;
    let mut cells = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            let west = bounds.min().x + width * (column as f64 + ROAD);
            let south = bounds.min().y + height * (row as f64 + ROAD);
            let (east, north) = (west + width * (1.0 - 2.0 * ROAD), south + height * (1.0 - 2.0 * ROAD));
            // One corner is cut, so that not every parcel is a box.
            let cut = (row * 31 + column * 17) % 5;
            let bevel = if cut == 0 { 0.2 } else { 0.0 };
            let mut ring = vec![
                Coord { x: west, y: south },
                Coord { x: east, y: south },
                Coord { x: east, y: north - bevel * (north - south) },
            ];
            if bevel > 0.0 {
                ring.push(Coord { x: east - bevel * (east - west), y: north });
            } else {
                ring[2].y = north;
            }
            ring.push(Coord { x: west, y: north });
            ring.push(ring[0]);
            let cell = Polygon::new(LineString(ring), Vec::new());
            if lies_inside(&cell) {
                cells.push(cell);
                if cells.len() == most {
                    return cells;
                }
            }
        }
    }
    cells
}

/// States and how many in a hundred stand so.
const TURNOVER: [(&str, u64); 13] = [
    ("planned", 6),
    ("approved", 12),
    ("acquired", 10),
    ("serviced", 10),
    ("listed", 5),
    ("supplied", 9),
    ("delivered", 8),
    ("started", 14),
    ("completed", 18),
    ("withdrawn", 2),
    ("frozen", 2),
    ("idle", 3),
    ("low_efficiency", 1),
];
const LOW_EFFICIENCY: [(&str, u64); 12] = [
    ("suspected", 18),
    ("verified", 12),
    ("publicised", 8),
    ("recognised", 16),
    ("planned", 10),
    ("plan_approved", 8),
    ("implementing", 10),
    ("accepted", 5),
    ("closed", 8),
    ("objected", 2),
    ("rejected", 2),
    ("revoked", 1),
];

fn drawn_state(ledger: Ledger, dice: &mut Dice) -> &'static State {
    let weights: &[(&str, u64)] = if ledger == Ledger::Turnover { &TURNOVER } else { &LOW_EFFICIENCY };
    let mut at = dice.below(100);
    let found = weights.iter().find(|(_, weight)| {
        let here = at < *weight;
        at = at.saturating_sub(*weight);
        here
    });
    found.and_then(|(code, _)| ledger.machine().find(code)).unwrap_or(&ledger.machine().states[0])
}

fn parcel(block: &Block, park: &Park, county: DivisionCode, at: usize, cell: Polygon<f64>) -> Option<DrawnParcel> {
    let number = format!("{}-{at:06}", block.id);
    let mut dice = Dice::new(&number);
    let ledger = if dice.below(4) == 0 { Ledger::LowEfficiency } else { Ledger::Turnover };
    let state = drawn_state(ledger, &mut dice);
    let held = match (ledger, state.kind) {
        (Ledger::Turnover, StateKind::Side) if state.code == "low_efficiency" => ledger.machine().find("completed"),
        (Ledger::Turnover, StateKind::Side) => ledger.machine().find(dice.pick(&["supplied", "delivered"])),
        (_, StateKind::Side) => ledger.machine().find("publicised"),
        _ => None,
    };
    let boundary = MultiPolygon(vec![cell]);
    let computed = area::ellipsoidal(&boundary);
    let id = RecordId::new(county.clone(), &number).ok()?;
    let mut story = Story::new(&mut dice, computed);
    let reached = held.unwrap_or(state);
    match ledger {
        Ledger::Turnover => story.turnover(ledger, reached.code),
        _ => story.low_efficiency(reached.code),
    }
    let since = Some(story.day);
    let plan = (ledger == Ledger::LowEfficiency).then(|| story.plan(&county, &number, state.code)).flatten();
    let stated = SquareMetres::new((computed.value() * (0.995 + story.dice.unit() * 0.01)).round());
    let fields = story.fields;
    Some(DrawnParcel {
        place: Where { park: block.id.park().to_string(), block: block.id.to_string(), share: 1.0 },
        parcel: Parcel {
            ledger,
            id,
            county,
            name: Some(format!("{}{}号地", park.name, at)),
            boundary,
            area: computed,
            stated_area: stated,
            standing: Some(ledger.machine().entering(state, held)),
            since,
            stated_park: Some(park.name.clone()),
            stated_park_code: Some(park.code.to_string()),
            fields,
            illustrative: true,
            source: SOURCE.to_owned(),
            source_crs: Some("EPSG:4490".to_owned()),
            attributes: Vec::new(),
        },
        plan,
    })
}

/// What happened to one parcel, day by day.
struct Story<'a> {
    dice: &'a mut Dice,
    area: SquareMetres,
    day: NaiveDate,
    fields: BTreeMap<&'static str, FieldValue>,
}

impl<'a> Story<'a> {
    fn new(dice: &'a mut Dice, area: SquareMetres) -> Self {
        let anchor = NaiveDate::from_ymd_opt(ANCHOR.0, ANCHOR.1, ANCHOR.2).unwrap_or_default();
        let day = anchor - Days::new(1_200 + dice.below(1_600));
        Self { dice, area, day, fields: BTreeMap::new() }
    }

    /// Some days later, never beyond the anchor: ten steps fit.
    fn later(&mut self) -> NaiveDate {
        self.day = self.day + Days::new(10 + self.dice.below(110));
        self.day
    }

    fn text(&mut self, field: &'static str, text: impl Into<String>) {
        self.fields.insert(field, FieldValue::Text(text.into()));
    }

    fn date(&mut self, field: &'static str, day: NaiveDate) {
        self.fields.insert(field, FieldValue::Date(day));
    }

    fn number(&mut self, field: &'static str, number: f64) {
        self.fields.insert(field, FieldValue::Number(number));
    }

    /// Up to the state, as the ledger's main way goes.
    fn turnover(&mut self, ledger: Ledger, reached: &str) {
        let picked = pick_of(self.dice, &["工业用地", "物流仓储用地", "一类工业用地", "二类工业用地"]);
        self.text("planned_use", picked);
        self.text("land_use_system", "用地用海分类(2023)");
        let picked = pick_of(self.dice, &["100101", "100102", "100103", "110101"]);
        self.text("land_use_code", picked);
        for state in ledger.machine().states.iter().filter(|s| s.kind == StateKind::Main) {
            let day = self.later();
            let area = self.area.value().round();
            match state.code {
                "approved" => {
                    self.date("approved_on", day);
                    let year = chrono::Datelike::year(&day);
                    self.fields.insert("approval_year", FieldValue::Integer(year));
                    let serial = 1 + self.dice.below(300);
                    self.text("approval_doc_province", format!("湘政地示〔{year}〕{serial}号"));
                    self.text("batch_name", format!("{year}年第{}批次", 1 + serial % 12));
                    self.text("approval_kind", "批次");
                    self.number("approved_area_m2", area);
                }
                "acquired" => {
                    self.number("acquired_area_m2", area);
                    self.fields.insert("compensation_done", FieldValue::Boolean(true));
                }
                "serviced" => self.text("site_condition", "净地"),
                "supplied" => {
                    let serial = self.dice.below(90_000);
                    self.date("signed_on", day);
                    self.text("contract_no", format!("示合同{serial:05}"));
                    self.text("land_user", format!("示意企业{}", serial % 4_000));
                    self.text("supply_mode", "出让");
                    self.number("supplied_area_m2", area);
                    self.number("price_10k_yuan", (area * 0.03).round());
                    self.date("agreed_delivery_on", day + Days::new(60));
                    self.date("agreed_start_on", day + Days::new(240));
                    self.date("agreed_finish_on", day + Days::new(960));
                }
                "delivered" => {
                    self.date("delivered_on", day);
                    self.number("delivered_area_m2", area);
                }
                "started" => {
                    self.date("started_on", day);
                    let share = self.dice.unit();
                    self.number("started_area_m2", (area * share).round());
                    self.number("invested_percent", (share * 100.0).round());
                    if self.dice.below(12) == 0 {
                        self.date("stopped_on", day + Days::new(40));
                    }
                }
                "completed" => self.date("finished_on", day),
                _ => {}
            }
            if state.code == reached {
                break;
            }
        }
        if self.dice.below(15) == 0 {
            self.text("mortgage", "示意银行抵押");
        }
    }

    fn low_efficiency(&mut self, reached: &str) {
        let picked = pick_of(self.dice, &["产业淘汰类", "部分闲置类", "产出低下类", "环保安全类", "区位不当类"]);
        self.text("low_efficiency_kind", picked);
        let picked = pick_of(self.dice, &["机械加工", "建材", "食品", "纺织", "化工", "电子"]);
        self.text("industry", picked);
        self.text("land_use_system", "国土调查工作分类(三调)");
        self.text("land_use_code", "0601");
        let owner = self.dice.below(4_000);
        self.text("owner", format!("示意企业{owner}"));
        self.text("ownership", "国有");
        let rounded = |x: f64| (x * 100.0).round() / 100.0;
        let (ratio, density, tax) = (0.2 + self.dice.unit(), 10.0 + 30.0 * self.dice.unit(), 60.0 * self.dice.unit());
        self.number("floor_area_ratio", rounded(ratio));
        self.number("building_density", rounded(density));
        self.number("tax_per_ha", rounded(tax));
        self.fields.insert("criteria_year", FieldValue::Integer(2025));
        self.fields.insert("is_low_efficiency", FieldValue::Boolean(true));
        for state in Ledger::LowEfficiency.machine().states.iter().filter(|s| s.kind == StateKind::Main) {
            let day = self.later();
            match state.code {
                "verified" => self.date("verified_on", day),
                "publicised" => self.date("publicised_on", day),
                "recognised" => {
                    self.date("recognised_on", day);
                    let serial = 1 + self.dice.below(500);
                    self.text("recognition_doc", format!("低效示认〔{}〕{serial}号", chrono::Datelike::year(&day)));
                }
                "accepted" => self.date("accepted_on", day),
                "closed" => self.date("closed_on", day),
                _ => {}
            }
            if state.code == reached {
                break;
            }
        }
    }

    /// The plan that a state rests on.
    fn plan(&mut self, county: &DivisionCode, number: &str, state: &str) -> Option<DrawnPlan> {
        let (plan_state, done) = match state {
            "planned" => (pick_of(self.dice, &["drafted", "submitted"]), 0),
            "plan_approved" => ("approved", 0),
            "implementing" => ("approved", 1),
            "accepted" | "closed" => ("accepted", 3),
            _ => return None,
        };
        let number = format!("{number}-F");
        let mut fields = BTreeMap::new();
        let mode = pick_of(self.dice, &["收购储备", "自主改造", "二次招商", "协商收回", "腾笼换鸟"]);
        fields.insert("mode", FieldValue::Text(mode.to_owned()));
        fields
            .insert("implementer", FieldValue::Text(pick_of(self.dice, &["政府", "原权利人", "市场主体"]).to_owned()));
        fields.insert("responsible_unit", FieldValue::Text("园区管委会（示意）".to_owned()));
        fields.insert("deadline_on", FieldValue::Date(self.day + Days::new(400)));
        if plan_state == "approved" || plan_state == "accepted" {
            fields.insert("approved_on", FieldValue::Date(self.day));
        }
        if plan_state == "accepted" {
            fields.insert("accepted_on", FieldValue::Date(self.day));
        }
        let steps = ["签订协议", "拆除腾退", "建设投产"];
        let steps = (0_usize..).zip(steps).map(|(at, task)| {
            let due = self.day + Days::new(90 * (at as u64 + 1));
            (task, due, (at < done).then_some(self.day))
        });
        Some(DrawnPlan {
            id: format!("{county}-{number}"),
            steps: steps.collect(),
            number,
            state: plan_state,
            state_on: self.day,
            fields,
        })
    }
}

/// (A borrow of the dice alone, while the story is written to.)
fn pick_of(dice: &mut Dice, list: &[&'static str]) -> &'static str {
    list[dice.below(list.len() as u64) as usize]
}
