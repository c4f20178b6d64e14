//! Repair, only when asked for, every step shown: repeated points, spikes, self-crossings, misplaced holes.
//!
//! Meaning of a repair, near to PostGIS' `structure` method but for holes in holes: a ring encloses what it winds around an odd number of times;
//! holes are cut from shells; parts are united. The result always passes `validity::check`, or the repair is refused.

use geo::{BooleanOps, Coord, LineString, MultiPolygon, Polygon};

use super::assemble;
use super::segments::{self, Meeting};
use super::validity;
use crate::domain::{Finding, Place, Severity, SquareMetres};
use crate::geometry::area;

/// Crossings a repair resolves; beyond it the shape is noise, and overlaying it costs the square of them.
const MAX_CROSSINGS: usize = 2_000;
/// Vertices a repair takes on.
const MAX_VERTICES: usize = 50_000;

/// A repaired geometry and what was done to get there.
#[derive(Debug, Clone, PartialEq)]
pub struct Repair {
    pub geometry: MultiPolygon<f64>,
    /// `None` where the broken shape has no area to speak of (self-crossing rings cancel themselves).
    pub area_before: Option<SquareMetres>,
    pub area_after: SquareMetres,
    /// Crossings that were resolved: what it cost.
    pub crossings: usize,
    /// One info finding a step, in Chinese.
    pub steps: Vec<Finding>,
}

/// Repairs, or says in one error finding why not.
pub fn repair(geometry: &MultiPolygon<f64>) -> Result<Repair, Finding> {
    let refuse = |code: &'static str, why: String| Err(Finding::error(code, Place::whole(), why));
    let vertices: usize = geometry.iter().flat_map(rings).map(|r| r.0.len()).sum();
    if vertices > MAX_VERTICES {
        return refuse(
            "repair_refused",
            format!("图形有 {vertices} 个点，超过可自动修复的上限 {MAX_VERTICES}，请在制图软件中修复"),
        );
    }
    if geometry.iter().flat_map(rings).flat_map(|r| r.coords()).any(|c| !(c.x.is_finite() && c.y.is_finite())) {
        return refuse("repair_refused", "图形含有不是有限数的坐标，无法自动修复".to_owned());
    }
    let mut steps = Vec::new();
    let cleaned = clean(geometry, &mut steps);
    let area_before = area_of_sound_rings(geometry);
    let mut crossings = 0;
    let repaired = if validity::is_valid(&cleaned) {
        cleaned
    } else {
        crossings = count_crossings(&cleaned);
        if crossings > MAX_CROSSINGS {
            return refuse(
                "repair_refused",
                format!("图形的自相交超过 {MAX_CROSSINGS} 处，无法可靠修复，请在制图软件中修复"),
            );
        }
        resolve(&cleaned, crossings, &mut steps)
    };
    if repaired.0.is_empty() {
        return refuse("repair_refused", "修复后图形没有面积，无法自动修复".to_owned());
    }
    let left: Vec<_> = validity::check(&repaired, None).into_iter().filter(|f| f.severity == Severity::Error).collect();
    if let Some(fault) = left.first() {
        return refuse("repair_failed", format!("自动修复后仍有问题：{}；请在制图软件中修复", fault.message));
    }
    Ok(Repair { area_before, area_after: area::ellipsoidal(&repaired), crossings, geometry: repaired, steps })
}

fn rings(polygon: &Polygon<f64>) -> impl Iterator<Item = &LineString<f64>> {
    std::iter::once(polygon.exterior()).chain(polygon.interiors())
}

fn step(code: &'static str, message: String) -> Finding {
    Finding::info(code, Place::whole(), message)
}

/// The area where every ring is simple enough to have one; else `None`.
fn area_of_sound_rings(geometry: &MultiPolygon<f64>) -> Option<SquareMetres> {
    (count_crossings(geometry) == 0).then(|| area::ellipsoidal(geometry))
}

/// Drops repeated points, spikes, and rings that are left without area.
fn clean(geometry: &MultiPolygon<f64>, steps: &mut Vec<Finding>) -> MultiPolygon<f64> {
    let mut polygons = Vec::with_capacity(geometry.0.len());
    for (part, polygon) in (1..).zip(geometry) {
        let mut kept: Vec<LineString<f64>> = Vec::new();
        let mut shell_lost = false;
        for (ring, line) in (1..).zip(rings(polygon)) {
            let (cleaned, repeated, spikes) = clean_ring(line);
            if repeated > 0 {
                steps.push(step(
                    "repair_repeated_points",
                    format!("第 {part} 部分第 {ring} 环删除重复点 {repeated} 个"),
                ));
            }
            if spikes > 0 {
                steps.push(step("repair_spikes", format!("第 {part} 部分第 {ring} 环删除尖刺 {spikes} 处")));
            }
            if cleaned.0.len() >= 4 {
                kept.push(cleaned);
            } else {
                shell_lost |= ring == 1;
                steps.push(step("repair_ring_dropped", format!("第 {part} 部分第 {ring} 环没有面积，已删除")));
            }
        }
        if !shell_lost && !kept.is_empty() {
            let exterior = kept.remove(0);
            polygons.push(Polygon::new(exterior, kept));
        }
    }
    MultiPolygon(polygons)
}

/// The ring without repeated points and without edges that run back on themselves.
fn clean_ring(ring: &LineString<f64>) -> (LineString<f64>, usize, usize) {
    let mut open: Vec<Coord<f64>> = ring.0.clone();
    if open.len() > 1 && open.first() == open.last() {
        open.pop();
    }
    let before = open.len();
    open.dedup();
    while open.len() > 1 && open.first() == open.last() {
        open.pop();
    }
    let repeated = before - open.len();
    let mut spikes = 0;
    let mut i = 0;
    // Each removal steps back one vertex, since it may uncover the next spike; every vertex is removed at most once.
    while open.len() > 2 && i < open.len() {
        let n = open.len();
        let (previous, here, next) = (open[(i + n - 1) % n], open[i], open[(i + 1) % n]);
        let back = segments::orient(previous, here, next) == geo::algorithm::kernels::Orientation::Collinear
            && (here.x - previous.x) * (next.x - here.x) + (here.y - previous.y) * (next.y - here.y) < 0.0;
        if back || previous == here || previous == next {
            open.remove(i);
            spikes += usize::from(back || previous == next);
            i = i.saturating_sub(2);
        } else {
            i += 1;
        }
    }
    if let Some(&first) = open.first() {
        open.push(first);
    }
    (LineString(open), repeated, spikes)
}

fn count_crossings(geometry: &MultiPolygon<f64>) -> usize {
    let all = segments::segments(geometry);
    let tree = segments::index(&all);
    let mut count = 0;
    for s in &all {
        for t in tree.locate_in_envelope_intersecting(&rstar::RTreeObject::envelope(s)) {
            if (t.part, t.ring, t.order) <= (s.part, s.ring, s.order) || s.adjacent(t) {
                continue;
            }
            if matches!(segments::meeting(s, t), Meeting::Cross(_) | Meeting::Along(..)) {
                count += 1;
                if count > MAX_CROSSINGS {
                    return count;
                }
            }
        }
    }
    count
}

/// Even–odd per ring, shells minus holes, parts united; then rings placed by containment.
fn resolve(geometry: &MultiPolygon<f64>, crossings: usize, steps: &mut Vec<Finding>) -> MultiPolygon<f64> {
    let nothing = MultiPolygon::<f64>(Vec::new());
    let even_odd = |ring: &LineString<f64>| Polygon::new(ring.clone(), vec![]).union(&nothing);
    // Rings whose numbering or nesting is wrong, but which do not cross, only need placing.
    if crossings == 0 {
        let placed = assemble::from_rings(geometry.iter().flat_map(rings).cloned().collect()).geometry;
        if validity::is_valid(&placed) {
            steps.push(step("repair_rings_placed", "按包含关系重新判定了内环与外环".to_owned()));
            return placed;
        }
    }
    let united = geometry.iter().fold(nothing.clone(), |sum, polygon| {
        let shell = even_odd(polygon.exterior());
        let land = polygon.interiors().iter().fold(shell, |land, hole| land.difference(&even_odd(hole)));
        sum.union(&land)
    });
    steps.push(step("repair_crossings", format!("解开自相交 {crossings} 处，得到 {} 个部分", united.0.len())));
    let mut tidy = Vec::with_capacity(united.0.len());
    let mut slivers = 0;
    for polygon in &united {
        let mut kept = rings(polygon).map(|ring| clean_ring(ring).0);
        let shell = kept.next().filter(|ring| !is_sliver(ring));
        let holes: Vec<_> = kept.filter(|ring| ring.0.len() >= 4).collect();
        let all = holes.len();
        let holes: Vec<_> = holes.into_iter().filter(|ring| !is_sliver(ring)).collect();
        slivers += all - holes.len() + usize::from(shell.is_none());
        tidy.extend(shell.map(|shell| Polygon::new(shell, holes)));
    }
    if slivers > 0 {
        steps.push(step("repair_slivers", format!("去掉宽度不足 1 厘米的细缝 {slivers} 处")));
    }
    MultiPolygon(tidy)
}

/// A ring without width: what is left where a boundary runs out and back along itself, as wide as the overlay's grid
/// (its step is a fraction of the extent, 0.3 mm for a prefecture).
fn is_sliver(ring: &LineString<f64>) -> bool {
    /// A centimetre in degrees.
    const NARROWEST: f64 = 1e-7;
    if ring.0.len() < 4 {
        return true;
    }
    let length: f64 = ring.lines().map(|e| (e.end.x - e.start.x).hypot(e.end.y - e.start.y)).sum();
    let origin = ring.0[0];
    let twice: f64 = ring
        .lines()
        .map(|e| (e.start.x - origin.x) * (e.end.y - origin.y) - (e.end.x - origin.x) * (e.start.y - origin.y))
        .sum();
    // Mean width of a long thin ring: its area over half its length.
    twice.abs() <= NARROWEST * length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polygon(points: &[(f64, f64)]) -> MultiPolygon<f64> {
        MultiPolygon(vec![Polygon::new(points.to_vec().into(), vec![])])
    }

    #[test]
    fn a_bow_tie_becomes_its_two_triangles() {
        let bow_tie = polygon(&[(112.0, 28.0), (112.25, 28.25), (112.25, 28.0), (112.0, 28.25), (112.0, 28.0)]);
        let repaired = repair(&bow_tie).expect("repairable");
        let triangles = area::ellipsoidal(&polygon(&[(112.0, 28.0), (112.125, 28.125), (112.0, 28.25), (112.0, 28.0)]))
            .value()
            + area::ellipsoidal(&polygon(&[(112.25, 28.0), (112.25, 28.25), (112.125, 28.125), (112.25, 28.0)]))
                .value();
        assert_eq!(repaired.geometry.0.len(), 2);
        assert_eq!(repaired.area_before, None, "a bow tie has no area: its halves cancel");
        assert!((repaired.area_after.value() - triangles).abs() < 1.0, "{} {triangles}", repaired.area_after);
        assert_eq!(repaired.steps.iter().map(|s| s.code.as_ref()).collect::<Vec<_>>(), ["repair_crossings"]);
    }

    #[test]
    fn spikes_and_repeated_points_go_and_the_area_stays() {
        let square = polygon(&[(112.0, 28.0), (112.25, 28.0), (112.25, 28.25), (112.0, 28.25), (112.0, 28.0)]);
        let dirty = polygon(&[
            (112.0, 28.0),
            (112.25, 28.0),
            (112.25, 28.0),
            (112.25, 28.25),
            (112.25, 28.5),
            (112.25, 28.25),
            (112.0, 28.25),
            (112.0, 28.0),
        ]);
        assert!(!validity::is_valid(&dirty));
        let repaired = repair(&dirty).expect("repairable");
        assert_eq!(repaired.geometry, square);
        let codes: Vec<_> = repaired.steps.iter().map(|s| s.code.as_ref()).collect();
        assert_eq!(codes, ["repair_repeated_points", "repair_spikes"]);
    }

    #[test]
    fn a_line_drawn_out_and_back_leaves_no_sliver() {
        // The way back runs 0.4 mm beside the way out and crosses it: a hole without width would stay.
        let out_and_back = polygon(&[
            (109.0, 26.0),
            (112.0, 26.0),
            (112.0, 29.0),
            (110.0, 29.0),
            (110.5, 28.0),
            (111.0, 27.5),
            (110.500_000_004, 28.0),
            (109.999_999_996, 29.0),
            (109.0, 29.0),
            (109.0, 26.0),
        ]);
        assert!(!validity::is_valid(&out_and_back));
        let repaired = repair(&out_and_back).expect("repairable");
        assert_eq!((repaired.geometry.0.len(), repaired.geometry.0[0].interiors().len()), (1, 0));
        assert!(repaired.steps.iter().any(|s| s.code == "repair_slivers"), "{:?}", repaired.steps);
    }

    #[test]
    fn a_hole_outside_its_shell_becomes_a_part() {
        let mut wrong = polygon(&[(112.0, 28.0), (112.25, 28.0), (112.25, 28.25), (112.0, 28.25), (112.0, 28.0)]);
        wrong.0[0].interiors_push(LineString::from(vec![
            (112.5, 28.0),
            (112.75, 28.0),
            (112.75, 28.25),
            (112.5, 28.25),
            (112.5, 28.0),
        ]));
        let repaired = repair(&wrong).expect("repairable");
        assert_eq!(repaired.geometry.0.len(), 2);
        assert_eq!(repaired.steps[0].code, "repair_rings_placed");
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        let line = polygon(&[(112.0, 28.0), (112.25, 28.0), (112.0, 28.0), (112.0, 28.0)]);
        assert_eq!(repair(&line).expect_err("no area").code, "repair_refused");
        let nan = polygon(&[(112.0, 28.0), (f64::NAN, 28.0), (112.1, 28.1), (112.0, 28.0)]);
        assert_eq!(repair(&nan).expect_err("not finite").code, "repair_refused");
    }

    #[test]
    fn noise_is_refused_in_bounded_time() {
        // A star polygon whose every edge crosses almost every other: 2,001 vertices, some two million crossings.
        let n = 2_001_u32;
        let mut points: Vec<(f64, f64)> = (0..n)
            .map(|i| {
                let angle = f64::from(i * 1_000 % n) / f64::from(n) * std::f64::consts::TAU;
                (112.0 + 0.1 * angle.cos(), 28.0 + 0.1 * angle.sin())
            })
            .collect();
        points.push(points[0]);
        assert_eq!(repair(&polygon(&points)).expect_err("noise").code, "repair_refused");
    }
}
