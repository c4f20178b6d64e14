//! `FourExtents` (四至范围): placeholder, see helper brief.

/// The four sides of one block in words, verbatim.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FourExtents {
    pub east: Option<String>,
    pub south: Option<String>,
    pub west: Option<String>,
    pub north: Option<String>,
}
