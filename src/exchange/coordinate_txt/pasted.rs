//! A pasted list of coordinates: one point a line, a name in front or not, a blank line between rings, a line of `@` or `---` between
//! parcels. Which number is north, the numbers themselves say.

use super::header::half_width;
use super::parcel::{Parcel, Point, Ring, candidate};
use super::read::{read, split_lines};
use crate::domain::{Finding, Place};
use crate::exchange::limits::{MAX_FEATURES, MAX_FINDINGS};
use crate::exchange::{ReadOptions, Reading};
use crate::geometry::crs;

/// Reads a list; a text with the sections of a boundary-point file is read as such.
pub fn read_pasted(text: &str, options: &ReadOptions) -> Reading {
    if text.contains("地块坐标") {
        return read(text.as_bytes(), options);
    }
    let mut reading = Reading { format: "coordinates", ..Reading::default() };
    let mut lists = Lists::default();
    let text = half_width(text.trim_start_matches('\u{feff}'));
    for (line, text) in (1_u64..).zip(split_lines(&text)) {
        lists.take(line, text.trim(), &mut reading.findings);
        if reading.findings.len() > MAX_FINDINGS || lists.parcels.len() > MAX_FEATURES {
            let message = format!("问题过多，读到第 {line} 行为止");
            reading.findings.push(Finding::error("too_many_records", Place::row(line), message));
            break;
        }
    }
    let mut parcels = lists.parcels;
    parcels.retain(|parcel| parcel.broken || parcel.rings.iter().any(|ring| !ring.points.is_empty()));
    let points = || parcels.iter().flat_map(|parcel| &parcel.rings).flat_map(|ring| &ring.points);
    let sample: Vec<(f64, f64)> = points().take(1).map(|point| (point.x, point.y)).collect();
    if sample.is_empty() {
        reading.findings.push(Finding::error("geometry_missing", Place::whole(), "没有读到坐标：每行应有两个数"));
        return reading;
    }
    let detection = crs::detect(&sample, None, None);
    // North first or east first is for the numbers to say in a list; only what they cannot say is a fault.
    let told = detection.findings.into_iter().filter(|finding| finding.code != "axes_swapped");
    reading.findings.extend(told.filter(|_| options.crs.is_none()));
    reading.crs = options.crs.or(detection.crs);
    if !detection.swapped {
        // As pasted: east first. Points have north first.
        let points = parcels.iter_mut().flat_map(|parcel| &mut parcel.rings).flat_map(|ring| &mut ring.points);
        points.for_each(|point| std::mem::swap(&mut point.x, &mut point.y));
    }
    if let Some(crs) = reading.crs {
        let order =
            if detection.swapped { "北（纬度、纵坐标）在前" } else { "东（经度、横坐标）在前" };
        let message = format!("坐标按{order}读取，坐标系为{}", crs.label());
        reading.findings.push(Finding::info("coordinates_read", Place::whole(), message));
    }
    let system = reading.crs;
    let findings = &mut reading.findings;
    reading.candidates = parcels.into_iter().map(|parcel| candidate(parcel, system, findings)).collect();
    reading
}

#[derive(Default)]
struct Lists {
    parcels: Vec<Parcel>,
    /// The next point begins a ring.
    begins: bool,
}

impl Lists {
    fn take(&mut self, line: u64, text: &str, findings: &mut Vec<Finding>) {
        if text.is_empty() {
            self.begins = true;
            return;
        }
        if text.chars().all(|c| matches!(c, '-' | '@' | '=' | '—')) {
            self.parcels.push(Parcel { line, fields: Vec::new(), rings: Vec::new(), broken: false });
            self.begins = true;
            return;
        }
        if self.parcels.is_empty() {
            self.parcels.push(Parcel { line, fields: Vec::new(), rings: Vec::new(), broken: false });
            self.begins = true;
        }
        let Some(parcel) = self.parcels.last_mut() else { return };
        let Some((label, x, y)) = point(text) else {
            let shown: String = text.chars().take(40).collect();
            let message = format!("第 {line} 行：“{shown}”不是坐标；每行应有两个数，前面可有点号");
            findings.push(Finding::error("point_invalid", Place::row(line), message));
            parcel.broken = true;
            return;
        };
        if self.begins || parcel.rings.is_empty() {
            let number = (parcel.rings.len() + 1).to_string();
            parcel.rings.push(Ring { number, points: Vec::new(), labels: Default::default() });
            self.begins = false;
        }
        if let Some(ring) = parcel.rings.last_mut() {
            if ring.points.len() < 2 {
                ring.labels[ring.points.len()] = label.to_owned();
            }
            ring.labels[2] = label.to_owned();
            ring.points.push(Point { line, x, y });
        }
    }
}

/// The last two numbers of a line, and what stands in front of them.
fn point(text: &str) -> Option<(&str, f64, f64)> {
    const BETWEEN: [char; 10] = [',', '，', ';', '；', '、', '\t', ' ', '\u{3000}', '\u{a0}', '|'];
    let fields: Vec<&str> = text.split(BETWEEN).filter(|field| !field.is_empty()).collect();
    let (label, numbers) = match fields.as_slice() {
        [x, y] => ("", [*x, *y]),
        [label, x, y] => (*label, [*x, *y]),
        // 点号, 圈号, X, Y
        [label, _, x, y] => (*label, [*x, *y]),
        _ => return None,
    };
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    Some((label, number(numbers[0])?, number(numbers[1])?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::area;
    use crate::geometry::crs::Crs;

    fn read(text: &str) -> Reading {
        read_pasted(text, &ReadOptions::default())
    }

    #[test]
    fn either_order_of_either_kind_is_read() {
        let degrees = "112.9,28.2\n112.91,28.2\n112.91,28.21\n112.9,28.21";
        let expected = read(degrees).candidates[0].geometry.clone().expect("read");
        assert_eq!(expected.0[0].exterior().0.len(), 5, "closed");
        for text in [
            "28.2 112.9\n28.2 112.91\n28.21 112.91\n28.21 112.9",
            "J1，112.9，28.2\nJ2，112.91，28.2\nJ3，112.91，28.21\nJ4，112.9，28.21\nJ1，112.9，28.2",
            "1\t1\t28.2\t112.9\r\n2\t1\t28.2\t112.91\r\n3\t1\t28.21\t112.91\r\n4\t1\t28.21\t112.9\r\n\r\n",
        ] {
            assert_eq!(read(text).candidates[0].geometry.as_ref(), Some(&expected), "{text}");
        }
        let zone38 = "3121000,38490000\n3121000,38491000\n3122000,38491000\n3122000,38490000";
        let reading = read(zone38);
        assert_eq!(reading.crs, Crs::parse("EPSG:4526"));
        let m2 = area::ellipsoidal(reading.candidates[0].geometry.as_ref().expect("read")).value();
        assert!((m2 / 1e6 - 1.0).abs() < 1e-4, "{m2}");
        // Six digits do not name their zone.
        let bare = zone38.replace(",38", ",");
        assert!(read(&bare).findings.iter().any(|f| f.code == "crs_zone_missing"));
        let told = read_pasted(&bare, &ReadOptions { crs: Crs::parse("EPSG:4547"), ..ReadOptions::default() });
        assert!((area::ellipsoidal(told.candidates[0].geometry.as_ref().expect("read")).value() - m2).abs() < 1e-3);
    }

    #[test]
    fn blank_lines_part_rings_and_rules_part_parcels() {
        let square = |x: f64, y: f64, s: f64| format!("{x} {y}\n{} {y}\n{} {}\n{x} {}\n", x + s, x + s, y + s, y + s);
        let text =
            format!("{}\n{}---\n{}", square(112.9, 28.2, 0.03), square(112.91, 28.21, 0.01), square(113.0, 28.2, 0.01));
        let reading = read(&text);
        assert_eq!(reading.candidates.len(), 2);
        let first = reading.candidates[0].geometry.as_ref().expect("read");
        assert_eq!((first.0.len(), first.0[0].interiors().len()), (1, 1), "a hole");
    }

    #[test]
    fn what_is_no_coordinate_is_named_by_its_line() {
        let reading = read("112.9,28.2\n东至湘江\n112.91,28.21\n112.9,28.21");
        let faults: Vec<_> =
            reading.findings.iter().filter(|f| f.code == "point_invalid").map(|f| f.place.row).collect();
        assert_eq!((faults, reading.candidates[0].geometry.is_none()), (vec![Some(2)], true));
        assert!(read("").findings.iter().any(|f| f.code == "geometry_missing"));
        assert!(read("112.9,28.2\n112.91,28.2").candidates[0].geometry.is_none(), "two points");
        assert!(read("112.9,28.2\n112.91,NaN\n113,28.1").findings.iter().any(|f| f.code == "point_invalid"));
    }
}
