//! Criteria for “low-efficient” (低效用地认定标准): sets of a division and a year, replaced as a whole; and what they are applied to.
//!
//! Tables are named without a schema: `as_of::turn_back` says which past they mean.

use std::collections::HashMap;

use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::domain::DivisionCode;
use crate::domain::ledger::criteria::{
    Amount, CriteriaSet, Criterion, Draft, Facts, Given, Measure, Member, Source, Threshold, check_set,
};
use crate::domain::ledger::{FieldKind, FieldValue};
use crate::error::{Error, Result};

/// A set as the register has it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSet {
    pub set: CriteriaSet,
    /// The division's name.
    pub name: String,
    /// The request or file that it stands in as it does.
    pub source: String,
    /// The revision that wrote it last: what an edit must be decided on.
    pub version: i64,
}

/// A set without its criteria.
#[derive(Debug, Clone, PartialEq)]
pub struct SetSummary {
    pub division: String,
    pub name: String,
    pub year: i32,
    pub criteria: i32,
    pub source: String,
    pub version: i64,
}

/// Which sets.
#[derive(Debug, Clone, Default)]
pub struct SetFilter {
    /// Of this division and all below it.
    pub division: Option<DivisionCode>,
    pub year: Option<i32>,
}

/// A page of the sets, by division and year, and the number of all that match.
pub async fn list(
    connection: &mut PgConnection,
    filter: &SetFilter,
    limit: u32,
    offset: u32,
) -> Result<(Vec<SetSummary>, i64)> {
    const MATCHING: &str = "($1::text IS NULL OR s.division_code ^@ $1) AND ($2::integer IS NULL OR s.year = $2)";
    let prefix = filter.division.as_ref().map(DivisionCode::prefix);
    let count = format!("SELECT count(*) FROM low_efficiency_criteria_set s WHERE {MATCHING}");
    let matched: i64 =
        sqlx::query_scalar(AssertSqlSafe(count)).bind(prefix).bind(filter.year).fetch_one(&mut *connection).await?;
    let page = format!(
        "SELECT s.division_code, d.name, s.year, s.criteria_count, s.source, s.revision
         FROM low_efficiency_criteria_set s JOIN division d ON d.code = s.division_code
         WHERE {MATCHING} ORDER BY s.division_code, s.year LIMIT $3 OFFSET $4"
    );
    let rows: Vec<(String, String, i32, i32, String, i64)> = sqlx::query_as(AssertSqlSafe(page))
        .bind(prefix)
        .bind(filter.year)
        .bind(i64::from(limit))
        .bind(i64::from(offset))
        .fetch_all(connection)
        .await?;
    let summary = |(division, name, year, criteria, source, version)| SetSummary {
        division,
        name,
        year,
        criteria,
        source,
        version,
    };
    Ok((rows.into_iter().map(summary).collect(), matched))
}

/// The set of this division and year.
pub async fn find(connection: &mut PgConnection, division: &DivisionCode, year: i32) -> Result<Option<StoredSet>> {
    Ok(find_all(connection, &[key(division.as_str(), year)]).await?.pop())
}

/// How the register calls the set of a division and a year.
pub fn key(division: &str, year: i32) -> String {
    format!("{division}-{year}")
}

/// Those that there are of these keys, in their order.
pub async fn find_all(connection: &mut PgConnection, keys: &[String]) -> Result<Vec<StoredSet>> {
    let heads: Vec<(String, String, i32, String, String, i64)> = sqlx::query_as(
        "SELECT s.id, s.division_code, s.year, d.name, s.source, s.revision
         FROM low_efficiency_criteria_set s JOIN division d ON d.code = s.division_code
         WHERE s.id = ANY($1) ORDER BY s.division_code, s.year",
    )
    .bind(keys)
    .fetch_all(&mut *connection)
    .await?;
    let rows = sqlx::query(
        "SELECT set_id, number, title, kind, field, comparison, trim_scale(threshold_number)::text AS threshold_number,
                threshold_flag, threshold_texts, unit, trim_scale(reference_value)::text AS reference_value, reference_unit,
                reference_source, group_name, combination, document, note
         FROM low_efficiency_criterion WHERE set_id = ANY($1) ORDER BY number",
    )
    .bind(keys)
    .fetch_all(connection)
    .await?;
    let mut drafts: HashMap<String, Vec<Draft>> = HashMap::new();
    for row in &rows {
        drafts.entry(row.try_get("set_id")?).or_default().push(draft(row)?);
    }
    let stored = |(id, division, year, name, source, version): (String, String, i32, String, String, i64)| {
        let set = checked(&division, year, &drafts.remove(&id).unwrap_or_default())?;
        Ok(StoredSet { set, name, source, version })
    };
    heads.into_iter().map(stored).collect()
}

/// A row as the check reads it: what the register holds went through the same check.
fn draft(row: &PgRow) -> Result<Draft> {
    let number: i32 = row.try_get("number")?;
    let mut draft = Draft::new(u64::try_from(number).unwrap_or(0));
    draft.put(Member::Number, Given::Number(f64::from(number)));
    for (member, column) in [
        (Member::Title, "title"),
        (Member::Kind, "kind"),
        (Member::Field, "field"),
        (Member::Comparison, "comparison"),
        (Member::Threshold, "threshold_number"),
        (Member::Unit, "unit"),
        (Member::ReferenceValue, "reference_value"),
        (Member::ReferenceUnit, "reference_unit"),
        (Member::ReferenceSource, "reference_source"),
        (Member::Group, "group_name"),
        (Member::Combination, "combination"),
        (Member::Document, "document"),
        (Member::Note, "note"),
    ] {
        if let Some(text) = row.try_get::<Option<String>, _>(column)? {
            draft.put(member, Given::Text(text));
        }
    }
    if let Some(flag) = row.try_get::<Option<bool>, _>("threshold_flag")? {
        draft.put(Member::Threshold, Given::Flag(flag));
    }
    if let Some(texts) = row.try_get::<Option<Vec<String>>, _>("threshold_texts")? {
        draft.put(Member::Threshold, Given::Texts(texts));
    }
    Ok(draft)
}

fn checked(division: &str, year: i32, drafts: &[Draft]) -> Result<CriteriaSet> {
    let broken = |why: String| Error::internal("登记库中的低效用地认定标准不合规则", std::io::Error::other(why));
    let code = DivisionCode::parse(division).map_err(|reason| broken(reason.to_string()))?;
    let name = |member: Member| member.as_str().to_owned();
    let (set, findings) = check_set(&code, year, drafts, Source { row: "条", name: &name });
    let first = || findings.first().map(|finding| finding.message.clone()).unwrap_or_default();
    set.ok_or_else(|| broken(first()))
}

/// Puts this set in the place of what stands. Rows that are as they were are not written. Needs an open revision.
pub async fn write(connection: &mut PgConnection, set: &CriteriaSet, source: &str) -> Result<()> {
    let id = key(set.division.as_str(), set.year);
    let count = i32::try_from(set.criteria.len()).unwrap_or(i32::MAX);
    sqlx::query(
        "INSERT INTO low_efficiency_criteria_set (id, division_code, year, criteria_count, source) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET criteria_count = excluded.criteria_count, source = excluded.source, revision = excluded.revision",
    )
    .bind(&id)
    .bind(set.division.as_str())
    .bind(set.year)
    .bind(count)
    .bind(source)
    .execute(&mut *connection)
    .await?;
    let numbers: Vec<i32> = set.criteria.iter().map(|criterion| criterion.number).collect();
    sqlx::query("DELETE FROM low_efficiency_criterion WHERE set_id = $1 AND number <> ALL($2)")
        .bind(&id)
        .bind(&numbers)
        .execute(&mut *connection)
        .await?;
    let rows: Vec<Value> = set.criteria.iter().map(row_of).collect();
    sqlx::query(
        "INSERT INTO low_efficiency_criterion AS c (id, set_id, division_code, number, title, kind, group_name, combination, field, comparison,
             threshold_number, threshold_flag, threshold_texts, unit, reference_value, reference_unit, reference_source, document, note)
         SELECT $1 || '@' || number, $1, $2, number, title, kind, group_name, combination, field, comparison,
                threshold_number, threshold_flag, threshold_texts, unit, reference_value, reference_unit, reference_source, document, note
         FROM jsonb_to_recordset($3) AS t (number integer, title text, kind text, group_name text, combination text, field text,
              comparison text, threshold_number numeric, threshold_flag boolean, threshold_texts text[], unit text,
              reference_value numeric, reference_unit text, reference_source text, document text, note text)
         ON CONFLICT (id) DO UPDATE SET title = excluded.title, kind = excluded.kind, group_name = excluded.group_name,
             combination = excluded.combination, field = excluded.field, comparison = excluded.comparison,
             threshold_number = excluded.threshold_number, threshold_flag = excluded.threshold_flag,
             threshold_texts = excluded.threshold_texts, unit = excluded.unit, reference_value = excluded.reference_value,
             reference_unit = excluded.reference_unit, reference_source = excluded.reference_source,
             document = excluded.document, note = excluded.note
         WHERE (c.title, c.kind, c.group_name, c.combination, c.field, c.comparison, c.threshold_number, c.threshold_flag,
                c.threshold_texts, c.unit, c.reference_value, c.reference_unit, c.reference_source, c.document, c.note)
             IS DISTINCT FROM (excluded.title, excluded.kind, excluded.group_name, excluded.combination, excluded.field,
                excluded.comparison, excluded.threshold_number, excluded.threshold_flag, excluded.threshold_texts, excluded.unit,
                excluded.reference_value, excluded.reference_unit, excluded.reference_source, excluded.document, excluded.note)",
    )
    .bind(&id)
    .bind(set.division.as_str())
    .bind(Value::Array(rows))
    .execute(connection)
    .await?;
    Ok(())
}

/// Numbers as texts: JSON's own would pass through a double.
fn row_of(criterion: &Criterion) -> Value {
    let mut row = json!({
        "number": criterion.number,
        "title": criterion.title,
        "kind": criterion.kind,
        "group_name": criterion.group,
        "combination": criterion.combination.as_str(),
        "field": criterion.measure.name(),
        "comparison": criterion.comparison.as_str(),
        "document": criterion.document,
        "note": criterion.note,
    });
    match &criterion.threshold {
        Threshold::Flag(flag) => row["threshold_flag"] = json!(flag),
        Threshold::Texts(texts) => row["threshold_texts"] = json!(texts),
        Threshold::Number(Amount { number, unit, reference }) => {
            let word = |word: &'static str| Some(word).filter(|word| !word.is_empty());
            row["threshold_number"] = json!(number.to_string());
            row["unit"] = json!(word(unit.word));
            if let Some(reference) = reference {
                row["reference_value"] = json!(reference.number.to_string());
                row["reference_unit"] = json!(word(reference.unit.word));
                row["reference_source"] = json!(reference.source);
            }
        }
    }
    row
}

/// Takes a set away; the log keeps it. Needs an open revision.
pub async fn remove(connection: &mut PgConnection, division: &DivisionCode, year: i32) -> Result<()> {
    let id = key(division.as_str(), year);
    for sql in [
        "DELETE FROM low_efficiency_criterion WHERE set_id = $1",
        "DELETE FROM low_efficiency_criteria_set WHERE id = $1",
    ] {
        sqlx::query(sql).bind(&id).execute(&mut *connection).await?;
    }
    Ok(())
}

/// What a parcel is judged by, and what its paper says.
#[derive(Debug, Clone, PartialEq)]
pub struct ParcelFacts {
    pub county: String,
    pub year: Option<i32>,
    pub is_low_efficiency: Option<bool>,
    pub kind: Option<String>,
    pub facts: Facts,
}

/// A low-efficiency parcel as it stands.
pub async fn find_parcel(connection: &mut PgConnection, id: &str) -> Result<Option<ParcelFacts>> {
    let measures: Vec<Measure> = Measure::all().collect();
    let names: Vec<&str> = measures.iter().map(|measure| measure.name()).collect();
    let sql = format!(
        "SELECT county_code, criteria_year, is_low_efficiency, low_efficiency_kind, {}
         FROM low_efficiency_parcel WHERE id = $1 AND valid_to = 'infinity'",
        names.join(", ")
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?;
    row.map(|row| {
        Ok(ParcelFacts {
            county: row.try_get(0)?,
            year: row.try_get(1)?,
            is_low_efficiency: row.try_get(2)?,
            kind: row.try_get(3)?,
            facts: facts(&row, 4, &measures)?,
        })
    })
    .transpose()
}

/// The columns from `first` on as the facts of these measures.
pub(in crate::store) fn facts(row: &PgRow, first: usize, measures: &[Measure]) -> Result<Facts> {
    let mut facts = Facts::new();
    for (at, measure) in (first..).zip(measures) {
        let value = match measure.field().kind {
            FieldKind::Boolean => row.try_get::<Option<bool>, _>(at)?.map(FieldValue::Boolean),
            FieldKind::Number => row.try_get::<Option<f64>, _>(at)?.map(FieldValue::Number),
            _ => row.try_get::<Option<String>, _>(at)?.map(FieldValue::Text),
        };
        if let Some(value) = value {
            facts.insert(measure.name(), value);
        }
    }
    Ok(facts)
}
