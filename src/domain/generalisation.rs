//! How much of a shape is shown to those who must not have its vertices (概略轮廓).
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

/// Metres of a degree on a meridian, at most: what the bound of a promise is reckoned by.
const METRES_PER_DEGREE: f64 = 111_700.0;

impl Generalisation {
    /// How many metres an outline and what was surveyed may lie apart at most (decision 0020): the tolerance and the diagonal of a cell; a
    /// cell and half a diagonal where a border is closed over a seam.
    pub fn bound_m(&self) -> f64 {
        let cell = METRES_PER_DEGREE * 0.1_f64.powi(i32::from(self.decimals.min(9)));
        let diagonal = cell * std::f64::consts::SQRT_2;
        (self.tolerance_m + diagonal).max(cell + diagonal / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_of_tolerance_and_cell() {
        for (tolerance_m, decimals, expected) in
            [(10.0, 4, 25.8), (0.0, 4, 19.1), (100.0, 6, 100.2), (0.0, 0, 190_684.0)]
        {
            let bound = Generalisation { tolerance_m, decimals }.bound_m();
            assert!((bound - expected).abs() / expected < 0.003, "{tolerance_m} {decimals}: {bound}");
        }
    }
}
