//! The comparison itself: every shape of a check with every feature near it, on the threads of the desk.
//!
//! Findings are in the order of shape, layer, feature id, whatever thread found them: the same question gives the same bytes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use geo::Centroid;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::source::{Feature, Source};
use super::zone;
use crate::domain::BlockId;
use crate::domain::overlap::{OverlapClass, Thresholds};
use crate::domain::overlap_check::{LandKind, MOST_COMPARED, MOST_FINDINGS, Purpose, Weight, weigh};
use crate::geometry::metres::Plane;
use crate::geometry::overlap::{Encounter, Shape, Stopped, Work, encounter};
use crate::geometry::validity;
use crate::store::last_word::LastWord;
use crate::store::overlap_checks::{FindingRow, SubjectRow};

/// Steps of all pairs together: some minutes on one processor.
const MOST_STEPS: u64 = 20_000_000_000;
/// Pairs that were not compared are named up to so many; all are counted.
const NAMED: usize = 100;

/// How far a comparison is, and whether it is still wanted.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub done: AtomicU64,
    pub total: AtomicU64,
    pub cancelled: AtomicBool,
    /// It has left the queue.
    pub running: AtomicBool,
}

/// What came of a comparison.
#[derive(Debug)]
pub(super) struct Outcome {
    pub findings: Vec<FindingRow>,
    pub summary: Value,
}

struct Task {
    subject: usize,
    source: usize,
    feature: Feature,
}

struct Found {
    subject: usize,
    source: usize,
    feature: Feature,
    encounter: Encounter,
}

/// Why a pair was not compared.
enum Missed {
    TooComplex,
    Invalid,
    /// What the whole check may take was spent on others.
    NotReached,
}

/// Compares; `None` where it was cancelled.
pub(super) fn compare(
    subjects: &[SubjectRow],
    sources: &[Source],
    purpose: Purpose,
    thresholds: &Thresholds,
    watch: &Watch,
) -> Option<Outcome> {
    let shapes: Vec<Shape> = subjects.iter().map(|s| Shape::of_multi_polygon(&s.geometry)).collect();
    let (tasks, all_listed) = tasks(subjects, &shapes, sources, thresholds);
    watch.total.store(tasks.len() as u64, Relaxed);
    let spent = AtomicU64::new(0);
    let compared = tasks.par_iter().map(|task| {
        if watch.cancelled.load(Relaxed) {
            return Ok(None);
        }
        if spent.load(Relaxed) > MOST_STEPS {
            return Err((task.subject, task.source, task.feature, Missed::NotReached));
        }
        let found = one(task, &shapes, sources, thresholds, watch, &spent);
        watch.done.fetch_add(1, Relaxed);
        found.map_err(|missed| (task.subject, task.source, task.feature, missed))
    });
    let compared: Vec<_> = compared.collect();
    if watch.cancelled.load(Relaxed) {
        return None;
    }
    let (mut found, mut missed) = (Vec::new(), Vec::new());
    for result in compared {
        match result {
            Ok(Some(pair)) => found.push(pair),
            Ok(None) => {}
            Err(pair) => missed.push(pair),
        }
    }
    let outside = outside(subjects, &shapes, sources, purpose, thresholds, watch, &spent);
    if watch.cancelled.load(Relaxed) {
        return None;
    }
    let Outside { rows: mut outside, not_reckoned } = outside;
    let key = |subject, source: usize, feature| (subject, source, sources[source].id(feature));
    found.sort_by(|a, b| key(a.subject, a.source, a.feature).cmp(&key(b.subject, b.source, b.feature)));
    missed.sort_by(|a, b| key(a.0, a.1, a.2).cmp(&key(b.0, b.1, b.2)));
    let in_time = spent.load(Relaxed) <= MOST_STEPS;
    let counted = found.len() + outside.len();
    let all_kept = counted <= MOST_FINDINGS;
    // Where not all can be kept, the heaviest are.
    if !all_kept {
        found.sort_by_cached_key(|pair| weight_of(purpose, sources, pair));
        outside.sort_by_key(|(_, row)| row.weight);
        let weights = found.iter().map(|pair| weight_of(purpose, sources, pair)).collect::<Vec<_>>();
        let (pairs, rests) = heaviest(&weights, &outside.iter().map(|(_, row)| row.weight).collect::<Vec<_>>());
        found.truncate(pairs);
        outside.truncate(rests);
    }
    let rows = found.into_iter().map(|pair| (pair.source, row(pair, subjects, sources, purpose)));
    let mut rows: Vec<(usize, FindingRow)> = rows.chain(outside).collect();
    rows.sort_by(|(a, x), (b, y)| (x.subject, a, &x.feature_id).cmp(&(y.subject, b, &y.feature_id)));
    let findings: Vec<FindingRow> = (1..).zip(rows).map(|(number, (_, row))| FindingRow { number, ..row }).collect();
    let pairs = missed.iter().map(|m| missed_json(m, subjects, sources));
    let not_compared: Vec<Value> = pairs.chain(not_reckoned.iter().cloned()).take(NAMED).collect();
    let summary = json!({
        "compared": tasks.len() - missed.len(),
        "found": counted,
        "kept": findings.len(),
        "complete": all_listed && in_time && all_kept && missed.is_empty() && not_reckoned.is_empty(),
        "by_class": counts(&findings, |f| f.class.as_str(), OverlapClass::ALL.iter().map(|class| class.as_str())),
        "by_weight": counts(&findings, |f| f.weight.as_str(), Weight::ALL.iter().map(|weight| weight.as_str())),
        "not_compared_count": missed.len() + not_reckoned.len(),
        "not_compared": not_compared,
    });
    Some(Outcome { findings, summary })
}

/// How many of either list are kept, both the heaviest first, where [`MOST_FINDINGS`] are kept of both.
fn heaviest(a: &[Weight], b: &[Weight]) -> (usize, usize) {
    let (mut of_a, mut of_b) = (0, 0);
    while of_a + of_b < MOST_FINDINGS {
        match (a.get(of_a), b.get(of_b)) {
            (Some(x), Some(y)) if x <= y => of_a += 1,
            (Some(_), None) => of_a += 1,
            (_, Some(_)) => of_b += 1,
            (None, None) => break,
        }
    }
    (of_a, of_b)
}

fn weight_of(purpose: Purpose, sources: &[Source], pair: &Found) -> Weight {
    let (source, class) = (&sources[pair.source], pair.encounter.class);
    match source.zone(pair.feature) {
        Some(zone) => zone.weigh(purpose, class.shares_land()),
        None => weigh(purpose, LandKind::of_layer(source.layer.id), class),
    }
}

/// Land outside of the lines that it should lie in.
struct Outside {
    /// With the source of each.
    rows: Vec<(usize, FindingRow)>,
    not_reckoned: Vec<Value>,
}

fn outside(
    subjects: &[SubjectRow],
    shapes: &[Shape],
    sources: &[Source],
    purpose: Purpose,
    thresholds: &Thresholds,
    watch: &Watch,
    spent: &AtomicU64,
) -> Outside {
    let kinds =
        |(at, source): (usize, &Source)| source.within.iter().map(|kind| (at, kind.clone())).collect::<Vec<_>>();
    let kinds: Vec<_> = sources.iter().enumerate().flat_map(kinds).collect();
    let tasks: Vec<_> =
        (0..subjects.len()).flat_map(|at| kinds.iter().map(move |(source, kind)| (at, *source, kind))).collect();
    let reckoned: Vec<_> = tasks
        .par_iter()
        .filter(|_| !watch.cancelled.load(Relaxed))
        .map(|&(at, source, kind)| {
            if spent.load(Relaxed) > MOST_STEPS {
                return (at, source, kind, Err(Missed::NotReached));
            }
            let mut work = Work::of_one_pair().until(&watch.cancelled);
            let rest = zone::outside(&shapes[at], &sources[source], kind, &mut work);
            spent.fetch_add(work.spent(), Relaxed);
            let rest = match rest {
                Ok(rest) => Ok(rest),
                Err(Stopped::Cancelled) => Ok(None),
                Err(Stopped::TooComplex) => Err(Missed::TooComplex),
            };
            (at, source, kind, rest)
        })
        .collect();
    let mut outside = Outside { rows: Vec::new(), not_reckoned: Vec::new() };
    for (at, source, kind, rest) in reckoned {
        match rest {
            Ok(Some(rest)) => {
                outside.rows.push((source, zone::finding(at, &subjects[at], kind, rest, purpose, thresholds)));
            }
            Ok(None) => {}
            Err(missed) => {
                outside.not_reckoned.push(missed_named(&missed, at, subjects, zone::LAYER, &kind.code));
            }
        }
    }
    outside
}

/// Every pair whose boxes, a gap's width apart at most, meet; false where there are more than may be compared.
fn tasks(subjects: &[SubjectRow], shapes: &[Shape], sources: &[Source], thresholds: &Thresholds) -> (Vec<Task>, bool) {
    let mut tasks = Vec::new();
    for (subject, (row, shape)) in subjects.iter().zip(shapes).enumerate() {
        let Some(bbox) = shape.bbox() else { continue };
        let reach = widened(bbox, thresholds.gap_width_m());
        let own = Own::of(row);
        for (number, source) in sources.iter().enumerate() {
            source.near(&reach, |feature| {
                if tasks.len() <= MOST_COMPARED && !own.is(source.layer.id, source.id(feature)) {
                    tasks.push(Task { subject, source: number, feature });
                }
            });
        }
    }
    let all_listed = tasks.len() <= MOST_COMPARED;
    tasks.truncate(MOST_COMPARED);
    (tasks, all_listed)
}

/// A box and so many metres around it.
pub(in crate::inventory) fn widened(bbox: [f64; 4], metres: f64) -> [f64; 4] {
    let middle = geo::Coord { x: (bbox[0] + bbox[2]) / 2.0, y: (bbox[1] + bbox[3]) / 2.0 };
    let (east, north) = Plane::around(middle).degrees(metres);
    [bbox[0] - east, bbox[1] - north, bbox[2] + east, bbox[3] + north]
}

/// What a shape that is checked where it stands is itself: a park is its blocks too.
struct Own<'a> {
    layer: Option<&'a str>,
    id: &'a str,
    park: Option<String>,
}

impl<'a> Own<'a> {
    fn of(row: &'a SubjectRow) -> Self {
        let (layer, id) = (row.layer.as_deref(), row.feature_id.as_deref().unwrap_or_default());
        let park = match layer {
            Some("parks") => Some(id.to_owned()),
            Some("park_blocks") => BlockId::parse(id).ok().map(|block| block.park().to_string()),
            _ => None,
        };
        Self { layer, id, park }
    }

    fn is(&self, layer: &str, id: &str) -> bool {
        match (self.layer, layer) {
            (None, _) => false,
            (Some("parks"), "park_blocks") => {
                BlockId::parse(id).is_ok_and(|block| self.park.as_deref() == Some(block.park().as_str()))
            }
            (Some("park_blocks"), "parks") => self.park.as_deref() == Some(id),
            (Some(own), other) => own == other && self.id == id,
        }
    }
}

fn one(
    task: &Task,
    shapes: &[Shape],
    sources: &[Source],
    thresholds: &Thresholds,
    watch: &Watch,
    spent: &AtomicU64,
) -> Result<Option<Found>, Missed> {
    let source = &sources[task.source];
    let Some(other) = source.shape(task.feature) else { return Ok(None) };
    // The register's own shapes were judged when they came; an operator's table holds anything.
    if source.layer.extra.is_some() && !validity::is_valid(&other.to_multi_polygon()) {
        return Err(Missed::Invalid);
    }
    let mut work = Work::of_one_pair().until(&watch.cancelled);
    let met = encounter(&shapes[task.subject], &other, thresholds, true, &mut work);
    let met = match met {
        Ok(Some(met)) if met.class == OverlapClass::Gap => {
            without_filled(met, source, &[source.id(task.feature)], &mut work)
        }
        other => other,
    };
    spent.fetch_add(work.spent(), Relaxed);
    match met {
        Ok(met) => {
            let found =
                |encounter| Found { subject: task.subject, source: task.source, feature: task.feature, encounter };
            Ok(met.map(found))
        }
        Err(Stopped::TooComplex) => Err(Missed::TooComplex),
        Err(Stopped::Cancelled) => Ok(None),
    }
}

/// A gap that is mostly the land of another feature of the source than these is none: a path of its own between two parcels.
pub(in crate::inventory) fn without_filled(
    met: Encounter,
    source: &Source,
    mine: &[&str],
    work: &mut Work<'_>,
) -> Result<Option<Encounter>, Stopped> {
    let Some(gap) = &met.gap else { return Ok(Some(met)) };
    let mut filled_m2 = 0.0;
    for strip in &gap.strips {
        let Some(middle) = strip.centroid().map(|point| point.0) else { continue };
        let mut near = Vec::new();
        source.near(&[middle.x, middle.y, middle.x, middle.y], |feature| near.push(feature));
        for feature in near.into_iter().filter(|feature| !mine.contains(&source.id(*feature))) {
            if let Some(third) = source.shape(feature)
                && third.holds(middle, work)?
            {
                filled_m2 += crate::geometry::area::polygon_area(strip);
                break;
            }
        }
    }
    if filled_m2 * 2.0 <= gap.area_m2 {
        return Ok(Some(met));
    }
    let class = if met.shared_edge_m > 0.0 { OverlapClass::SharedEdge } else { OverlapClass::Touch };
    let touches = met.touches;
    Ok(touches.then_some(Encounter { class, width_m: None, gap: None, land: None, ..met }))
}

fn row(pair: Found, subjects: &[SubjectRow], sources: &[Source], purpose: Purpose) -> FindingRow {
    let source = &sources[pair.source];
    let weight = weight_of(purpose, sources, &pair);
    let met = pair.encounter;
    FindingRow {
        number: 0,
        subject: pair.subject as i32 + 1,
        label: subjects[pair.subject].label.clone(),
        layer: source.layer.id.to_owned(),
        feature_id: source.id(pair.feature).to_owned(),
        feature_name: source.name(pair.feature),
        illustrative: source.is_illustrative(pair.feature),
        class: met.class,
        weight,
        area_m2: met.area_m2,
        share_of_subject: met.share_of_a,
        share_of_feature: met.share_of_b,
        width_m: met.width_m,
        shared_edge_m: met.shared_edge_m,
        gap_area_m2: met.gap.as_ref().map(|gap| gap.area_m2),
        gap_length_m: met.gap.as_ref().map(|gap| gap.length_m),
        land: met.land.filter(|land| !land.0.is_empty()),
        rule: source.zone(pair.feature).map(|zone| zone.rule).filter(|rule| !rule.is_empty()),
        said: LastWord::none(),
    }
}

/// Count and common land of each word, those that do not occur too.
fn counts<'w>(
    findings: &[FindingRow],
    word: impl Fn(&FindingRow) -> &'static str,
    words: impl Iterator<Item = &'w str>,
) -> Value {
    let mut of_word: HashMap<&str, (usize, f64)> = HashMap::new();
    for finding in findings {
        let (count, area) = of_word.entry(word(finding)).or_default();
        *count += 1;
        *area += finding.area_m2;
    }
    let one = |word: &'w str| {
        let (count, area) = of_word.get(word).copied().unwrap_or_default();
        (word.to_owned(), json!({"count": count, "area_m2": area}))
    };
    Value::Object(words.map(one).collect())
}

fn missed_json(
    (subject, source, feature, missed): &(usize, usize, Feature, Missed),
    subjects: &[SubjectRow],
    sources: &[Source],
) -> Value {
    let source = &sources[*source];
    missed_named(missed, *subject, subjects, source.layer.id, source.id(*feature))
}

fn missed_named(missed: &Missed, subject: usize, subjects: &[SubjectRow], layer: &str, id: &str) -> Value {
    let (code, reason) = match missed {
        Missed::TooComplex => ("geometry_too_complex", "边界相交太多，无法在限定的计算量内比较"),
        Missed::Invalid => ("geometry_invalid", "该要素的图形无效，没有比较"),
        Missed::NotReached => ("check_too_large", "整个检查的计算量已用完，没有比较到；请缩小范围或分开检查"),
    };
    json!({
        "subject": subject + 1,
        "subject_label": subjects[subject].label,
        "collection": layer,
        "feature_id": id,
        "code": code,
        "reason": reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_the_heaviest_are_kept_of_either_list() {
        let of = |block: usize, warn: usize, note: usize| {
            [vec![Weight::Block; block], vec![Weight::Warn; warn], vec![Weight::Note; note]].concat()
        };
        for (a, b, expected) in [
            (of(10, 0, MOST_FINDINGS), of(0, MOST_FINDINGS, 0), (10, MOST_FINDINGS - 10)),
            (of(0, 0, 3), of(0, 0, MOST_FINDINGS), (3, MOST_FINDINGS - 3)),
            (of(0, 0, MOST_FINDINGS), of(2, 0, 5), (MOST_FINDINGS - 2, 2)),
            (of(0, 0, 0), of(0, 0, MOST_FINDINGS + 1), (0, MOST_FINDINGS)),
            (of(1, 1, 1), of(1, 0, 0), (3, 1)),
        ] {
            assert_eq!(heaviest(&a, &b), expected);
        }
    }
}
