//! A parcel before the criteria of its county: each of them with value, threshold and answer; and whether the paper agrees.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::nearest;
use crate::domain::DivisionCode;
use crate::domain::access::Viewer;
use crate::domain::ledger::criteria::{
    Agreement, Answer, CriteriaSet, Criterion, Fact, Judge, Verdict, agreement, explain,
};
use crate::error::{Error, Result};
use crate::store::criteria::{self as sets, ParcelFacts, StoredSet};
use crate::store::{self, as_of};

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    pub document: Value,
    /// The set that applied: division and year.
    pub set: Option<(String, i32)>,
    /// The revision that was read.
    pub revision: i64,
}

/// Judges a parcel by the set that applies to its county in its 认定标准年份, or in `year`. `None`: no such parcel for this viewer.
pub async fn judge_parcel(
    pool: &PgPool,
    viewer: &Viewer,
    id: &str,
    year: Option<i32>,
    revision: Option<i64>,
) -> Result<Option<Judged>> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    let read = as_of::turn_back(&mut transaction, revision).await?;
    let Some(parcel) = sets::find_parcel(&mut transaction, id).await? else { return Ok(None) };
    let county =
        DivisionCode::parse(&parcel.county).map_err(|cause| Error::internal("登记库中的县区代码不合规则", cause))?;
    let year = year.or(parcel.year);
    let found = match year {
        None => Vec::new(),
        Some(year) => {
            let nearest = CriteriaSet::divisions_for(&county);
            let keys: Vec<String> = nearest.iter().map(|code| sets::key(code.as_str(), year)).collect();
            sets::find_all(&mut transaction, &keys).await?
        }
    };
    transaction.commit().await?;
    let stored = year.and_then(|year| nearest(&county, year, &found));
    let mut document = json!({
        "id": id,
        "county_code": parcel.county,
        "year": year,
        "paper": {
            "is_low_efficiency": parcel.is_low_efficiency,
            "low_efficiency_kind": parcel.kind,
            "criteria_year": parcel.year,
        },
    });
    let told = match stored {
        Some(stored) => judged(stored, &parcel),
        None => unjudged(&parcel.county, year),
    };
    if let (Some(document), Value::Object(told)) = (document.as_object_mut(), told) {
        document.extend(told);
    }
    let set = stored.map(|stored| (stored.set.division.to_string(), stored.set.year));
    Ok(Some(Judged { document, set, revision: read }))
}

fn unjudged(county: &str, year: Option<i32>) -> Value {
    let sentence = match year {
        None => "地块没有写明认定标准年份；请补填，或在请求中用 year 指明年份".to_owned(),
        Some(year) => format!("{county} 及其上级都没有登记 {year} 年的低效用地认定标准"),
    };
    json!({
        "set": null, "verdict": null, "kinds": [], "missing": [], "criteria": [],
        "agreement": word(Agreement::NoCriteria.as_str(), Agreement::NoCriteria.label()),
        "agrees": null,
        "sentence": sentence,
    })
}

fn word(code: &str, label: &str) -> Value {
    json!({"code": code, "label": label})
}

fn judged(stored: &StoredSet, parcel: &ParcelFacts) -> Value {
    let set = &stored.set;
    let verdict = Judge::new(set).judge(&parcel.facts);
    let kinds = verdict.kinds(set);
    let agreement = agreement(verdict.overall, &kinds, parcel.is_low_efficiency, parcel.kind.as_deref());
    let agrees = match agreement {
        Agreement::Undecided | Agreement::NoCriteria => None,
        // A paper that does not say neither agrees nor disagrees.
        other => parcel.is_low_efficiency.map(|_| other == Agreement::Agrees),
    };
    let sentence = format!(
        "按 {}（{}）{} 年的认定标准：{}{}",
        stored.name,
        set.division,
        set.year,
        verdict.overall.label(),
        reasons(set, &verdict)
    );
    json!({
        "set": {
            "division": set.division.as_str(), "name": stored.name, "year": set.year, "version": stored.version,
        },
        "verdict": word(verdict.overall.as_str(), verdict.overall.label()),
        "kinds": kinds,
        "missing": verdict.missing(set),
        "criteria": criteria(set, &verdict, parcel),
        "agreement": word(agreement.as_str(), agreement.label()),
        "agrees": agrees,
        "sentence": sentence,
    })
}

/// `，符合第 1 条“亩均税收偏低”`, `，还缺：地均税收`.
fn reasons(set: &CriteriaSet, verdict: &Verdict) -> String {
    let met: Vec<String> =
        verdict.reasons(set).map(|criterion| format!("第 {} 条“{}”", criterion.number, criterion.title)).collect();
    let missing = verdict.missing(set);
    match (met.is_empty(), missing.is_empty()) {
        (false, _) => format!("，符合{}", met.join("、")),
        (true, false) => format!("，还缺：{}", missing.join("、")),
        (true, true) => String::new(),
    }
}

fn criteria(set: &CriteriaSet, verdict: &Verdict, parcel: &ParcelFacts) -> Vec<Value> {
    let one = |(criterion, (answer, holds)): (&Criterion, (&Answer, &bool))| {
        let fact = parcel.facts.get(criterion.measure.name());
        json!({
            "number": criterion.number,
            "title": criterion.title,
            "kind": criterion.kind,
            "group": criterion.group,
            "combination": criterion.combination.as_str(),
            "field": criterion.measure.name(),
            "field_title": criterion.measure.title(),
            "value": fact.map(value),
            "unit": criterion.measure.field().unit,
            "comparison": criterion.comparison.label(),
            "threshold": criterion.threshold.words(criterion.measure),
            "answer": word(answer.as_str(), answer.label()),
            "group_holds": holds,
            "sentence": explain(criterion, fact, *answer),
            "document": criterion.document,
        })
    };
    set.criteria.iter().zip(verdict.answers.iter().zip(&verdict.in_holding_group)).map(one).collect()
}

fn value(fact: &Fact) -> Value {
    match fact {
        Fact::Text(text) => json!(text),
        Fact::Number(number) => json!(number),
        Fact::Boolean(flag) => json!(flag),
        Fact::Integer(number) => json!(number),
        Fact::Date(day) => json!(day.to_string()),
    }
}
