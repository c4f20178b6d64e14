//! A drawing of shapes for a page, north up, as SVG. Never: what the shapes mean.

use std::fmt::Write as _;

use geo::{BoundingRect, Coord, MultiPolygon};

use super::html;
use crate::geometry::metres::Plane;

/// The drawing's longer side, in its own units.
const SIDE: f64 = 1_000.0;
/// Vertices that a page draws.
const DRAWN: usize = 100_000;

/// A drawing under way: what is drawn later lies on top.
pub struct Drawing {
    svg: String,
    plane: Plane,
    /// The south-western corner in the plane.
    low: Coord<f64>,
    /// The longer side of what is drawn, metres.
    size_m: f64,
    /// Units of the drawing to a metre, and its size in them.
    scale: f64,
    width: f64,
    height: f64,
    /// Vertices that may still be drawn.
    left: usize,
}

impl Drawing {
    /// A drawing with room for these; `None` where there is nothing. `label`: what it shows, for whoever cannot see it.
    pub fn around<'s>(shapes: impl Iterator<Item = &'s MultiPolygon<f64>>, label: &str) -> Option<Self> {
        let whole = shapes.filter_map(BoundingRect::bounding_rect).reduce(|a, b| {
            let low = Coord { x: a.min().x.min(b.min().x), y: a.min().y.min(b.min().y) };
            geo::Rect::new(low, Coord { x: a.max().x.max(b.max().x), y: a.max().y.max(b.max().y) })
        })?;
        let plane = Plane::around(whole.center());
        let (low, high) = (plane.to(whole.min()), plane.to(whole.max()));
        let size_m = (high.x - low.x).max(high.y - low.y).max(1e-3);
        let scale = SIDE * 0.9 / size_m;
        let (width, height) = ((high.x - low.x) * scale + SIDE * 0.1, (high.y - low.y) * scale + SIDE * 0.1);
        let svg = format!(
            "<h2>示意图</h2><svg class=\"plan\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{label}，上方为北\">"
        );
        Some(Self { svg, plane, low, size_m, scale, width, height, left: DRAWN })
    }

    /// Metres that the longer side of what is drawn has.
    pub fn size_m(&self) -> f64 {
        self.size_m
    }

    /// Metres from the drawing's left edge to its right one.
    pub fn width_m(&self) -> f64 {
        self.width / self.scale
    }

    /// Draws land with its holes, in the style of a class.
    pub fn land(&mut self, class: &str, title: &str, land: &MultiPolygon<f64>) {
        let attributes = format!("class=\"{class}\" fill-rule=\"evenodd\"");
        self.draw(&attributes, title, land);
    }

    /// Draws the rings of a shape that is not filled.
    pub fn outline(&mut self, class: &str, title: &str, shape: &MultiPolygon<f64>) {
        self.draw(&format!("class=\"{class}\""), title, shape);
    }

    fn draw(&mut self, attributes: &str, title: &str, shape: &MultiPolygon<f64>) {
        let path = self.path(shape);
        let _ = write!(self.svg, "<path {attributes} d=\"{path}\"><title>{}</title></path>", html::escape(title));
    }

    fn path(&mut self, shape: &MultiPolygon<f64>) -> String {
        let mut path = String::new();
        for ring in shape.0.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors())) {
            self.left = self.left.saturating_sub(ring.0.len());
            if self.left == 0 {
                break;
            }
            for (nth, c) in ring.coords().enumerate() {
                let p = self.plane.to(*c);
                let x = (p.x - self.low.x) * self.scale + SIDE * 0.05;
                let y = self.height - SIDE * 0.05 - (p.y - self.low.y) * self.scale;
                let _ = write!(path, "{}{x:.1} {y:.1}", if nth == 0 { 'M' } else { 'L' });
            }
            path.push('Z');
        }
        path
    }

    /// The drawing with its legend, which also says where not all could be drawn.
    pub fn finish(self, legend: &str) -> String {
        let cut = if self.left == 0 { "顶点过多，没有全部画出。" } else { "" };
        format!("{}</svg><p class=\"muted\">{legend}{cut}</p>", self.svg)
    }
}
