//! `POST /api/park-events`: a park is established, renamed, upgraded, split, merged or revoked.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use super::edits::{self, FEATURE_LIMIT, day};
use super::json_body::{self, Members};
use super::params::{Params, shorten};
use super::problem::Answer;
use super::representation;
use super::state::State;
use super::{auth, crs, in_memory};
use crate::domain::lifecycle::DecimalHectares;
use crate::domain::{DivisionCode, Park, ParkCode};
use crate::error::{Error, Result};
use crate::inventory::parks::{self, Areas, Change, NewPark, ParkEventRequest, Portion, Share, Survivor, Told};

/// Members of every event.
const COMMON: [&str; 9] =
    ["kind", "on", "document_no", "document_title", "reason", "areas", "allow", "dry_run", "seen_revision"];
/// Kinds, and the members that each has of its own.
pub const KINDS: [(&str, &[&str]); 6] = [
    ("established", &["park", "blocks"]),
    ("renamed", &["park", "name"]),
    ("upgraded", &["park", "into"]),
    ("split", &["park", "keeps", "into"]),
    ("merged_into", &["parks", "into"]),
    ("revoked", &["park"]),
];
/// Members of a park to come.
const PARK: [&str; 10] = [
    "code",
    "name",
    "aliases",
    "level",
    "type",
    "prefecture",
    "counties",
    "leading_industries",
    "approved_text",
    "approved_area_ha",
];
/// Blocks and parts of blocks of one share.
const MOST_PORTIONS: usize = 10_000;

/// `POST /api/park-events`.
pub async fn create_park_event(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> Answer {
    let viewer = auth::editor(&request, &state).await?;
    crs::only_crs84(&request)?;
    Params::read(&request, &[], |_| false)?;
    let body = json_body::bytes(&request, payload, &["application/json"], FEATURE_LIMIT).await?;
    let wanted = request_of(&body)?;
    let deed = edits::deed_of(&request, &viewer, None, &body)?;
    let told = parks::happen(&state.pool, &deed, &wanted).await?;
    if told.revision.is_some() && !told.replayed {
        // Whoever reads on finds what was just written.
        in_memory::show_own_write(&request, &state).await;
    }
    answer(&request, &state, told)
}

fn answer(request: &HttpRequest, state: &web::Data<State>, told: Told) -> Answer {
    let base = representation::base_url(request, state);
    let lineage = format!("{base}/api/parks/{}/lineage", told.subject);
    let mut document = told.document;
    let links = match told.revision {
        None => json!([]),
        Some(number) => json!([
            {"rel": "related", "type": "application/json", "title": "沿革", "href": lineage},
            {"rel": "item", "type": "application/json", "title": "园区", "href": format!("{base}/api/parks/{}", told.subject)},
            {"rel": "undo", "type": "application/json", "title": "撤销", "href": format!("{base}/api/revisions/{number}/undo")},
        ]),
    };
    document.insert("links".to_owned(), links);
    let status = if told.revision.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = HttpResponse::build(status);
    edits::mark(&mut response, told.revision, told.replayed);
    if told.revision.is_some() {
        response.insert_header((header::LOCATION, lineage));
    }
    Ok(response.json(Value::Object(document)))
}

fn invalid(name: &str, what: &str) -> Error {
    Error::invalid("member_invalid", format!("成员 {name} {what}"))
}

fn missing(name: &str) -> Error {
    Error::invalid("member_missing", format!("缺少成员 {name}"))
}

/// The event that a body asks for.
pub(super) fn request_of(body: &[u8]) -> Result<ParkEventRequest> {
    let known: Vec<&str> = COMMON.iter().chain(KINDS.iter().flat_map(|(_, own)| *own)).copied().collect();
    let members = Members::parse(body, &known)?;
    let kind = members.needed_text("kind")?;
    let Some((_, own)) = KINDS.iter().find(|(word, _)| *word == kind) else {
        let words = KINDS.map(|(word, _)| word).join("、");
        return Err(invalid("kind", &format!("应为 {words} 之一，不是“{}”", shorten(&kind))));
    };
    let allowed: Vec<&str> = COMMON.iter().chain(own.iter()).copied().collect();
    members.only(&allowed)?;
    let seen = members.integer("seen_revision")?;
    if seen.is_some_and(|seen| seen < 0) {
        return Err(invalid("seen_revision", "应为不小于 0 的整数"));
    }
    Ok(ParkEventRequest {
        change: change_of(&kind, &members)?,
        on: members.text("on")?.map(|text| day("on", &text)).transpose()?,
        document_no: members.text("document_no")?,
        document_title: members.text("document_title")?,
        reason: members.text("reason")?,
        areas: areas_of(members.value("areas"))?,
        allow: members.texts("allow")?.unwrap_or_default(),
        dry_run: members.flag("dry_run")?.unwrap_or_default(),
        seen_revision: seen,
    })
}

fn change_of(kind: &str, members: &Members) -> Result<Change> {
    let park = || code_of("park", &members.needed_text("park")?);
    let value = |name: &str| members.value(name).ok_or_else(|| missing(name));
    Ok(match kind {
        "established" => {
            let blocks = members.value("blocks").cloned();
            if blocks.as_ref().is_some_and(|blocks| !blocks.is_object()) {
                return Err(invalid("blocks", "应为 GeoJSON 要素集合"));
            }
            Change::Established { park: Box::new(new_park("park", value("park")?)?), blocks }
        }
        "renamed" => Change::Renamed { park: park()?, name: members.needed_text("name")? },
        "upgraded" => Change::Upgraded { park: park()?, into: Box::new(new_park("into", value("into")?)?) },
        "split" => split_of(park()?, members)?,
        "merged_into" => {
            let codes = members.texts("parks")?.ok_or_else(|| missing("parks"))?;
            let parks = codes.iter().map(|code| code_of("parks", code)).collect::<Result<_>>()?;
            let into = match value("into")? {
                Value::String(code) => Survivor::Standing(code_of("into", code)?),
                value => Survivor::New(Box::new(new_park("into", value)?)),
            };
            Change::MergedInto { parks, into }
        }
        _ => Change::Revoked { park: park()? },
    })
}

fn split_of(park: ParkCode, members: &Members) -> Result<Change> {
    let mut shares = Vec::new();
    if let Some(kept) = members.values("keeps", MOST_PORTIONS)? {
        shares.push(Share { park: None, blocks: portions("keeps", &kept)? });
    }
    let into = members.values("into", parks::MOST_PARKS)?.ok_or_else(|| missing("into"))?;
    for heir in &into {
        let mut heir = heir.as_object().cloned().ok_or_else(|| invalid("into", "应为新园区的列表"))?;
        let blocks = heir.remove("blocks").unwrap_or(Value::Null);
        let blocks = match &blocks {
            Value::Null => Vec::new(),
            Value::Array(list) if list.len() <= MOST_PORTIONS => portions("into.blocks", list)?,
            _ => return Err(invalid("into.blocks", &format!("应为列表，至多 {MOST_PORTIONS} 项"))),
        };
        shares.push(Share { park: Some(new_park("into", &Value::Object(heir))?), blocks });
    }
    if into.is_empty() {
        return Err(invalid("into", "至少要有一个新园区"));
    }
    Ok(Change::Split { park, shares })
}

/// Ids of blocks, or features whose property `from` is one.
fn portions(name: &str, list: &[Value]) -> Result<Vec<Portion>> {
    let wrong = || invalid(name, "的每一项应为区块标识，或带 properties.from（原区块标识）的 GeoJSON 要素");
    list.iter()
        .map(|item| match item {
            Value::String(id) if !id.contains('\0') => Ok(Portion::Whole(id.trim().to_owned())),
            Value::Object(_) => {
                let mut feature = item.clone();
                let properties = feature.get_mut("properties").and_then(Value::as_object_mut).ok_or_else(wrong)?;
                let from = properties.remove("from").and_then(|from| from.as_str().map(str::to_owned));
                let from = from.filter(|from| !from.contains('\0')).ok_or_else(wrong)?;
                Ok(Portion::Part { from: from.trim().to_owned(), feature })
            }
            _ => Err(wrong()),
        })
        .collect()
}

fn code_of(name: &str, text: &str) -> Result<ParkCode> {
    ParkCode::parse(text).map_err(|reason| invalid(name, &format!("：{reason}")))
}

fn new_park(member: &str, value: &Value) -> Result<NewPark> {
    let object = value.as_object().ok_or_else(|| invalid(member, "应为对象"))?;
    if let Some(name) = object.keys().find(|name| !PARK.contains(&name.as_str())) {
        let detail = format!("成员 {member} 中不认识“{}”；可用的有 {}", shorten(name), PARK.join("、"));
        return Err(Error::invalid("member_unknown", detail));
    }
    let text = |name: &str| text_of(member, object, name);
    let needed = |name: &str| text(name)?.ok_or_else(|| missing(&format!("{member}.{name}")));
    let code = code_of(&format!("{member}.code"), &needed("code")?)?;
    let division =
        |text: &str| DivisionCode::parse(text).map_err(|reason| invalid(member, &format!("的行政区划有误：{reason}")));
    let park = Park {
        name: needed("name")?,
        aliases: texts_of(member, object, "aliases")?,
        kind: text("type")?.unwrap_or_default(),
        prefecture: division(&needed("prefecture")?)?,
        counties: texts_of(member, object, "counties")?.iter().map(|c| division(c)).collect::<Result<_>>()?,
        leading_industries: texts_of(member, object, "leading_industries")?,
        approved_text: text("approved_text")?,
        approved_on: None,
        approved_area: None,
        source: "在线登记".to_owned(),
        code,
    };
    if text("level")?.is_some_and(|level| level != park.level()) {
        let detail = format!("园区级别与代码首字母不一致：{} 是{}", park.code, park.level());
        return Err(Error::invalid("level_contradicts_code", detail));
    }
    let approved_area = area_of(&format!("{member}.approved_area_ha"), object.get("approved_area_ha"))?;
    Ok(NewPark { park, approved_area })
}

fn text_of(member: &str, object: &Map<String, Value>, name: &str) -> Result<Option<String>> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text.clone())),
        Some(_) => Err(invalid(&format!("{member}.{name}"), "应为文字")),
    }
}

fn texts_of(member: &str, object: &Map<String, Value>, name: &str) -> Result<Vec<String>> {
    let wrong = || invalid(&format!("{member}.{name}"), "应为文字的列表，至多 50 项");
    match object.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= 50 => list
            .iter()
            .map(|item| item.as_str().filter(|text| !text.contains('\0')).map(str::to_owned).ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

fn areas_of(value: Option<&Value>) -> Result<Areas> {
    const KNOWN: [&str; 4] = ["before_ha", "out_ha", "in_ha", "after_ha"];
    let Some(value) = value else { return Ok(Areas::default()) };
    let wrong = || invalid("areas", &format!("应为对象，可含 {}", KNOWN.join("、")));
    let object = value.as_object().ok_or_else(wrong)?;
    if object.keys().any(|name| !KNOWN.contains(&name.as_str())) {
        return Err(wrong());
    }
    let area = |name: &str| area_of(&format!("areas.{name}"), object.get(name));
    Ok(Areas { before: area("before_ha")?, out: area("out_ha")?, added: area("in_ha")?, after: area("after_ha")? })
}

/// Hectares of a document, as text or as a number: at most four decimals.
fn area_of(name: &str, value: Option<&Value>) -> Result<Option<DecimalHectares>> {
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => String::new(),
    };
    // (A whole number may come as `12.0`.)
    let area = DecimalHectares::parse(&text);
    area.map(Some).ok_or_else(|| invalid(name, "应为公顷数，最多四位小数，例如 \"2113.10\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: Value) -> String {
        match request_of(body.to_string().as_bytes()) {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.code().to_owned(),
        }
    }

    #[test]
    fn bodies_that_are_no_event() {
        let park = json!({"code": "S437901", "name": "新园区", "prefecture": "430100"});
        for (body, expected) in [
            (json!({}), "member_missing"),
            (json!({"kind": "dissolved"}), "member_invalid"),
            (json!({"kind": "revoked"}), "member_missing"),
            (json!({"kind": "revoked", "park": "X1"}), "member_invalid"),
            (json!({"kind": "revoked", "park": "S437001"}), "ok"),
            (json!({"kind": "revoked", "park": "S437001", "name": "x"}), "member_unknown"),
            (json!({"kind": "revoked", "park": "S437001", "on": "2025-02-30"}), "value_invalid"),
            (json!({"kind": "revoked", "park": "S437001", "seen_revision": -1}), "member_invalid"),
            (json!({"kind": "revoked", "park": "S437001", "areas": {"before_ha": "1.23456"}}), "member_invalid"),
            (json!({"kind": "revoked", "park": "S437001", "areas": {"before_ha": 12.5, "out_ha": "12.50"}}), "ok"),
            (json!({"kind": "revoked", "park": "S437001", "areas": {"area": 1}}), "member_invalid"),
            (json!({"kind": "established", "park": park}), "ok"),
            (json!({"kind": "established", "park": park, "blocks": []}), "member_invalid"),
            (json!({"kind": "established", "park": "S437901"}), "member_invalid"),
            (json!({"kind": "established", "park": {"code": "S437901", "name": "新园区"}}), "member_missing"),
            (json!({"kind": "merged_into", "parks": ["S437001"], "into": "G431001"}), "ok"),
            (json!({"kind": "merged_into", "parks": "S437001", "into": "G431001"}), "member_invalid"),
            (json!({"kind": "merged_into", "parks": ["S437001"]}), "member_missing"),
            (json!({"kind": "split", "park": "S437001", "into": []}), "member_invalid"),
            (json!({"kind": "split", "park": "S437001", "into": [1]}), "member_invalid"),
            (json!({"kind": "split", "park": "S437001", "keeps": [1], "into": [park]}), "member_invalid"),
            (
                json!({"kind": "split", "park": "S437001", "keeps": [{"type": "Feature", "properties": {}}], "into": [park]}),
                "member_invalid",
            ),
        ] {
            assert_eq!(code(body.clone()), expected, "{body}");
        }
        let nothing = json!({"kind": "revoked", "park": "S437001", "areas": {"after_ha": "0"}});
        let after = request_of(nothing.to_string().as_bytes()).expect("an event").areas.after;
        assert_eq!(after.map(DecimalHectares::square_metres), Some(0), "0 is an area that a paper states");
        let mut level = park.clone();
        level["level"] = json!("国家级");
        assert_eq!(code(json!({"kind": "established", "park": level})), "level_contradicts_code");
    }

    #[test]
    fn areas_are_taken_to_the_digit() {
        for (value, expected) in [
            (json!("2113.10"), Some("2113.10")),
            (json!(2113.1), Some("2113.10")),
            (json!(0.0003), Some("0.0003")),
            (json!(7), Some("7.00")),
            (json!(1.23456), None),
            (json!(-1), None),
            (json!(true), None),
        ] {
            let area = area_of("area", Some(&value)).ok().flatten();
            assert_eq!(area.map(|area| area.to_string()).as_deref(), expected, "{value}");
        }
    }
}
