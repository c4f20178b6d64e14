//! PROJ as the judge of coordinates: through GDAL, in the order of axes that the EPSG register has.

use gdal::spatial_ref::{AxisMappingStrategy, CoordTransform, SpatialRef};

/// From longitude and latitude of EPSG:4490 into this system, both numbers in the authority's order.
pub struct Judge {
    epsg: u32,
    transform: CoordTransform,
}

fn system(epsg: u32, axes: AxisMappingStrategy) -> SpatialRef {
    let mut system = SpatialRef::from_epsg(epsg).expect("known to PROJ");
    system.set_axis_mapping_strategy(axes);
    system
}

impl Judge {
    pub fn of(epsg: u32) -> Self {
        let stored = system(4490, AxisMappingStrategy::TraditionalGisOrder);
        let wanted = system(epsg, AxisMappingStrategy::AuthorityCompliant);
        Self { epsg, transform: CoordTransform::new(&stored, &wanted).expect("a way between") }
    }

    pub fn at(&self, longitude: f64, latitude: f64) -> [f64; 2] {
        let (mut x, mut y) = ([longitude], [latitude]);
        self.transform.transform_coords(&mut x, &mut y, &mut []).expect("within reach");
        [x[0], y[0]]
    }

    /// Whether the register lists north before east.
    pub fn is_north_first(&self) -> bool {
        let system = system(self.epsg, AxisMappingStrategy::AuthorityCompliant);
        let key = if system.is_geographic() { "GEOGCS" } else { "PROJCS" };
        let first = system.axis_orientation(key, 0).expect("an axis");
        first == gdal_sys::OGRAxisOrientation::OAO_North
    }
}
