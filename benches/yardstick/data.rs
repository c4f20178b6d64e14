//! The shapes of the yardstick (尺子), drawn (示意): no real parcel is public. The same numbers on every machine: nothing is drawn from
//! the clock or from a library's generator.
//!
//! Parcels lie as real ones do, in clusters around the counties' points; about 33 points, 1.1 kB of GeoJSON each.

// Each bench uses a part of it.
#![allow(dead_code)]

use std::collections::HashMap;
use std::f64::consts::TAU;

use geo::{Coord, LineString, MultiPolygon, Polygon};
use sizhi::domain::Park;
use sizhi::inventory::sample;

const COUNTIES: &str = include_str!("../../fixtures/divisions/hunan_county_points.csv");

/// Distance between neighbours of a cluster and the mean radius of a parcel, metres: parcels of 0.3 to 0.8 hectares with roads between.
const SPACING_M: f64 = 120.0;
const RADIUS_M: f64 = 40.0;
/// The same where neighbours lie over one another.
const CROWDED_RADIUS_M: f64 = 55.5;
/// A town's worth of parcels: about 3.4 km across, so that a tile of zoom 14 inside has a few hundred.
const CLUSTER: u64 = 800;
/// Most clusters lie within twice this of their county's point, metres.
const SPREAD_M: f64 = 11_000.0;
/// Vertices of each block of a park: 144 parks of two to four blocks are then about 585 kB of GeoJSON.
const BLOCK_VERTICES: u64 = 48;
/// As the work points of 2020 count them.
const PARKS: usize = 144;
/// How much wider parks are drawn where overlaps are measured.
pub const WIDE: f64 = 6.4;
const STATES: [&str; 4] = ["待开发", "已批未供", "已供未用", "已盘活"];

/// How near parcels lie to their neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowding {
    /// Roads between them.
    Apart,
    /// Over one another, most a little.
    Crowded,
}

pub struct Parcel {
    pub id: String,
    pub county: String,
    pub park: Option<String>,
    pub name: String,
    pub state: &'static str,
    /// Days since 2000-01-01, as PostgreSQL counts them: 2006 to 2025.
    pub approved_on: i32,
    pub shape: MultiPolygon<f64>,
}

pub struct YardstickPark {
    pub code: String,
    pub name: String,
    pub level: &'static str,
    pub prefecture: String,
    pub county: String,
    pub approved_ha: f64,
    pub blocks: u64,
    pub shape: MultiPolygon<f64>,
}

/// Parcels, county by county in turn.
pub fn parcels(count: u64, crowding: Crowding) -> impl Iterator<Item = Parcel> {
    let counties = counties();
    let mut parks_of: HashMap<String, Vec<String>> = HashMap::new();
    for park in sample::build().expect("the sample is sound").parks {
        for county in &park.counties {
            parks_of.entry(county.to_string()).or_default().push(park.code.to_string());
        }
    }
    let mut dice = Dice(20_180_226);
    let mut centres: Vec<Coord<f64>> = counties.iter().map(|county| county.point).collect();
    let usual = match crowding {
        Crowding::Apart => RADIUS_M,
        Crowding::Crowded => CROWDED_RADIUS_M,
    };
    (0..count).map(move |i| {
        let at = (i % counties.len() as u64) as usize;
        let (county, in_county) = (&counties[at], i / counties.len() as u64);
        let (cluster, place) = (in_county / CLUSTER, in_county % CLUSTER);
        if place == 0 {
            centres[at] = offset(county.point, dice.bell() * SPREAD_M, dice.bell() * SPREAD_M);
        }
        let (east, north) = spiral(place);
        let jitter = |dice: &mut Dice| (dice.unit() - 0.5) * 14.0;
        let (dx, dy) = (jitter(&mut dice), jitter(&mut dice));
        let centre = offset(centres[at], east * SPACING_M + dx, north * SPACING_M + dy);
        let vertices = 26 + dice.below(13);
        let radius = usual * (0.75 + 0.5 * dice.unit());
        let shape = MultiPolygon(vec![star(&mut dice, centre, vertices, radius)]);
        Parcel {
            id: format!("{}-{:06}", county.code, in_county + 1),
            county: county.code.clone(),
            park: parks_of.get(&county.code).map(|parks| parks[cluster as usize % parks.len()].clone()),
            name: format!("{}{}片区{}号地块（示意）", county.name, cluster + 1, place + 1),
            state: STATES[dice.below(STATES.len() as u64) as usize],
            approved_on: 2_192 + dice.below(7_300) as i32,
            shape,
        }
    })
}

/// `wide` times as wide as they are approved: where they cover the towns around them, most parcels lie wholly inside one or several.
pub fn parks(wide: f64) -> Vec<YardstickPark> {
    let (counties, sample) = (counties(), sample::build().expect("the sample is sound"));
    let mut dice = Dice(20_200_101);
    let park = |Entry { code, name, level, county, approved_ha }: Entry<'_>| {
        let blocks = 2 + dice.below(3);
        let radius = wide * (approved_ha * 1e4 / blocks as f64 / std::f64::consts::PI).sqrt();
        let centre = offset(county.point, dice.bell() * 6_000.0, dice.bell() * 6_000.0);
        let turn = dice.unit() * TAU;
        let shape = (0..blocks).map(|block| {
            // In a row, no two closer than a fifth of their radius.
            let along = block as f64 * 2.6 * radius;
            let middle = offset(centre, along * turn.cos(), along * turn.sin());
            star(&mut dice, middle, BLOCK_VERTICES, radius)
        });
        let shape = MultiPolygon(shape.collect());
        let prefecture = format!("{}00", &county.code[..4]);
        YardstickPark { code, name, level, prefecture, county: county.code.clone(), approved_ha, blocks, shape }
    };
    entries(&counties, &sample.parks).into_iter().map(park).collect()
}

struct County {
    code: String,
    name: String,
    point: Coord<f64>,
}

fn counties() -> Vec<County> {
    let number = |text: &str| text.parse::<f64>().expect("the fixture holds degrees");
    csv::Reader::from_reader(COUNTIES.as_bytes())
        .into_records()
        .map(|row| row.expect("the fixture is sound"))
        .map(|row| County {
            code: row[0].to_owned(),
            name: row[1].to_owned(),
            point: Coord { x: number(&row[2]), y: number(&row[3]) },
        })
        .collect()
}

/// What a row of bench.parks says beside its shape.
struct Entry<'a> {
    code: String,
    name: String,
    level: &'static str,
    county: &'a County,
    approved_ha: f64,
}

/// The parks of the directory of 2018, then as many made-up ones as the work points of 2020 have more.
fn entries<'a>(counties: &'a [County], parks: &[Park]) -> Vec<Entry<'a>> {
    let known = parks.iter().filter_map(|park| {
        let home = park.counties.first().and_then(|code| counties.iter().find(|county| county.code == code.as_str()));
        let near = |county: &&County| county.code.starts_with(park.prefecture.prefix());
        Some(Entry {
            code: park.code.to_string(),
            name: park.name.clone(),
            level: if park.is_national() { "国家级" } else { "省级" },
            county: home.or_else(|| counties.iter().find(near))?,
            approved_ha: park.approved_area.map_or(300.0, |area| area.value()),
        })
    });
    let others = counties
        .iter()
        .filter(|county| !parks.iter().any(|park| park.counties.iter().any(|c| c.as_str() == county.code)));
    let made_up = others.chain(counties).enumerate().map(|(i, county)| Entry {
        code: format!("G{}", 439_000 + i),
        name: format!("{}产业园（示意）", county.name),
        level: "省级",
        county,
        approved_ha: 250.0,
    });
    known.chain(made_up).take(PARKS).collect()
}

/// A small deterministic generator (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Around zero with deviation one: the sum of twelve, near enough to a bell.
    fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// A point so many metres east and north of another; rough, as nothing is surveyed here.
fn offset(from: Coord<f64>, east_m: f64, north_m: f64) -> Coord<f64> {
    Coord { x: from.x + east_m / (111_320.0 * from.y.to_radians().cos()), y: from.y + north_m / 110_850.0 }
}

/// The n-th cell of a square spiral around the origin: clusters grow outwards and no two of their parcels share a cell.
fn spiral(n: u64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 0.0);
    }
    let ring = ((((n as f64) + 1.0).sqrt() - 1.0) / 2.0).ceil() as i64;
    let side = 2 * ring;
    let place = n as i64 - (side - 1) * (side - 1);
    let along = place % side;
    let (east, north) = match place / side {
        0 => (ring, along - ring + 1),
        1 => (ring - 1 - along, ring),
        2 => (-ring, ring - 1 - along),
        _ => (along - ring + 1, -ring),
    };
    (east as f64, north as f64)
}

/// A star-shaped ring, so never self-crossing; seven decimals, as surveyed to the centimetre.
fn star(dice: &mut Dice, centre: Coord<f64>, vertices: u64, radius_m: f64) -> Polygon<f64> {
    let turn = dice.unit() * TAU;
    let mut ring: Vec<Coord<f64>> = (0..vertices)
        .map(|i| {
            let angle = turn + (i as f64 + 0.6 * (dice.unit() - 0.5)) / vertices as f64 * TAU;
            let reach = radius_m * (0.82 + 0.36 * dice.unit());
            let at = offset(centre, reach * angle.cos(), reach * angle.sin());
            Coord { x: (at.x * 1e7).round() / 1e7, y: (at.y * 1e7).round() / 1e7 }
        })
        .collect();
    ring.push(ring[0]);
    Polygon::new(LineString(ring), Vec::new())
}
