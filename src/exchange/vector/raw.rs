//! The few GDAL calls that the `gdal` crate does not offer: raw bytes of texts, and points in bulk. All `unsafe` of the
//! exchange stands here.

use std::ffi::{CStr, CString};

use gdal::spatial_ref::CoordTransform;
use gdal::vector::{Defn, Feature, Layer, LayerAccess as _};
use gdal_sys::{OGRGeometryH, OGRwkbGeometryType as Kind};

use super::wire::Shape;
use crate::exchange::rings::Parts;
use crate::geometry::validity::MAX_VERTICES;

/// Ends of a drawn line closer than this are one point: a micrometre, or 0.1 m for a drawing in degrees.
const CLOSING: f64 = 1e-6;

/// Names of the fields as the file's bytes; the `gdal` crate would replace what is no UTF-8.
pub fn field_names(defn: &Defn) -> Vec<Vec<u8>> {
    // SAFETY: the definition lives as long as `defn`; GDAL returns NUL-terminated names owned by it.
    unsafe {
        let raw = defn.c_defn();
        (0..gdal_sys::OGR_FD_GetFieldCount(raw))
            .map(|i| bytes(gdal_sys::OGR_Fld_GetNameRef(gdal_sys::OGR_FD_GetFieldDefn(raw, i))))
            .collect()
    }
}

/// Values of a record as the file's bytes; `None` for null.
pub fn values(feature: &Feature<'_>) -> Vec<Option<Vec<u8>>> {
    // SAFETY: the feature lives through the call; the returned texts are copied before the next call reuses them.
    unsafe {
        let raw = feature.c_feature();
        (0..gdal_sys::OGR_F_GetFieldCount(raw))
            .map(|i| {
                let is_set = gdal_sys::OGR_F_IsFieldSetAndNotNull(raw, i) != 0;
                is_set.then(|| bytes(gdal_sys::OGR_F_GetFieldAsString(raw, i)))
            })
            .collect()
    }
}

/// Adds a field of yes and no, which the `gdal` crate knows only as a number.
pub fn add_boolean_field(layer: &Layer<'_>, name: &str) -> gdal::errors::Result<()> {
    let name = CString::new(name)?;
    // SAFETY: the definition is made and destroyed here; the layer copies it.
    let outcome = unsafe {
        let field = gdal_sys::OGR_Fld_Create(name.as_ptr(), gdal_sys::OGRFieldType::OFTInteger);
        gdal_sys::OGR_Fld_SetSubType(field, gdal_sys::OGRFieldSubType::OFSTBoolean);
        let outcome = gdal_sys::OGR_L_CreateField(layer.c_layer(), field, 1);
        gdal_sys::OGR_Fld_Destroy(field);
        outcome
    };
    if outcome == gdal_sys::OGRErr::OGRERR_NONE {
        Ok(())
    } else {
        Err(gdal::errors::GdalError::OgrError { err: outcome, method_name: "OGR_L_CreateField" })
    }
}

unsafe fn bytes(text: *const std::ffi::c_char) -> Vec<u8> {
    // SAFETY: the callers pass GDAL's own NUL-terminated texts.
    if text.is_null() { Vec::new() } else { unsafe { CStr::from_ptr(text) }.to_bytes().to_vec() }
}

/// The record's geometry; curves are made straight, heights dropped. Closed lines are areas where `closed_lines` says so
/// (DXF knows no polygons).
pub fn shape(feature: &Feature<'_>, transform: Option<&CoordTransform>, closed_lines: bool) -> Shape {
    // SAFETY: the geometry belongs to the feature, which lives through the call; the straightened copy is destroyed here.
    unsafe {
        let geometry = gdal_sys::OGR_F_GetGeometryRef(feature.c_feature());
        if geometry.is_null() {
            return Shape::None;
        }
        if gdal_sys::OGR_G_HasCurveGeometry(geometry, 1) == 0 {
            return straight_shape(geometry, transform, closed_lines);
        }
        let straight = gdal_sys::OGR_G_GetLinearGeometry(geometry, 0.0, std::ptr::null_mut());
        if straight.is_null() {
            return Shape::Other(name(geometry));
        }
        let shape = straight_shape(straight, transform, closed_lines);
        gdal_sys::OGR_G_DestroyGeometry(straight);
        shape
    }
}

/// Whether the record's geometry has arcs in it.
pub fn has_curves(feature: &Feature<'_>) -> bool {
    // SAFETY: the geometry belongs to the feature, which lives through the call.
    unsafe {
        let geometry = gdal_sys::OGR_F_GetGeometryRef(feature.c_feature());
        !geometry.is_null() && gdal_sys::OGR_G_HasCurveGeometry(geometry, 1) != 0
    }
}

unsafe fn name(geometry: OGRGeometryH) -> String {
    // SAFETY: a live geometry; GDAL's names are static.
    String::from_utf8_lossy(&unsafe { bytes(gdal_sys::OGR_G_GetGeometryName(geometry)) }).into_owned()
}

unsafe fn straight_shape(geometry: OGRGeometryH, transform: Option<&CoordTransform>, closed_lines: bool) -> Shape {
    // SAFETY: a live geometry and its parts, none of them kept.
    unsafe {
        let parts: Vec<OGRGeometryH> = match gdal_sys::OGR_GT_Flatten(gdal_sys::OGR_G_GetGeometryType(geometry)) {
            Kind::wkbPolygon => vec![geometry],
            Kind::wkbMultiPolygon => children(geometry),
            Kind::wkbLineString if closed_lines => {
                return match closed(points(geometry, transform)) {
                    Some(ring) => Shape::Polygons(vec![vec![ring]]),
                    None => Shape::Other("LINESTRING".to_owned()),
                };
            }
            _ => return Shape::Other(name(geometry)),
        };
        if gdal_sys::OGR_G_IsEmpty(geometry) != 0 {
            return Shape::None;
        }
        let rings: Vec<Vec<OGRGeometryH>> = parts.into_iter().map(|part| children(part)).collect();
        let vertices: usize = rings.iter().flatten().map(|ring| point_count(*ring)).sum();
        if vertices > MAX_VERTICES {
            return Shape::TooLarge(vertices as u64);
        }
        let polygons: Parts =
            rings.into_iter().map(|part| part.into_iter().map(|ring| points(ring, transform)).collect()).collect();
        Shape::Polygons(polygons)
    }
}

/// The line as a ring, if it ends where it began up to the rounding of arcs.
fn closed(mut line: Vec<(f64, f64)>) -> Option<Vec<(f64, f64)>> {
    let (first, last) = (*line.first()?, line.last_mut()?);
    let near = (first.0 - last.0).abs() <= CLOSING && (first.1 - last.1).abs() <= CLOSING;
    *last = if near { first } else { *last };
    (near && line.len() >= 4).then_some(line)
}

unsafe fn children(geometry: OGRGeometryH) -> Vec<OGRGeometryH> {
    // SAFETY: a live geometry; the children belong to it.
    unsafe {
        (0..gdal_sys::OGR_G_GetGeometryCount(geometry)).map(|i| gdal_sys::OGR_G_GetGeometryRef(geometry, i)).collect()
    }
}

unsafe fn point_count(ring: OGRGeometryH) -> usize {
    // SAFETY: a live line.
    usize::try_from(unsafe { gdal_sys::OGR_G_GetPointCount(ring) }).unwrap_or(0)
}

unsafe fn points(ring: OGRGeometryH, transform: Option<&CoordTransform>) -> Vec<(f64, f64)> {
    // SAFETY: both arrays hold as many doubles as GDAL is told there is room for.
    let (mut x, mut y) = unsafe {
        let n = point_count(ring);
        let (mut x, mut y) = (vec![0.0_f64; n], vec![0.0_f64; n]);
        let stride = size_of::<f64>() as std::ffi::c_int;
        gdal_sys::OGR_G_GetPoints(
            ring,
            x.as_mut_ptr().cast(),
            stride,
            y.as_mut_ptr().cast(),
            stride,
            std::ptr::null_mut(),
            0,
        );
        (x, y)
    };
    if let Some(transform) = transform
        && transform.transform_coords(&mut x, &mut y, &mut []).is_err()
    {
        // The parent tells a coordinate that is no number by its place.
        x.fill(f64::NAN);
    }
    x.into_iter().zip(y).collect()
}
