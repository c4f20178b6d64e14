//! Geometries and boxes of CQL2 text.

use geo::{Coord, Geometry, GeometryCollection, LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon};

use super::text::Parser;
use super::tokens::Token;
use super::{Fault, Parsed, shapes};
use crate::domain::filter::At;

const KINDS: [&str; 7] =
    ["point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection"];

/// Whether this lower-case word begins a geometry.
pub fn is_kind(word: &str) -> bool {
    KINDS.contains(&word)
}

/// Behind the opening bracket, up to the closing one, which is taken.
pub fn geometry(parser: &mut Parser, kind: &str) -> Parsed<Geometry<f64>> {
    let geometry = match kind {
        "point" => Geometry::Point(Point(coordinate(parser)?)),
        "linestring" => Geometry::LineString(line(parser)?),
        "polygon" => Geometry::Polygon(polygon(parser)?),
        "multipoint" => Geometry::MultiPoint(MultiPoint(many(parser, |parser| {
            // The standard has brackets around each point; older WKT has none.
            if !parser.take("(") {
                return coordinate(parser).map(Point);
            }
            let point = coordinate(parser)?;
            parser.expect(")")?;
            Ok(Point(point))
        })?)),
        "multilinestring" => Geometry::MultiLineString(MultiLineString(many(parser, bracketed(line))?)),
        "multipolygon" => Geometry::MultiPolygon(MultiPolygon(many(parser, bracketed(polygon))?)),
        _ => Geometry::GeometryCollection(GeometryCollection(many(parser, member)?)),
    };
    if !parser.is_mark(")") {
        return Err(parser.unexpected("“,”或“)”"));
    }
    parser.expect(")")?;
    Ok(geometry)
}

fn member(parser: &mut Parser) -> Parsed<Geometry<f64>> {
    let at = parser.at();
    let Token::Word(word) = parser.peek().clone() else { return Err(parser.unexpected("图形")) };
    let kind = word.to_ascii_lowercase();
    if !is_kind(&kind) {
        return Err(parser.unexpected("图形"));
    }
    parser.advance();
    if matches!(parser.peek(), Token::Word(z) if z.eq_ignore_ascii_case("z")) {
        parser.advance();
    }
    parser.expect("(")?;
    parser.budget.enter(at)?;
    let geometry = geometry(parser, &kind)?;
    parser.budget.leave();
    Ok(geometry)
}

/// With commas between.
fn many<T>(parser: &mut Parser, one: impl Fn(&mut Parser) -> Parsed<T>) -> Parsed<Vec<T>> {
    let mut list = vec![one(parser)?];
    while parser.take(",") {
        list.push(one(parser)?);
    }
    Ok(list)
}

fn bracketed<T>(one: impl Fn(&mut Parser) -> Parsed<T>) -> impl Fn(&mut Parser) -> Parsed<T> {
    move |parser| {
        parser.expect("(")?;
        let found = one(parser)?;
        parser.expect(")")?;
        Ok(found)
    }
}

fn line(parser: &mut Parser) -> Parsed<LineString<f64>> {
    let at = parser.at();
    shapes::line(at, many(parser, coordinate)?)
}

fn polygon(parser: &mut Parser) -> Parsed<Polygon<f64>> {
    let at = parser.at();
    shapes::polygon(at, many(parser, bracketed(|parser| many(parser, coordinate)))?)
}

/// Two numbers, or three with a height that is set aside.
fn coordinate(parser: &mut Parser) -> Parsed<Coord<f64>> {
    let (x, y) = (number(parser)?, number(parser)?);
    if matches!(parser.peek(), Token::Number(_) | Token::Mark("-" | "+")) {
        number(parser)?;
    }
    Ok(Coord { x, y })
}

fn number(parser: &mut Parser) -> Parsed<f64> {
    let at = parser.at();
    let negative = parser.take("-");
    if !negative {
        parser.take("+");
    }
    let Token::Number(text) = parser.peek().clone() else { return Err(parser.unexpected("坐标")) };
    parser.advance();
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(if negative { -number } else { number }),
        _ => Err(Fault::new(at, "坐标太大")),
    }
}

/// Behind the opening bracket, up to the closing one, which is taken.
pub fn bbox(parser: &mut Parser, at: At) -> Parsed<[f64; 4]> {
    let numbers = many(parser, number)?;
    parser.expect(")")?;
    shapes::bbox(at, &numbers)
}
