//! `Block` (区块): one piece of a park with its own boundary, four extents and stated area.

use geo::MultiPolygon;

use super::{BlockId, FourExtents, Hectares, SquareMetres};

/// One piece of a park with its own boundary.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub id: BlockId,
    pub name: Option<String>,
    /// Longitude, latitude in EPSG:4490; ring start and direction as in the source file.
    pub boundary: MultiPolygon<f64>,
    /// Ellipsoidal area (椭球面积), unrounded.
    pub area: SquareMetres,
    /// Area of the paper (批准/公告面积), kept beside the computed one, never instead of it.
    pub stated_area: Option<Hectares>,
    /// 四至 words, verbatim; all `None` where the source has none.
    pub four_extents: FourExtents,
    /// The whole 四至 text as the source gives it; `None` where it gives sides only.
    pub four_extents_text: Option<String>,
    /// Drawn by a generator (示意), not surveyed.
    pub illustrative: bool,
    /// Where it comes from: file name, document, generator.
    pub source: String,
    /// Coordinate system of the source file, `EPSG:4526`.
    pub source_crs: Option<String>,
    /// What the file said beyond our own columns: field name as in the file, text.
    pub attributes: Vec<(String, String)>,
}

impl Block {
    /// The 四至 words as they are shown: the text of the paper, else the sides put together; `None` without either.
    pub fn shown_four_extents(&self) -> Option<String> {
        let text = self.four_extents_text.clone();
        text.or_else(|| (!self.four_extents.is_empty()).then(|| self.four_extents.print()))
    }
}
