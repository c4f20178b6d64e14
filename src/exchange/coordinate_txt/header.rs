//! The head of a boundary-point TXT: zone, width, units, datum.

use crate::domain::{Finding, Place};

/// The key under which drawn boundaries say so.
pub(super) const NATURE: &str = "数据性质";

/// What the head says, as far as it bears on the coordinates.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// 带号.
    pub zone: Option<u8>,
    /// 几度分带.
    pub width: Option<u8>,
    /// 坐标系 is named, whichever.
    pub names_system: bool,
    /// 数据性质 of a file that sizhi wrote of drawn (示意) boundaries.
    pub nature: Option<String>,
}

impl Header {
    /// Takes a line of a section before the attributes ([项目信息]).
    pub fn take_project(&mut self, text: &str) {
        if let Some((key, value)) = text.split_once(['=', '＝'])
            && key.trim() == NATURE
        {
            self.nature = Some(value.trim().to_owned());
        }
    }

    /// Takes one `key=value` line; `line` is its number.
    pub fn take(&mut self, text: &str, line: u64, findings: &mut Vec<Finding>) {
        let Some((key, value)) = text.split_once(['=', '＝']) else { return };
        let (key, value) = (key.trim(), value.trim());
        let place = || Place::row(line).field(key);
        if value.is_empty() {
            return;
        }
        match key {
            "带号" => match half_width(value).parse::<u8>() {
                Ok(zone) => self.zone = Some(zone),
                Err(_) => findings.push(Finding::error(
                    "crs_zone_invalid",
                    place(),
                    format!("第 {line} 行：带号“{value}”不是整数"),
                )),
            },
            "几度分带" => match half_width(value).trim_end_matches('度').parse::<u8>() {
                Ok(width @ (3 | 6)) => self.width = Some(width),
                _ => findings.push(Finding::error(
                    "zone_width_invalid",
                    place(),
                    format!("第 {line} 行：几度分带“{value}”应为 3 或 6"),
                )),
            },
            "坐标系" => {
                self.names_system = true;
                let known = ["2000", "CGCS"].iter().any(|name| value.to_uppercase().contains(name));
                let legacy = ["80", "54", "西安", "北京"].iter().any(|name| value.contains(name));
                if !known && legacy {
                    findings.push(Finding::error(
                        "datum_not_supported",
                        place(),
                        format!("第 {line} 行：坐标系“{value}”到 2000 国家大地坐标系的转换参数属涉密资料，不能在此转换；请提供转换后的成果"),
                    ));
                } else if !known {
                    findings.push(Finding::warning(
                        "datum_unknown",
                        place(),
                        format!("第 {line} 行：不认识坐标系“{value}”，按 2000 国家大地坐标系处理"),
                    ));
                }
            }
            "计量单位" if !matches!(value, "米" | "m" | "M" | "meter" | "metre") => {
                findings.push(Finding::error(
                    "unit_not_supported",
                    place(),
                    format!("第 {line} 行：计量单位“{value}”不支持，应为米"),
                ));
            }
            "投影类型" if !(value.contains("高斯") || value.to_lowercase().contains("gauss")) => {
                findings.push(Finding::error(
                    "projection_not_supported",
                    place(),
                    format!("第 {line} 行：投影类型“{value}”不支持，应为高斯克吕格"),
                ));
            }
            "转换参数" => {
                let shifts =
                    value.split([',', '，']).any(|p| half_width(p).trim().parse::<f64>().is_ok_and(|n| n != 0.0));
                if shifts {
                    findings.push(Finding::warning(
                        "transformation_ignored",
                        place(),
                        format!("第 {line} 行：转换参数“{value}”不为零，坐标按原值读取，未作转换"),
                    ));
                }
            }
            _ => {}
        }
    }
}

pub(super) fn half_width(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            c @ '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
            '\u{3000}' => ' ',
            c => c,
        })
        .collect()
}
