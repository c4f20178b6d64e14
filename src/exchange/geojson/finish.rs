//! What was scanned → candidates: the fields, the system, the shapes and the areas of the whole document.

use geo::MultiPolygon;
use serde_json::Value;

use super::Scan;
use crate::domain::{Finding, Place};
use crate::exchange::limits::{MAX_FEATURES, MAX_FINDINGS};
use crate::exchange::stated_area::{self, ColumnUnit, read_stated_area};
use crate::exchange::{Attribute, Candidate, FieldMapping, ReadOptions, Reading, field_names, rings};
use crate::geometry::crs::{self, Crs};
use crate::geometry::{area, validity};

impl Scan<'_> {
    pub(super) fn finish(mut self, options: &ReadOptions, reading: &mut Reading) {
        if self.findings.len() > MAX_FINDINGS {
            // The rest was not looked at: a file cut short by its warnings must not pass as whole.
            let message = format!("问题超过 {MAX_FINDINGS} 条，其余要素没有读取；请先改正上面的问题");
            self.findings.push(Finding::error("too_many_findings", Place::whole(), message));
        }
        if self.records.len() > MAX_FEATURES {
            self.findings.push(Finding::error(
                "too_many_records",
                Place::whole(),
                format!("要素超过 {MAX_FEATURES} 个，请分成几个文件"),
            ));
        }
        let (mapping, ambiguous) = field_names::map_fields(&self.fields, options.vocabulary, &options.own_names);
        self.findings.extend(ambiguous);
        let system = self.decide_crs(options);
        reading.crs = system;
        let usable = system.filter(|_| !self.findings.iter().any(|f| f.code == "axes_swapped"));
        let records = std::mem::take(&mut self.records);
        for record in records {
            let attributes: Vec<Attribute> = record
                .properties
                .iter()
                .map(|(i, value)| Attribute {
                    field: mapping[*i].field.clone(),
                    canonical: mapping[*i].canonical,
                    value: value.clone(),
                })
                .collect();
            let row = record.row;
            let geometry = usable.filter(|_| record.has_geometry).and_then(|crs| self.build(record.rings, row, crs));
            let value =
                |canonical: &str| attributes.iter().find(|a| a.canonical == Some(canonical) && !a.value.is_empty());
            reading.candidates.push(Candidate {
                row,
                id: value("id").map(|a| a.value.clone()).or(record.id),
                name: value("name").map(|a| a.value.clone()),
                stated_area: None,
                geometry,
                crs: system,
                attributes,
            });
        }
        self.read_areas(&mapping, &mut reading.candidates);
        reading.mapping = mapping;
        reading.findings = self.findings;
    }

    /// Reads the stated areas, all in one unit unless they name their own.
    fn read_areas(&mut self, mapping: &[FieldMapping], candidates: &mut [Candidate]) {
        let Some(column) = mapping.iter().find(|m| m.canonical == Some("stated_area")) else { return };
        let unit = field_names::unit_of(&column.field).unwrap_or_else(|| {
            let number = |c: &Candidate| c.value("stated_area").and_then(stated_area::bare_number);
            let samples = candidates.iter().filter_map(|c| Some((number(c)?, area::ellipsoidal(c.geometry.as_ref()?))));
            let weighed = ColumnUnit::weigh(samples, stated_area::IN_VECTOR_FILES);
            self.findings.extend(weighed.told(&column.field));
            weighed.unit
        });
        for candidate in candidates {
            let stated =
                candidate.attributes.iter().find(|a| a.canonical == Some("stated_area") && !a.value.is_empty());
            match stated.map_or(Ok(None), |a| read_stated_area(a, unit, candidate.row)) {
                Ok(stated) => candidate.stated_area = stated,
                Err(finding) => self.findings.push(finding),
            }
        }
    }

    /// The caller's system, the old `crs` member, else RFC 7946: degrees — unless the numbers cannot be.
    fn decide_crs(&mut self, options: &ReadOptions) -> Option<Crs> {
        let (x, y) = *self.records.iter().flat_map(|r| &r.rings).flatten().flatten().next()?;
        let named = self.crs_member.take().and_then(|member| {
            let name = member.pointer("/properties/name").and_then(Value::as_str).unwrap_or_default().to_owned();
            let parsed = Crs::parse(&name);
            if parsed.is_none() && !member.is_null() {
                let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
                self.findings.push(Finding::error(
                    "crs_unknown",
                    Place::whole(),
                    format!("不认识文件声明的坐标系“{shown}”；请指定坐标系（crs）"),
                ));
            }
            parsed
        });
        let decided = options.crs.or(named);
        if let Some(crs) = decided {
            if crs.is_legacy_chinese_datum() {
                self.findings.push(Finding::error(
                    "datum_not_supported",
                    Place::whole(),
                    format!("坐标系 {crs} 不是 2000 国家大地坐标系，请提供转换后的成果"),
                ));
                return None;
            }
            if matches!(crs, Crs::Other(_)) {
                self.findings.push(Finding::error(
                    "crs_not_supported",
                    Place::whole(),
                    format!("GeoJSON 的坐标系 {crs} 不支持；请转换为经纬度（EPSG:4490）"),
                ));
                return None;
            }
            return Some(crs);
        }
        let degrees = x.abs() <= 180.0 && y.abs() <= 90.0;
        let looks_swapped = (18.0..=54.0).contains(&x) && (73.0..=136.0).contains(&y);
        if degrees && !looks_swapped {
            return Some(Crs::Wgs84);
        }
        let mut detection = crs::detect(&[(x, y)], None, None);
        for finding in &mut detection.findings {
            finding.place.row = Some(1);
        }
        if let Some(crs) = detection.crs.filter(|c| !c.is_geographic()) {
            self.findings.push(Finding::warning(
                "crs_detected",
                Place::whole(),
                format!("GeoJSON 应为经纬度，此文件的坐标像是{}（{crs}），按此读取", crs.label()),
            ));
        }
        self.findings.extend(detection.findings);
        detection.crs
    }

    fn build(&mut self, rings: rings::Parts, row: u64, crs: Crs) -> Option<MultiPolygon<f64>> {
        let built = rings::build(rings, crs, row);
        self.findings.extend(built.findings);
        let geometry = built.geometry?;
        self.findings.extend(validity::check_orientation(&geometry, Some(row)));
        Some(geometry)
    }
}
