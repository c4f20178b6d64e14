//! How much of a shape is shown to those who must not have its vertices (概括轮廓).
//!
//! What an outline is, is reckoned in `geometry::generalise`; who sees it, a layer declares.

/// How much of a shape is shown: none of its detail below a tolerance, and no number finer than so many decimals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Generalisation {
    /// An outline keeps within so many metres of the border (and the diagonal of a cell of the decimals' grid).
    pub tolerance_m: f64,
    /// Decimals of a degree: 4 is a grid of 11 m, 5 of 1.1 m. More than nine count as nine.
    pub decimals: u8,
}
