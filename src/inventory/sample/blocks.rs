//! Drawn blocks (示意): irregular polygons near the county's point, each park's total equal to its approved area.

use std::collections::HashMap;

use geo::{Contains, Coord, LineString, MultiPolygon, Polygon};

use super::divisions::rows;
use super::{broken, words};
use crate::domain::area::round_decimal;
use crate::domain::four_extents::{self, BlockExtents, ExtentsText};
use crate::domain::{Block, BlockId, Division, DivisionLevel, Hectares, Park, SquareMetres};
use crate::error::Result;
use crate::geometry::area;
use crate::geometry::crs::Crs;
use crate::geometry::project;

const POINTS: &str = include_str!("../../../fixtures/divisions/hunan_county_points.csv");

/// What every drawn block says of itself.
pub const SOURCE: &str = "示意：由 sizhi seed 按核准面积绘制，非测绘成果";

/// Free strip around every shape, metres.
const GAP_M: f64 = 40.0;
/// Longest edge, metres. Between two vertices the survey formula and the geodesic take slightly different lines; at this
/// length the areas agree within 1e-7, at 800 m within 3e-6 only. Surveyed boundaries have points as close.
const EDGE_M: f64 = 70.0;
/// Farthest that a shape is moved from its park's point, metres.
const REACH_M: f64 = 80_000.0;

/// A small deterministic generator (splitmix64): the drawing must not change with a library's version.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: &str) -> Self {
        // FNV-1a over the seed's bytes.
        Self(seed.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len() as u64) as usize]
    }
}

/// A shape around the origin, in metres: outer ring and perhaps a hole, both star-shaped, so never self-crossing.
struct Shape {
    outer: Vec<(f64, f64)>,
    hole: Option<Vec<(f64, f64)>>,
    /// Distance of the farthest vertex.
    radius: f64,
}

fn star(dice: &mut Dice, corners: u64, radius: f64) -> Vec<(f64, f64)> {
    let turn = dice.unit() * std::f64::consts::TAU;
    (0..corners)
        .map(|i| {
            let angle = turn + (i as f64 + 0.35 * (dice.unit() - 0.5)) / corners as f64 * std::f64::consts::TAU;
            let r = radius * (0.78 + 0.44 * dice.unit());
            (r * angle.cos(), r * angle.sin())
        })
        .collect()
}

/// The same ring with a point at least every [`EDGE_M`].
fn densify(corners: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut ring = Vec::new();
    for (i, &(x, y)) in corners.iter().enumerate() {
        let (next_x, next_y) = corners[(i + 1) % corners.len()];
        let pieces = ((next_x - x).hypot(next_y - y) / EDGE_M).ceil().max(1.0);
        ring.extend((0..pieces as usize).map(|k| {
            let share = k as f64 / pieces;
            (x + (next_x - x) * share, y + (next_y - y) * share)
        }));
    }
    ring
}

fn shape(dice: &mut Dice, area_m2: f64, corners: u64, with_hole: bool) -> Shape {
    let mean_radius = (area_m2 / std::f64::consts::PI).sqrt();
    let outer = densify(&star(dice, corners, mean_radius));
    let hole = with_hole.then(|| densify(&star(dice, 6, mean_radius * 0.18)));
    // The later exact scaling moves vertices by far less than this tenth.
    let radius = 1.1 * outer.iter().map(|(x, y)| x.hypot(*y)).fold(0.0, f64::max);
    Shape { outer, hole, radius }
}

/// Places shapes so that no two come closer than the gap.
struct Field {
    /// Centre (metres on a local plane of the whole province) and radius.
    taken: Vec<(f64, f64, f64)>,
}

/// Metres on a rough plane for keeping distance; real geometry is drawn in the zone's projection.
fn rough_plane(longitude: f64, latitude: f64) -> (f64, f64) {
    // 27.5°N is the province's middle; the width is taken small, so distances are never overestimated inside it.
    ((longitude - 111.5) * 95_500.0, (latitude - 27.5) * 110_700.0)
}

impl Field {
    fn is_free(&self, longitude: f64, latitude: f64, radius: f64) -> bool {
        let (x, y) = rough_plane(longitude, latitude);
        self.taken.iter().all(|(tx, ty, tr)| (x - tx).hypot(y - ty) > radius + tr + GAP_M)
    }

    fn take(&mut self, longitude: f64, latitude: f64, radius: f64) {
        let (x, y) = rough_plane(longitude, latitude);
        self.taken.push((x, y, radius));
    }
}

/// Draws the blocks of all parks.
pub(super) fn draw(parks: &[Park], divisions: &[Division]) -> Result<Vec<Block>> {
    let points = county_points()?;
    let outlines: HashMap<&str, &MultiPolygon<f64>> = divisions
        .iter()
        .filter(|d| d.level == DivisionLevel::Prefecture)
        .filter_map(|d| Some((d.code.as_str(), d.outline.as_ref()?)))
        .collect();
    let mut field = Field { taken: Vec::new() };
    let mut blocks = Vec::new();
    for park in parks {
        let outline = outlines.get(park.prefecture.as_str()).ok_or_else(|| broken("prefecture without outline"))?;
        blocks.extend(draw_park(park, &points, outline, &mut field)?);
    }
    Ok(blocks)
}

pub(super) fn county_points() -> Result<HashMap<String, (f64, f64)>> {
    rows(POINTS)?
        .iter()
        .map(|r| {
            let number = |text: &str| text.parse::<f64>().map_err(|e| broken(&e.to_string()));
            Ok((r[0].to_owned(), (number(&r[2])?, number(&r[3])?)))
        })
        .collect()
}

/// The county's point, else one of the prefecture's counties, chosen by the park's code.
fn home(park: &Park, points: &HashMap<String, (f64, f64)>, dice: &mut Dice) -> Result<(f64, f64)> {
    if let Some(point) = park.counties.first().and_then(|c| points.get(c.as_str())) {
        return Ok(*point);
    }
    let mut near: Vec<_> = points.iter().filter(|(code, _)| code.starts_with(park.prefecture.prefix())).collect();
    near.sort_unstable_by_key(|(code, _)| code.as_str());
    let count = near.len() as u64;
    near.get(if count == 0 { 0 } else { dice.below(count) as usize })
        .map(|(_, p)| **p)
        .ok_or_else(|| broken("prefecture without points"))
}

fn draw_park(
    park: &Park,
    points: &HashMap<String, (f64, f64)>,
    outline: &MultiPolygon<f64>,
    field: &mut Field,
) -> Result<Vec<Block>> {
    let mut dice = Dice::new(park.code.as_str());
    let origin = home(park, points, &mut dice)?;
    let approved = park.approved_area.ok_or_else(|| broken("park without approved area"))?;
    let count = if park.is_national() { 2 + dice.below(3) } else { 1 + dice.below(3) };
    let areas = split_area(approved, count, &mut dice);
    let mut blocks = Vec::with_capacity(areas.len());
    for (i, stated) in areas.iter().enumerate() {
        let number = (i + 1).to_string();
        let name = format!("区块{}", ["一", "二", "三", "四", "五"][i.min(4)]);
        let target = stated.to_square_metres();
        // Now and then a block in two pieces, and one with a village kept out.
        let pieces = if target.value() > 2e6 && dice.below(5) == 0 { vec![0.7, 0.3] } else { vec![1.0] };
        let with_hole = target.value() > 1e6 && dice.below(4) == 0;
        let mut polygons = Vec::new();
        for share in pieces {
            let corners = 7 + dice.below(12);
            let drawn = shape(&mut dice, target.value() * share, corners, with_hole);
            polygons.push(place(&drawn, target.value() * share, origin, outline, field)?);
        }
        let boundary = MultiPolygon(polygons);
        let four_extents = words::draw(&mut dice);
        let text = four_extents::print(&ExtentsText {
            total_area: None,
            blocks: vec![BlockExtents { name: Some(name.clone()), area: Some(*stated), extents: four_extents.clone() }],
            warnings: Vec::new(),
        });
        blocks.push(Block {
            id: BlockId::new(park.code.clone(), &number).map_err(|e| broken(&e.0))?,
            name: Some(name),
            area: area::ellipsoidal(&boundary),
            boundary,
            stated_area: Some(*stated),
            four_extents,
            four_extents_text: Some(text),
            illustrative: true,
            source: SOURCE.to_owned(),
            source_crs: Some(Crs::Cgcs2000.to_string()),
            attributes: Vec::new(),
        });
    }
    Ok(blocks)
}

/// Splits an area into hundredths of a hectare that add up to it to the digit.
fn split_area(total: Hectares, count: u64, dice: &mut Dice) -> Vec<Hectares> {
    let hundredths = round_decimal(total.value() * 100.0, 0) as u64;
    let weights: Vec<f64> = (0..count).map(|_| 0.4 + dice.unit()).collect();
    let sum: f64 = weights.iter().sum();
    let mut parts: Vec<u64> = weights.iter().map(|w| (hundredths as f64 * w / sum) as u64).collect();
    let given: u64 = parts.iter().sum();
    parts[0] += hundredths - given;
    parts.into_iter().filter(|p| *p > 0).filter_map(|p| Hectares::new(p as f64 / 100.0)).collect()
}

/// Finds the nearest free place on a spiral around the origin, inside the outline, and draws the shape there with
/// exactly the wanted ellipsoidal area.
fn place(
    shape: &Shape,
    area_m2: f64,
    origin: (f64, f64),
    outline: &MultiPolygon<f64>,
    field: &mut Field,
) -> Result<Polygon<f64>> {
    let step = (shape.radius * 0.5).max(300.0);
    let (mut turn, mut distance) = (0.0_f64, 0.0_f64);
    while distance < REACH_M {
        let longitude = origin.0 + distance * turn.cos() / 98_000.0;
        let latitude = origin.1 + distance * turn.sin() / 110_900.0;
        if field.is_free(longitude, latitude, shape.radius)
            && let Some(polygon) = draw_at(shape, area_m2, longitude, latitude)
            && outline.contains(&polygon)
        {
            field.take(longitude, latitude, shape.radius);
            return Ok(polygon);
        }
        turn += if distance == 0.0 { 0.0 } else { step / distance };
        distance += step * step / (std::f64::consts::TAU * distance.max(step));
    }
    Err(broken("no free place for a block"))
}

/// The shape at a place: drawn in its zone's projection, then scaled in degrees until the ellipsoidal area is right.
fn draw_at(shape: &Shape, area_m2: f64, longitude: f64, latitude: f64) -> Option<Polygon<f64>> {
    let crs = Crs::GaussKruger3 { zone: (longitude / 3.0).round() as u8, prefixed: false };
    let (x, y) = project::forward(crs, longitude, latitude)?;
    let ring = |points: &[(f64, f64)]| -> Option<LineString<f64>> {
        let mut line: Vec<Coord<f64>> = points
            .iter()
            .map(|(dx, dy)| project::inverse(crs, x + dx, y + dy).map(|(x, y)| Coord { x, y }))
            .collect::<Option<_>>()?;
        line.push(*line.first()?);
        Some(LineString(line))
    };
    let mut polygon = Polygon::new(ring(&shape.outer)?, shape.hole.iter().map(|h| ring(h)).collect::<Option<_>>()?);
    let centre = Coord { x: longitude, y: latitude };
    for _ in 0..8 {
        let factor = (area_m2 / area::polygon_area(&polygon)).sqrt();
        if (factor - 1.0).abs() < 1e-14 {
            break;
        }
        use geo::MapCoords;
        polygon = polygon.map_coords(|c| centre + (c - centre) * factor);
    }
    Some(polygon)
}

/// `n` distinct valid blocks of 30 corners on a grid over Hunan, for benchmarks: no two overlap.
pub fn grid_blocks(n: usize, parks: &[Park]) -> Vec<Block> {
    let columns = (n as f64).sqrt().ceil() as usize;
    let (width, height) = (4.8 / columns as f64, 5.0 / columns as f64);
    let radius = width.min(height * 0.9) * 0.4 * 98_000.0 / 1.25;
    let mut dice = Dice::new("grid");
    let mut blocks = Vec::with_capacity(n);
    for i in 0..n {
        let (longitude, latitude) =
            (109.0 + width * (0.5 + (i % columns) as f64), 24.8 + height * (0.5 + (i / columns) as f64));
        let drawn = Shape { outer: star(&mut dice, 30, radius), hole: None, radius };
        let Some(polygon) = draw_at(&drawn, std::f64::consts::PI * radius * radius, longitude, latitude) else {
            continue;
        };
        let boundary = MultiPolygon(vec![polygon]);
        let park = &parks[i % parks.len()];
        let Ok(id) = BlockId::new(park.code.clone(), &format!("B{i}")) else { continue };
        let computed: SquareMetres = area::ellipsoidal(&boundary);
        blocks.push(Block {
            id,
            name: Some(format!("试验区块{i}")),
            area: computed,
            boundary,
            stated_area: Some(computed.to_hectares()),
            four_extents: words::draw(&mut dice),
            four_extents_text: None,
            illustrative: false,
            source: "benchmark".to_owned(),
            source_crs: Some(Crs::Cgcs2000.to_string()),
            attributes: Vec::new(),
        });
    }
    blocks
}
