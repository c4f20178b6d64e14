//! Rings as a file gives them → a MultiPolygon in EPSG:4490, with a finding for every ring that cannot be one.

use geo::{Coord, LineString, MultiPolygon, Polygon};

use crate::domain::{Finding, Place};
use crate::geometry::crs::Crs;
use crate::geometry::{project, validity};

/// Polygons, their rings (outer first), their points; x or longitude first, in the file's own system.
pub type Parts = Vec<Vec<Vec<(f64, f64)>>>;

/// What [`build`] made of the rings.
pub struct Built {
    /// `None` where a ring is beyond use; a finding says which.
    pub geometry: Option<MultiPolygon<f64>>,
    pub findings: Vec<Finding>,
}

/// Projects and assembles. An open ring is told as an error and shown closed, so that its area can still be seen.
pub fn build(parts: Parts, crs: Crs, row: u64) -> Built {
    let mut findings = Vec::new();
    let geometry = assemble(parts, crs, row, &mut findings);
    Built { geometry, findings }
}

fn assemble(parts: Parts, crs: Crs, row: u64, findings: &mut Vec<Finding>) -> Option<MultiPolygon<f64>> {
    let vertices: usize = parts.iter().flatten().map(Vec::len).sum();
    if vertices > validity::MAX_VERTICES {
        findings.push(too_many_vertices(row, vertices));
        return None;
    }
    let mut polygons = Vec::with_capacity(parts.len());
    for (part, rings) in (1_u32..).zip(parts) {
        let mut lines = Vec::with_capacity(rings.len());
        for (ring, points) in (1_u32..).zip(rings) {
            lines.push(line(points, crs, row, part, ring, findings)?);
        }
        let mut lines = lines.into_iter();
        if let Some(exterior) = lines.next() {
            polygons.push(Polygon::new(exterior, lines.collect()));
        }
    }
    (!polygons.is_empty()).then_some(MultiPolygon(polygons))
}

/// A record with more vertices than any boundary has.
pub fn too_many_vertices(row: u64, vertices: usize) -> Finding {
    Finding::error(
        "too_many_vertices",
        Place::row(row),
        format!("第 {row} 个要素有 {vertices} 个点，超过上限 {}", validity::MAX_VERTICES),
    )
}

fn line(
    points: Vec<(f64, f64)>,
    crs: Crs,
    row: u64,
    part: u32,
    ring: u32,
    findings: &mut Vec<Finding>,
) -> Option<LineString<f64>> {
    let place = || Place::row(row).part(part).ring(ring);
    let name = || format!("第 {row} 个要素第 {part} 部分第 {ring} 环");
    if points.len() < 3 {
        let message = format!("{}只有 {} 个点，至少需要 4 个（含闭合点）", name(), points.len());
        findings.push(Finding::error("ring_too_few_points", place(), message));
        return None;
    }
    if let Some(bad) = points.iter().position(|(x, y)| !(x.is_finite() && y.is_finite())) {
        let vertex = u32::try_from(bad + 1).unwrap_or(u32::MAX);
        let message = format!("{}第 {vertex} 点的坐标不是有限的数", name());
        findings.push(Finding::error("coordinate_not_finite", place().vertex(vertex), message));
        return None;
    }
    let closed = points.first() == points.last();
    if !closed {
        let last = u32::try_from(points.len()).unwrap_or(u32::MAX);
        findings.push(Finding::error(
            "ring_not_closed",
            place().vertex(last),
            format!("{}没有闭合：末点与首点不同", name()),
        ));
    }
    // Every ring of a file passes here. Collected like this, and not by way of `Option`, the points stay where they lie.
    let mut outside = None;
    let project = |(at, (x, y))| {
        let (x, y) = project::inverse(crs, x, y).unwrap_or_else(|| {
            outside.get_or_insert((at, x, y));
            (f64::NAN, f64::NAN)
        });
        Coord { x, y }
    };
    let mut line: Vec<Coord<f64>> = points.into_iter().enumerate().map(project).collect();
    if let Some((at, x, y)) = outside {
        let vertex = u32::try_from(at + 1).unwrap_or(u32::MAX);
        let message = format!("{}第 {vertex} 点（{x}，{y}）不在{}的范围内", name(), crs.label());
        findings.push(Finding::error("coordinate_out_of_range", place().vertex(vertex).coordinate(x, y), message));
        return None;
    }
    // Equal numbers project alike; this only makes sure of it.
    if closed && line.len() > 1 {
        let (first, last) = (line[0], line.len() - 1);
        line[last] = first;
    }
    Some(LineString(line))
}
