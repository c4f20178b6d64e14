//! A checked question as SQL: conditions with numbered parameters, their values in the same order, and the order of pages.
//!
//! Names come from the declaration alone; every value of a request is bound.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;

use super::outlines::Shown;
use super::{geometry_column, search_pattern};
use crate::domain::items_query::{Filter, FilterValue, ItemsQuery};
use crate::domain::layer::{Layer, PropertyKind};
use crate::domain::{published_crs, search};
use crate::geometry::published;

/// The system of every `geom`.
const STORED: u32 = 4490;

/// A value to bind.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bound {
    Text(String),
    Texts(Vec<String>),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    Day(Option<NaiveDate>),
    Moment(DateTime<Utc>),
    Bytes(Vec<u8>),
}

impl Bound {
    fn sql_type(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Texts(_) => "text[]",
            Self::Integer(_) => "bigint",
            Self::Number(_) => "double precision",
            Self::Boolean(_) => "boolean",
            Self::Day(_) => "date",
            Self::Moment(_) => "timestamptz",
            Self::Bytes(_) => "bytea",
        }
    }
}

/// Conditions and values while they are put together.
pub(super) struct Clauses {
    /// Parameters ahead of these: those of the relation that is asked.
    first: usize,
    sql: Vec<String>,
    values: Vec<Bound>,
}

impl Clauses {
    /// The place of the value, which tells its type: a connection keeps prepared statements by their text alone, and would take the
    /// bytes of a double for those of the integer that stood there before.
    pub(super) fn value(&mut self, value: Bound) -> String {
        let kind = value.sql_type();
        self.values.push(value);
        format!("${}::{kind}", self.first + self.values.len())
    }

    fn of(shown: &Shown<'_>, query: &ItemsQuery) -> Self {
        let layer = shown.layer;
        let mut clauses = Self { first: shown.parameters(), sql: vec!["TRUE".to_owned()], values: Vec::new() };
        clauses.boxes(query);
        clauses.plane_box(query);
        clauses.period(layer, query);
        for filter in &query.filters {
            clauses.filter(filter);
        }
        clauses.words(layer, query);
        clauses.places(layer, query);
        if let Some(filter) = &query.filter {
            let condition = clauses.expression(filter);
            clauses.sql.push(condition);
        }
        clauses
    }

    fn boxes(&mut self, query: &ItemsQuery) {
        if query.boxes.is_empty() {
            return;
        }
        let boxes: Vec<String> = query
            .boxes
            .iter()
            .map(|sides| {
                let area = self.envelope(*sides, STORED);
                // `&&` by itself too: it is leak-proof and may ask the index before row-level security, ST_Intersects may not.
                format!("(geom && {area} AND ST_Intersects(geom, {area}))")
            })
            .collect();
        self.sql.push(format!("({})", boxes.join(" OR ")));
    }

    /// West, south, east, north as a geometry of this system.
    fn envelope(&mut self, sides: [f64; 4], srid: u32) -> String {
        let [w, s, e, n] = sides.map(|side| self.value(Bound::Number(side)));
        // Not ST_MakeEnvelope: a box without width or height must become a line or a point, not a polygon
        // without area, which meets nothing.
        format!("ST_SetSRID(ST_Envelope(ST_MakeLine(ST_Point({w}, {s}), ST_Point({e}, {n}))), {srid})")
    }

    /// The box's sides are straight in its own system, so features are taken there; those that may meet it are found by degrees first.
    fn plane_box(&mut self, query: &ItemsQuery) {
        let Some(area) = query.plane_box else { return };
        let (Some(near), Some(srid)) = (published::search_area(&area), area.crs.epsg()) else {
            self.sql.push("FALSE".to_owned());
            return;
        };
        let near = self.envelope(near, STORED);
        let reach = self.envelope(published::reach(area.crs), STORED);
        let sides = self.envelope(area.sides, srid);
        // Web Mercator is defined over WGS 84, which degrees of CGCS2000 are taken for unchanged.
        let stored = if area.crs == published_crs::PublishedCrs::WebMercator { 4326 } else { STORED };
        // CASE keeps the order: PROJ refuses what lies far outside of a zone, and would end the whole statement.
        self.sql.push(format!(
            "(geom && {near} AND CASE WHEN geom @ {reach} THEN ST_Intersects(ST_Transform(ST_SetSRID(geom, {stored}), {srid}), {sides}) ELSE FALSE END)"
        ));
    }

    fn period(&mut self, layer: &Layer, query: &ItemsQuery) {
        match query.period {
            Some((from, to)) => {
                let (from, to) = (self.value(Bound::Day(from)), self.value(Bound::Day(to)));
                // A life is [valid_from, valid_to); a row without dates matches always.
                self.sql.push(format!(
                    "(valid_from IS NULL OR {to} IS NULL OR valid_from <= {to}) AND (valid_to IS NULL OR {from} IS NULL OR valid_to > {from})"
                ));
            }
            None if layer.current_only => self.sql.push("valid_to IS NULL".to_owned()),
            None => {}
        }
    }

    fn filter(&mut self, filter: &Filter) {
        let name = filter.property.column;
        let is_list = filter.property.kind.is_list();
        let equal =
            |place: String| if is_list { format!("{place} = ANY({name})") } else { format!("{name} = {place}") };
        let condition = match &filter.value {
            FilterValue::Text(text) => equal(self.value(Bound::Text(text.clone()))),
            FilterValue::Number(number) => equal(self.value(Bound::Number(*number))),
            FilterValue::Boolean(boolean) => equal(self.value(Bound::Boolean(*boolean))),
            FilterValue::Date(day) => equal(self.value(Bound::Day(Some(*day)))),
            FilterValue::AnyOf(texts) => {
                let place = self.value(Bound::Texts(texts.clone()));
                if is_list { format!("{name} && {place}") } else { format!("{name} = ANY({place})") }
            }
            FilterValue::NumberBetween(from, to) => self.between(name, from.map(Bound::Number), to.map(Bound::Number)),
            FilterValue::DateBetween(from, to) => {
                self.between(name, from.map(|d| Bound::Day(Some(d))), to.map(|d| Bound::Day(Some(d))))
            }
            FilterValue::MomentBetween(from, to) => self.between(name, from.map(Bound::Moment), to.map(Bound::Moment)),
        };
        self.sql.push(condition);
    }

    fn between(&mut self, name: &str, from: Option<Bound>, to: Option<Bound>) -> String {
        let from = from.map(|value| format!("{name} >= {}", self.value(value)));
        let to = to.map(|value| format!("{name} <= {}", self.value(value)));
        from.into_iter().chain(to).collect::<Vec<_>>().join(" AND ")
    }

    /// Whatever may be asked for by name is looked through.
    fn words(&mut self, layer: &Layer, query: &ItemsQuery) {
        let Some(search) = &query.search else { return };
        if search::searched(layer).next().is_none() {
            self.sql.push("FALSE".to_owned());
            return;
        }
        let place = self.value(Bound::Text(search_pattern::pattern(search)));
        // A gap that no text holds: two neighbours must not make a word together.
        let gap = format!("E'\\x{:02x}'", u32::from(search::GAP));
        let texts: Vec<String> = search::searched(layer)
            .map(|p| match p.kind {
                PropertyKind::TextList => format!("(array_to_string({}, {gap}) COLLATE \"C\")", p.column),
                // An operator's columns may each have a collation of their own.
                _ => format!("({} COLLATE \"C\")", p.column),
            })
            .collect();
        self.sql.push(format!("concat_ws({gap}, {}) ~ {place}", texts.join(", ")));
    }

    fn places(&mut self, layer: &Layer, query: &ItemsQuery) {
        if let Some(division) = &query.division {
            let prefix = division.prefix();
            let place = self.value(Bound::Text(prefix.to_owned()));
            let own = layer
                .division_property()
                .and_then(|name| layer.property(name))
                .map_or("feature_id", |property| property.column);
            self.sql.push(format!("left({own}::text, {}) = {place}", prefix.len()));
        }
        if let Some(area) = &query.within {
            let place = self.value(Bound::Bytes(geometry_column::encode(area)));
            self.sql.push(format!("(geom && {place}::geometry AND ST_Within(geom, {place}::geometry))"));
        }
    }
}

/// Conditions of the query on [`relation`]; parameters are numbered in the order that [`bind`] binds them.
pub(super) fn conditions(shown: &Shown<'_>, query: &ItemsQuery) -> String {
    Clauses::of(shown, query).sql.join(" AND ")
}

/// What a statement with [`conditions`] reads from.
pub(super) fn relation(shown: &Shown<'_>) -> String {
    shown.relation(0)
}

/// How many parameters [`bind`] binds: what comes behind them is numbered from there.
pub(super) fn parameter_count(shown: &Shown<'_>, query: &ItemsQuery) -> usize {
    shown.parameters() + Clauses::of(shown, query).values.len()
}

type Page<'q, O> = QueryAs<'q, Postgres, O, PgArguments>;

/// Binds the parameters of [`relation`] and [`conditions`].
pub(super) fn bind<'q, O>(sql: Page<'q, O>, shown: &'q Shown<'_>, query: &ItemsQuery) -> Page<'q, O> {
    Clauses::of(shown, query).values.into_iter().fold(shown.bind(sql), |sql, value| match value {
        Bound::Text(text) => sql.bind(text),
        Bound::Texts(texts) => sql.bind(texts),
        Bound::Integer(whole) => sql.bind(whole),
        Bound::Number(number) => sql.bind(number),
        Bound::Boolean(boolean) => sql.bind(boolean),
        Bound::Day(day) => sql.bind(day),
        Bound::Moment(moment) => sql.bind(moment),
        Bound::Bytes(bytes) => sql.bind(bytes),
    })
}

/// The order of pages, and where one begins.
pub(super) struct Order {
    /// Behind ORDER BY.
    pub by: String,
    /// The sort keys of a row as texts.
    pub values: String,
    /// Holds for features behind the last page.
    pub after: String,
    /// Parameters of `after`.
    pub bound: usize,
}

impl Order {
    /// Parameters are numbered from `first` + 1 on.
    pub(super) fn of(query: &ItemsQuery, first: usize) -> Self {
        let keys: Vec<(&str, &str, bool)> =
            query.sort.iter().map(|k| (k.property.column, cast_of(k.property.kind), k.descending)).collect();
        let mut by: Vec<String> = keys
            .iter()
            .map(|(name, _, descending)| format!("{name}{} NULLS LAST", if *descending { " DESC" } else { "" }))
            .collect();
        // By code point: what holds a layer in memory pages in the same order. (The register's own ids are of this collation.)
        by.push("feature_id COLLATE \"C\"".to_owned());
        by.push("coalesce(valid_from, '-infinity')".to_owned());
        let (id, from) = (first + keys.len() + 1, first + keys.len() + 2);
        // The id and its day break every tie; each key in front of them is compared first.
        let mut after = format!(
            "(feature_id COLLATE \"C\" > ${id} OR feature_id = ${id} AND coalesce(valid_from, '-infinity') > coalesce(${from}::date, '-infinity'))"
        );
        for (at, (name, cast, descending)) in keys.iter().enumerate().rev() {
            let place = format!("${}::text{cast}", first + at + 1);
            let beyond = if *descending { "<" } else { ">" };
            after = format!(
                "({name} {beyond} {place} OR {place} IS NOT NULL AND {name} IS NULL OR {name} IS NOT DISTINCT FROM {place} AND {after})"
            );
        }
        Self {
            by: by.join(", "),
            values: keys.iter().map(|(name, ..)| format!("{name}::text")).collect::<Vec<_>>().join(", "),
            after: format!("(${id}::text IS NULL OR {after})"),
            bound: keys.len() + 2,
        }
    }

    pub(super) fn bind<'q, O>(&self, sql: Page<'q, O>, query: &ItemsQuery) -> Page<'q, O> {
        let key = |at: usize| query.after.as_ref().and_then(|after| after.keys.get(at).cloned().flatten());
        let sql = (0..query.sort.len()).fold(sql, |sql, at| sql.bind(key(at)));
        sql.bind(query.after.as_ref().map(|after| after.id.clone()))
            .bind(query.after.as_ref().and_then(|after| after.from))
    }
}

/// From the text of a cursor to the property's own kind.
fn cast_of(kind: PropertyKind) -> &'static str {
    match kind {
        PropertyKind::Number | PropertyKind::Integer => "::numeric",
        PropertyKind::Boolean => "::boolean",
        PropertyKind::Date => "::date",
        PropertyKind::DateTime => "::timestamptz",
        PropertyKind::Text | PropertyKind::TextList | PropertyKind::NumberList => "",
    }
}
