//! The overlap engine against PostGIS on 20,000 random pairs of the sample's shapes: against the land that PostGIS cuts out, by the legal
//! formula; and against its geodesic areas, where edges are short. (The formula takes the middle longitude of an edge. On the sample's
//! edges of some hundred metres it differs from the geodesic area by up to 2e-5 of whole shapes already, so that there the two cannot be
//! compared to the centimetre, whatever cuts them; with a point every 50 m they can.)

use std::collections::BTreeMap;

use geo::{BoundingRect, Coord, LineString, MapCoords, MultiPolygon, Polygon};
use sizhi::domain::overlap::{OverlapClass, Thresholds};
use sizhi::geometry::overlap::{Shape, Work, encounter, measure, rest};
use sizhi::geometry::{area, validity};
use sizhi::inventory::sample;
use sizhi::store::geometry_column;

use crate::support::Database;
use crate::support::edits::Dice;

const PAIRS: usize = 20_000;
/// Degrees: edges of at most 50 m.
const SHORT: f64 = 0.00045;

/// The sample's blocks and parcels drawn like its own.
fn shapes() -> Vec<MultiPolygon<f64>> {
    let blocks = sample::build().expect("sample").blocks.into_iter().map(|block| block.boundary);
    let parcels = sample::turnover_parcels(600).expect("parcels").into_iter().map(|parcel| parcel.boundary);
    blocks.chain(parcels).filter(validity::is_valid).collect()
}

/// Moves a shape so that its middle lies somewhere in the other's box, or just outside: most pairs of a province are far apart.
fn near(shape: &MultiPolygon<f64>, other: &MultiPolygon<f64>, dice: &mut Dice) -> MultiPolygon<f64> {
    let (from, to) = (shape.bounding_rect().expect("box"), other.bounding_rect().expect("box"));
    let mut share = || dice.roll(1_200) as f64 / 1_000.0 - 0.1;
    let at = Coord { x: to.min().x + to.width() * share(), y: to.min().y + to.height() * share() };
    let by = at - from.center();
    // As surveyed: seven decimals.
    let round = |degrees: f64| (degrees * 1e7).round() / 1e7;
    shape.map_coords(|c| Coord { x: round(c.x + by.x), y: round(c.y + by.y) })
}

/// The same borders with a point at least every 50 m.
fn with_points(shape: &MultiPolygon<f64>) -> MultiPolygon<f64> {
    let denser = |ring: &LineString<f64>| -> LineString<f64> {
        let mut points = vec![ring.0[0]];
        for edge in ring.0.windows(2) {
            let way = edge[1] - edge[0];
            let steps = (way.x.hypot(way.y) / SHORT).ceil().max(1.0) as u32;
            points.extend((1..steps).map(|step| edge[0] + way * (f64::from(step) / f64::from(steps))));
            points.push(edge[1]);
        }
        LineString(points)
    };
    MultiPolygon(
        shape.iter().map(|p| Polygon::new(denser(p.exterior()), p.interiors().iter().map(denser).collect())).collect(),
    )
}

type Pair = (MultiPolygon<f64>, MultiPolygon<f64>);

fn pairs(shapes: &[MultiPolygon<f64>], dice: &mut Dice) -> Vec<Pair> {
    let mut pairs = Vec::with_capacity(PAIRS);
    while pairs.len() < PAIRS {
        let (a, b) = (dice.pick(shapes).clone(), dice.pick(shapes));
        let b = near(b, &a, dice);
        if validity::is_valid(&b) {
            pairs.push((a, b));
        }
    }
    pairs
}

/// What PostGIS says of each pair.
struct Judged {
    common: Option<MultiPolygon<f64>>,
    left: Option<MultiPolygon<f64>>,
    common_geodesic_m2: f64,
    covers: bool,
}

async fn judge(db: &Database, pairs: &[Pair]) -> Vec<Judged> {
    let bytes = |pick: fn(&Pair) -> &MultiPolygon<f64>| -> Vec<Vec<u8>> {
        pairs.iter().map(|pair| geometry_column::encode(pick(pair))).collect()
    };
    let rows: Vec<(Vec<u8>, Vec<u8>, f64, bool)> = sqlx::query_as(
        "SELECT ST_AsEWKB(ST_Multi(ST_CollectionExtract(common, 3))), ST_AsEWKB(ST_Multi(ST_CollectionExtract(ST_Difference(a, b), 3))),
                ST_Area(common::geography), ST_Covers(a, b)
         FROM (SELECT n, a::geometry AS a, b::geometry AS b, ST_Intersection(a::geometry, b::geometry) AS common
               FROM unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY AS p (a, b, n)) cut ORDER BY n",
    )
    .bind(bytes(|pair| &pair.0))
    .bind(bytes(|pair| &pair.1))
    .fetch_all(&db.pool)
    .await
    .expect("judge");
    let shape = |bytes: &[u8]| geometry_column::decode_shown(bytes).map(|flat| flat.to_multi_polygon());
    let judged = rows.iter().map(|(common, left, common_geodesic_m2, covers)| Judged {
        common: shape(common),
        left: shape(left),
        common_geodesic_m2: *common_geodesic_m2,
        covers: *covers,
    });
    judged.collect()
}

fn by_formula(shape: &Option<MultiPolygon<f64>>) -> f64 {
    shape.as_ref().map_or(0.0, |shape| area::ellipsoidal(shape).value())
}

#[actix_web::test]
async fn twenty_thousand_pairs_share_the_land_that_postgis_cuts_out() {
    let db = Database::empty().await;
    let shapes = shapes();
    assert!(shapes.len() > 700, "{}", shapes.len());
    let pairs = pairs(&shapes, &mut Dice::of_this_run("overlap_judge"));
    let judged = judge(&db, &pairs).await;
    assert_eq!(judged.len(), PAIRS);
    let exact = Thresholds::new(0.0, 0.0, 0.0).expect("in bounds");
    let (mut sharing, mut worst) = (0, 0.0_f64);
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for (n, ((a, b), judged)) in pairs.iter().zip(&judged).enumerate() {
        let (one, other) = (Shape::of_multi_polygon(a), Shape::of_multi_polygon(b));
        let found = encounter(&one, &other, &exact, false, &mut Work::of_one_pair()).expect("few steps");
        let ours = found.as_ref().map_or(0.0, |found| found.area_m2);
        assert_eq!(ours > 1e-6, judged.common_geodesic_m2 > 1e-6, "pair {n}: {ours}, {}", judged.common_geodesic_m2);
        let alone = rest(&one, &other, &mut Work::of_one_pair()).expect("few steps").area_m2;
        for (what, ours, judge) in
            [("common", ours, by_formula(&judged.common)), ("left", alone, by_formula(&judged.left))]
        {
            worst = worst.max((ours - judge).abs());
            assert!((ours - judge).abs() <= 1e-4, "pair {n}, {what}: {ours} against {judge}");
        }
        sharing += usize::from(ours > 0.0);
        if let Some(found) = found {
            let inside = matches!(found.class, OverlapClass::Contains | OverlapClass::Identical);
            assert_eq!(inside, judged.covers, "pair {n}: {found:?}");
            *classes.entry(found.class.as_str()).or_default() += 1;
        }
    }
    println!("{sharing} of {PAIRS} pairs share land, worst difference {worst:e} m², {classes:?}");
    assert!(sharing > PAIRS / 2, "{sharing}");
}

#[actix_web::test]
async fn twenty_thousand_pairs_of_short_edges_have_postgis_geodesic_areas() {
    let db = Database::empty().await;
    let pairs = pairs(&shapes(), &mut Dice::of_this_run("overlap_judge"));
    let pairs: Vec<Pair> = pairs.iter().map(|(a, b)| (with_points(a), with_points(b))).collect();
    let (mut sharing, mut worst, mut beyond) = (0, 0.0_f64, 0);
    for (n, ((a, b), judged)) in pairs.iter().zip(judge(&db, &pairs).await).enumerate() {
        let (one, other) = (Shape::of_multi_polygon(a), Shape::of_multi_polygon(b));
        let common = measure(&one, &other, &mut Work::of_one_pair()).expect("few steps");
        let (ours, judge) = (common.map_or(0.0, |common| common.area_m2), judged.common_geodesic_m2);
        assert_eq!(ours > 1e-6, judge > 1e-6, "pair {n}: {ours} against {judge}");
        assert!((ours - judge).abs() <= (judge * 1e-6).max(0.01), "pair {n}: {ours} against {judge}");
        worst = worst.max((ours - judge).abs());
        beyond += usize::from((ours - judge).abs() > 1e-4);
        sharing += usize::from(ours > 0.0);
    }
    println!("{sharing} of {PAIRS} pairs share land, worst difference {worst:e} m², {beyond} beyond 1e-4 m²");
    assert!(sharing > PAIRS / 2, "{sharing}");
}
