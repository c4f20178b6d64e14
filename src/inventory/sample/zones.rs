//! Drawn control lines (示意) around the drawn parks: boxes, so that nobody takes them for surveyed ones. Deterministic.
//!
//! Every tenth park or so goes against a line, so that a check of the sample has something to tell.

use std::collections::BTreeMap;

use geo::{BoundingRect, Coord, LineString, MultiPolygon, Polygon, Rect};

use crate::domain::control_zone::{ManagementClass, ZoneId, ZoneRules};
use crate::domain::{Block, ControlZone, DivisionCode, Park};
use crate::error::Result;
use crate::geometry::area;
use crate::geometry::metres::Plane;

/// What every drawn zone says of itself.
pub const SOURCE: &str = "示意：由 sizhi seed 绘制的管控区域，非真实管控线";

const FARMLAND: &str = "permanent_farmland";
const RED_LINE: &str = "ecological_red_line";
const DEVELOPMENT: &str = "development_boundary";
const UNIT: &str = "control_unit";

/// How far from a park the town may grow, and where its control unit ends; metres.
const TOWN_M: f64 = 1_500.0;
const UNIT_M: f64 = 4_000.0;

/// The zones around these blocks' parks, by id.
pub fn draw(blocks: &[Block], parks: &[Park]) -> Result<Vec<ControlZone>> {
    let mut boxes: BTreeMap<&str, Rect<f64>> = BTreeMap::new();
    for block in blocks {
        let Some(around) = block.boundary.bounding_rect() else { continue };
        boxes.entry(block.id.park().as_str()).and_modify(|held| *held = joined(*held, around)).or_insert(around);
    }
    let mut zones = Vec::with_capacity(boxes.len() * 4);
    for (nth, (code, around)) in boxes.into_iter().enumerate() {
        let Some(park) = parks.iter().find(|park| park.code.as_str() == code) else { continue };
        let division = park.counties.first().unwrap_or(&park.prefecture);
        zones.extend(around_park(nth, park, division, around)?);
    }
    zones.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(zones)
}

fn joined(a: Rect<f64>, b: Rect<f64>) -> Rect<f64> {
    let (low, high) = (a.min(), a.max());
    let corner = |x: f64, y: f64| Coord { x, y };
    Rect::new(corner(low.x.min(b.min().x), low.y.min(b.min().y)), corner(high.x.max(b.max().x), high.y.max(b.max().y)))
}

/// A box in metres from the middle: west, south, east, north.
type Sides = [f64; 4];

fn around_park(nth: usize, park: &Park, division: &DivisionCode, around: Rect<f64>) -> Result<Vec<ControlZone>> {
    let plane = Plane::around(around.center());
    let (low, high) = (plane.to(around.min()), plane.to(around.max()));
    let wider = |by: f64| [low.x - by, low.y - by, high.x + by, high.y + by];
    let zone = |kind: &str, number: String, name: String, sides: Sides| -> Result<ControlZone> {
        let boundary = boxed(&plane, sides);
        let id = ZoneId::new(kind, &number).map_err(|reason| super::broken(&reason.to_string()))?;
        Ok(ControlZone {
            id,
            name: Some(name),
            division: division.clone(),
            class: None,
            rules: ZoneRules::default(),
            document_no: None,
            area: area::ellipsoidal(&boundary),
            boundary,
            stated_area: None,
            illustrative: true,
            source: SOURCE.to_owned(),
            source_crs: None,
            attributes: Vec::new(),
        })
    };
    let name = &park.name;
    // One in ten ends inside the park, in the east.
    let mut town = wider(TOWN_M);
    if nth % 10 == 3 {
        town[2] = high.x - (high.x - low.x) * 0.05;
    }
    let mut zones = vec![zone(DEVELOPMENT, park.code.to_string(), format!("{name}周边城镇开发边界（示意）"), town)?];
    // South of the park, of one in ten into it.
    let reach = if nth % 10 == 6 { 60.0 } else { -200.0 };
    let field = [low.x, low.y - 900.0, low.x + 700.0, low.y + reach];
    zones.push(zone(FARMLAND, format!("{division}-{}", park.code), format!("{name}南侧永久基本农田（示意）"), field)?);
    if nth % 4 == 1 {
        let reach = if nth % 20 == 9 { 40.0 } else { -300.0 };
        let hill = [low.x - 1_200.0, high.y - 800.0, low.x + reach, high.y + 600.0];
        zones.push(zone(
            RED_LINE,
            format!("{division}-{}", park.code),
            format!("{name}西北生态保护红线（示意）"),
            hill,
        )?);
    }
    let class = ManagementClass::ALL[nth % ManagementClass::ALL.len()];
    let number = format!("ZH{division}{}{:04}", nth % ManagementClass::ALL.len() + 1, nth + 1);
    let unit = zone(UNIT, number, format!("{name}所在{}（示意）", class.label()), wider(UNIT_M))?;
    let rules = ZoneRules {
        rule: None,
        spatial: Some("示意：严格控制高耗能、高排放项目准入".to_owned()),
        pollution: Some("示意：园区污水集中收集处理，达标排放".to_owned()),
        risk: Some("示意：编制突发环境事件应急预案并备案".to_owned()),
        resource: Some("示意：单位工业用地税收和能耗达到园区控制指标".to_owned()),
    };
    zones.push(ControlZone { class: Some(class), rules, ..unit });
    Ok(zones)
}

/// To the eight decimals that files carry, so that a file of them comes back as it was.
fn boxed(plane: &Plane, [west, south, east, north]: Sides) -> MultiPolygon<f64> {
    let corner = |x: f64, y: f64| {
        let c = plane.from(Coord { x, y });
        Coord { x: (c.x * 1e8).round() / 1e8, y: (c.y * 1e8).round() / 1e8 }
    };
    let ring = [(west, south), (east, south), (east, north), (west, north), (west, south)];
    let ring = LineString::new(ring.into_iter().map(|(x, y)| corner(x, y)).collect());
    MultiPolygon(vec![Polygon::new(ring, Vec::new())])
}
