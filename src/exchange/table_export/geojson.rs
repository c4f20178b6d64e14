//! GeoJSON out: features come as ready text and are joined, not parsed.

use std::io::Write;

use super::{Rows, failed};
use crate::error::Result;

/// One whole FeatureCollection; `head` are its members ahead of the features, as JSON with a comma behind each.
pub fn write_feature_collection(rows: Rows<'_>, head: &str, out: &mut dyn Write) -> Result<u64> {
    write!(out, "{{\"type\":\"FeatureCollection\",{head}\"features\":[").map_err(failed)?;
    let mut count = 0;
    for row in rows {
        let row = row?;
        // A line each: such a file can be looked at.
        out.write_all(if count == 0 { b"\n" } else { b",\n" }).map_err(failed)?;
        out.write_all(row.feature.as_bytes()).map_err(failed)?;
        count += 1;
    }
    out.write_all(b"\n]}\n").map_err(failed)?;
    Ok(count)
}

/// One feature a line.
pub fn write_feature_lines(rows: Rows<'_>, out: &mut dyn Write) -> Result<u64> {
    let mut count = 0;
    for row in rows {
        let row = row?;
        out.write_all(row.feature.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(failed)?;
        count += 1;
    }
    Ok(count)
}
