//! The cases of the JTS test suite (read in place; see ORIGIN.md there): shapes, questions, expected answers.

use geo::{LineString, MultiPolygon, Polygon};

pub struct Case {
    pub description: String,
    /// `None` where it is no area.
    pub a: Option<MultiPolygon<f64>>,
    pub b: Option<MultiPolygon<f64>>,
    pub tests: Vec<Test>,
}

pub struct Test {
    pub name: String,
    /// A third argument: the pattern of `relate`.
    pub pattern: String,
    pub expected: String,
}

/// The cases of a file; `None` where the real data is absent.
pub fn cases(file: &str) -> Option<Vec<Case>> {
    let text = String::from_utf8(super::real(&format!("geometry/jts/{file}"))?).expect("UTF-8");
    let case = |text: &str| {
        let between = |open: &str, close: &str| {
            text.split_once(open).and_then(|(_, rest)| rest.split_once(close)).map(|(inner, _)| inner.trim().to_owned())
        };
        let shape = |open, close| between(open, close).and_then(|wkt| parse_wkt(&wkt));
        Case {
            description: between("<desc>", "</desc>").unwrap_or_default(),
            a: shape("<a>", "</a>"),
            b: shape("<b>", "</b>"),
            tests: text.split("<op ").skip(1).filter_map(test).collect(),
        }
    };
    Some(text.split("<case>").skip(1).map(case).collect())
}

fn test(text: &str) -> Option<Test> {
    let (head, rest) = text.split_once('>')?;
    let attribute = |name: &str| head.split_once(name).and_then(|(_, rest)| rest.split('"').nth(1)).map(str::to_owned);
    Some(Test {
        name: attribute("name=")?,
        pattern: attribute("arg3=").unwrap_or_default(),
        expected: rest.split_once("</op>")?.0.trim().to_owned(),
    })
}

/// `POLYGON(...)` and `MULTIPOLYGON(...)` of the JTS files; anything else is `None`.
pub fn parse_wkt(text: &str) -> Option<MultiPolygon<f64>> {
    let text = text.trim();
    let upper = text.to_uppercase();
    if !(upper.starts_with("POLYGON") || upper.starts_with("MULTIPOLYGON")) {
        return None;
    }
    let body = &text[text.find('(')?..];
    let ring = |text: &str| -> Option<LineString<f64>> {
        text.split(',')
            .map(|pair| {
                let mut numbers = pair.split_whitespace().map(str::parse::<f64>);
                Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
            })
            .collect::<Option<Vec<_>>>()
            .map(LineString::from)
    };
    let mut polygons = Vec::new();
    let (mut depth, mut start, mut lines) = (0, 0, Vec::new());
    let ring_depth = if upper.starts_with("MULTI") { 3 } else { 2 };
    for (at, c) in body.char_indices() {
        match c {
            '(' => {
                depth += 1;
                start = at + 1;
            }
            ')' => {
                if depth == ring_depth {
                    lines.push(ring(&body[start..at])?);
                } else if depth == ring_depth - 1 && !lines.is_empty() {
                    let holes = lines.split_off(1);
                    polygons.push(Polygon::new(lines.pop()?, holes));
                }
                depth -= 1;
            }
            _ => {}
        }
    }
    Some(MultiPolygon(polygons))
}
