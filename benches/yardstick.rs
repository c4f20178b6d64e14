//! `cargo bench --bench yardstick -- parcels N`, `-- crowded N`, `-- parks` or `-- wide-parks`: the data of the yardstick (尺子) as PostgreSQL's binary
//! COPY on standard output, for `benches/map` and `benches/overlap`.

#[path = "yardstick/data.rs"]
mod data;

use std::io::{BufWriter, Result, Write};

use data::Crowding;
use geo::MultiPolygon;
use sizhi::geometry::area;

fn main() -> Result<()> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut copy = Copy(BufWriter::with_capacity(1 << 20, std::io::stdout().lock()));
    // Signature, flags, length of the header's extension.
    copy.0.write_all(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0")?;
    match words.as_slice() {
        ["parcels", count] => write_parcels(&mut copy, count.parse().map_err(std::io::Error::other)?, Crowding::Apart)?,
        ["crowded", count] => {
            write_parcels(&mut copy, count.parse().map_err(std::io::Error::other)?, Crowding::Crowded)?;
        }
        ["parks"] => write_parks(&mut copy, 1.0)?,
        ["wide-parks"] => write_parks(&mut copy, data::WIDE)?,
        _ => {
            let usage = "usage: cargo bench --bench yardstick -- parcels N | crowded N | parks | wide-parks";
            return Err(std::io::Error::other(usage));
        }
    }
    copy.0.write_all(&(-1_i16).to_be_bytes())?;
    copy.0.flush()
}

/// Rows of (id, county_code, park_code, name, state, approved_on, area_m2, geom).
fn write_parcels(copy: &mut Copy, count: u64, crowding: Crowding) -> Result<()> {
    for parcel in data::parcels(count, crowding) {
        copy.row(8)?;
        copy.text(&parcel.id)?;
        copy.text(&parcel.county)?;
        match parcel.park {
            Some(park) => copy.text(&park)?,
            None => copy.null()?,
        }
        copy.text(&parcel.name)?;
        copy.text(parcel.state)?;
        copy.bytes(&parcel.approved_on.to_be_bytes())?;
        copy.double((area::ellipsoidal(&parcel.shape).value() * 100.0).round() / 100.0)?;
        copy.geometry(&parcel.shape)?;
    }
    Ok(())
}

/// Rows of (code, name, level, prefecture_code, county_code, approved_area_ha, block_count, geom).
fn write_parks(copy: &mut Copy, wide: f64) -> Result<()> {
    for park in data::parks(wide) {
        copy.row(8)?;
        copy.text(&park.code)?;
        copy.text(&park.name)?;
        copy.text(park.level)?;
        copy.text(&park.prefecture)?;
        copy.text(&park.county)?;
        copy.double(park.approved_ha)?;
        copy.bytes(&(park.blocks as i32).to_be_bytes())?;
        copy.geometry(&park.shape)?;
    }
    Ok(())
}

/// PostgreSQL's binary COPY.
struct Copy<'a>(BufWriter<std::io::StdoutLock<'a>>);

impl Copy<'_> {
    fn row(&mut self, columns: i16) -> Result<()> {
        self.0.write_all(&columns.to_be_bytes())
    }

    fn null(&mut self) -> Result<()> {
        self.0.write_all(&(-1_i32).to_be_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write_all(&(bytes.len() as i32).to_be_bytes())?;
        self.0.write_all(bytes)
    }

    fn text(&mut self, text: &str) -> Result<()> {
        self.bytes(text.as_bytes())
    }

    fn double(&mut self, number: f64) -> Result<()> {
        self.bytes(&number.to_be_bytes())
    }

    /// EWKB, little-endian, EPSG:4490.
    fn geometry(&mut self, shape: &MultiPolygon<f64>) -> Result<()> {
        const POLYGON: u32 = 3;
        const MULTI_POLYGON: u32 = 6;
        const HAS_SRID: u32 = 0x2000_0000;
        let mut wkb = vec![1];
        wkb.extend((MULTI_POLYGON | HAS_SRID).to_le_bytes());
        wkb.extend(4490_u32.to_le_bytes());
        wkb.extend((shape.0.len() as u32).to_le_bytes());
        for polygon in shape {
            wkb.push(1);
            wkb.extend(POLYGON.to_le_bytes());
            wkb.extend(1_u32.to_le_bytes());
            wkb.extend((polygon.exterior().0.len() as u32).to_le_bytes());
            for at in polygon.exterior() {
                wkb.extend(at.x.to_le_bytes());
                wkb.extend(at.y.to_le_bytes());
            }
        }
        self.bytes(&wkb)
    }
}
