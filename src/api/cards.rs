//! `/api/parks` and `/api/parks/{code}`: the park directory (园区名录) and a park's card.

use actix_web::{HttpRequest, web};
use serde_json::{Value, json};

use super::params::{self, Params};
use super::park_json;
use super::park_pages;
use super::past::Past;
use super::problem::Answer;
use super::representation::{self, Form};
use super::state::State;
use super::{auth, collections, html, items};
use crate::domain::layer::Visibility;
use crate::domain::lifecycle::ParkStatus;
use crate::domain::{DivisionCode, ParkCode, items_query};
use crate::error::{Error, Result};
use crate::layers::declaration;
use crate::store::as_of;
use crate::store::park_cards::{self, DirectoryQuery, DirectorySort};

/// Parameters of the directory.
pub const PARAMETERS: [&str; 12] =
    ["prefecture", "county", "level", "type", "industry", "status", "q", "sort", "revision", "limit", "offset", "f"];

/// Values of `sort`; a leading `-` turns the order round.
pub const SORTS: [&str; 5] = ["code", "name", "approved_area", "computed_area", "approved"];

/// Values of `level`.
pub const LEVELS: [&str; 2] = ["国家级", "省级"];

/// `/api/parks`: one page of the directory, with facets over all that match.
pub async fn list_parks(request: HttpRequest, state: web::Data<State>) -> Answer {
    let params = Params::read(&request, &PARAMETERS, |_| false)?;
    let form = representation::form(&request, &params)?;
    let mut query = directory_query(&params)?;
    let base = representation::base_url(&request, &state);
    let past = Past::read(&params, &state).await?;
    query.revision = past.revision;
    // The number is read before the data: an ETag may be older than its body, never newer.
    let etag = representation::etag(&request, &base, form, &as_of::mark(&state.pool, past.revision).await?);
    if representation::is_current(&request, &etag) {
        return representation::not_modified(&etag);
    }
    let page = park_cards::list(&state.pool, &query).await?;
    let document = json!({
        "numberMatched": page.matched,
        "numberReturned": page.rows.len(),
        "parks": page.rows.iter().map(|row| park_json::summary(row, &base)).collect::<Vec<_>>(),
        "facets": facets_json(&page.facets),
        "links": page_links(&params, &base, form, &query, page.matched, past),
    });
    if form == Form::Html {
        let json_url = format!("{base}/api/parks?{}", representation::query_string(&params.with("f", "json")));
        let body = park_pages::directory(&document, &params, &base);
        let page_of_people = html::page(&base, "园区名录", &body, &json_url);
        return past.mark(representation::html(Some(&etag), page_of_people), page.revision, Visibility::Public);
    }
    past.mark(representation::json(Some(&etag), &document), page.revision, Visibility::Public)
}

/// `/api/parks/{code}`: the card of one park, read from one state of the register.
pub async fn get_park(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let params = Params::read(&request, &["revision", "f"], |_| false)?;
    let form = representation::form(&request, &params)?;
    let base = representation::base_url(&request, &state);
    let past = Past::read(&params, &state).await?;
    let viewer = auth::viewer(&request, &state).await?;
    let code = ParkCode::parse(&path).map_err(|reason| Error::invalid("park_code_invalid", reason.to_string()))?;
    // What a card tells of boundaries is what the layer of blocks shows.
    let blocks = &declaration::PARK_BLOCKS;
    let mark = items::with_detail(as_of::mark(&state.pool, past.revision).await?, blocks, &viewer);
    let etag = representation::etag(&request, &base, form, &mark);
    let card = park_cards::find(&state.pool, &viewer, blocks, &code, past.revision)
        .await?
        .ok_or_else(|| Error::not_found("park_not_found", format!("名录中没有代码为 {code} 的园区")))?;
    if representation::is_current(&request, &etag) {
        return representation::not_modified(&etag);
    }
    let document = park_json::card(&card, blocks.generalisation_for(&viewer), &base);
    if form == Form::Html {
        let query = representation::query_string(&params.with("f", "json"));
        let json_url = format!("{}?{query}", park_json::card_url(&base, code.as_str()));
        let body = collections::outline_note(blocks, &viewer) + &park_pages::card(&document, &base);
        let page = html::page(&base, &card.park.name, &body, &json_url);
        return past.mark(representation::html(Some(&etag), page), card.revision, Visibility::Public);
    }
    past.mark(representation::json(Some(&etag), &document), card.revision, Visibility::Public)
}

/// The typed question to the directory.
fn directory_query(params: &Params) -> Result<DirectoryQuery> {
    let (sort, descending) = params.text("sort").map(|text| sort(&text)).transpose()?.unwrap_or_default();
    let is_county = |code: &DivisionCode| !code.is_province() && !code.is_prefecture();
    Ok(DirectoryQuery {
        prefecture: division(params, "prefecture", DivisionCode::is_prefecture, "市州代码，例如 430100")?,
        county: division(params, "county", is_county, "县区代码，例如 430102")?,
        level: one_of(params, "level", &LEVELS)?,
        kind: params.text("type"),
        industry: params.text("industry"),
        status: one_of(params, "status", &ParkStatus::ALL.map(ParkStatus::as_str))?,
        text: params.text("q"),
        sort,
        descending,
        limit: i64::from(params.limit(items_query::DEFAULT_LIMIT)?),
        offset: i64::from(params.offset()?),
        // Settled where the register can be asked.
        revision: None,
    })
}

/// `name` or `-name`: the order, and whether it is turned round.
fn sort(text: &str) -> Result<(DirectorySort, bool)> {
    let (word, descending) = text.strip_prefix('-').map_or((text, false), |word| (word, true));
    let sort = DirectorySort::parse(word).ok_or_else(|| {
        let detail = format!("sort 应为 {} 之一，前面加 - 表示倒序，不是“{}”", SORTS.join("、"), params::shorten(text));
        Error::invalid("value_invalid", detail)
    })?;
    Ok((sort, descending))
}

/// A division code of the right rank: another one would find nothing and look like an empty county.
fn division(params: &Params, name: &str, fits: impl Fn(&DivisionCode) -> bool, rule: &str) -> Result<Option<String>> {
    let Some(text) = params.text(name) else { return Ok(None) };
    let code = DivisionCode::parse(&text).ok().filter(fits).ok_or_else(|| {
        Error::invalid("value_invalid", format!("参数 {name} 应为{rule}，不是“{}”", params::shorten(&text)))
    })?;
    Ok(Some(code.as_str().to_owned()))
}

/// One of a few words, so that a slip of the pen is no empty answer.
fn one_of(params: &Params, name: &str, words: &[&str]) -> Result<Option<String>> {
    let Some(text) = params.text(name) else { return Ok(None) };
    if words.contains(&text.as_str()) {
        return Ok(Some(text));
    }
    let detail = format!("参数 {name} 应为 {} 之一，不是“{}”", words.join("、"), params::shorten(&text));
    Err(Error::invalid("value_invalid", detail))
}

fn facets_json(facets: &[(String, String, i64)]) -> Value {
    let (mut level, mut kind, mut prefecture) = (Vec::new(), Vec::new(), Vec::new());
    for (facet, value, count) in facets {
        match (facet.as_str(), value.split_once(' ')) {
            ("level", _) => level.push(json!({"value": value, "count": count})),
            ("type", _) => kind.push(json!({"value": value, "count": count})),
            // Prefectures come as code and name.
            (_, Some((code, name))) => prefecture.push(json!({"value": code, "title": name, "count": count})),
            _ => {}
        }
    }
    json!({"level": level, "type": kind, "prefecture": prefecture})
}

fn page_links(params: &Params, base: &str, form: Form, query: &DirectoryQuery, matched: i64, past: Past) -> Value {
    let href = |pairs: &[(String, String)]| format!("{base}/api/parks?{}", representation::query_string(pairs));
    let rel = |this: Form| if this == form { "self" } else { "alternate" };
    let kind = if form == Form::Json { "application/json" } else { "text/html" };
    let mut links = vec![
        json!({"rel": rel(Form::Json), "type": "application/json", "href": href(&params.with("f", "json"))}),
        json!({"rel": rel(Form::Html), "type": "text/html", "href": href(&params.with("f", "html"))}),
    ];
    let mut turn = |rel: &str, title: &str, offset: i64| {
        let mut pairs = params.with("offset", &offset.to_string());
        past.settle(&mut pairs);
        let href = href(&pairs);
        links.push(json!({"rel": rel, "type": kind, "title": title, "href": href}));
    };
    let next = query.offset + query.limit;
    if next < matched && next <= i64::from(items_query::MAX_OFFSET) {
        turn("next", "下一页", next);
    }
    if query.offset > 0 {
        turn("prev", "上一页", (query.offset - query.limit).max(0));
    }
    Value::Array(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sort_is_known_both_ways() {
        for word in SORTS {
            let (forward, back) = (sort(word).expect("known"), sort(&format!("-{word}")).expect("known"));
            assert_eq!((forward.0, forward.1, back.1), (back.0, false, true), "{word}");
        }
        for bad in ["", "-", "--code", "Code", "area", "code;drop table park"] {
            assert_eq!(sort(bad).err().map(|e| e.code()), Some("value_invalid"), "{bad}");
        }
    }

    #[test]
    fn facets_are_told_apart() {
        let row = |facet: &str, value: &str| (facet.to_owned(), value.to_owned(), 2);
        let found = facets_json(&[row("level", "省级"), row("type", "高新区"), row("prefecture", "430100 长沙市")]);
        let expected = json!({
            "level": [{"value": "省级", "count": 2}],
            "type": [{"value": "高新区", "count": 2}],
            "prefecture": [{"value": "430100", "title": "长沙市", "count": 2}],
        });
        assert_eq!(found, expected);
    }
}
