//! The directory and the card as pages, written from the very JSON that programs get.

use std::fmt::Write as _;

use serde_json::Value;

use super::html;
use super::params::Params;
use super::park_json::card_url;
use super::representation::{encode, query_string};
use crate::domain::Severity;
use crate::domain::four_extents::Direction;
use crate::domain::lifecycle::{EventKind, ParkStatus};

/// Words, parameter and direction of the orders offered above the table.
const ORDERS: [(&str, &str); 5] = [
    ("代码", "code"),
    ("名称", "name"),
    ("核准面积从大到小", "-approved_area"),
    ("椭球面积从大到小", "-computed_area"),
    ("批准时间从新到旧", "-approved"),
];

const ILLUSTRATIVE: &str = "<span class=\"badge warning\">示意</span>";

/// The body of the directory's page.
pub fn directory(document: &Value, params: &Params, base: &str) -> String {
    let mut body = search_form(params, base);
    body.push_str(&facets(&document["facets"], params, base));
    let parks = list(&document["parks"]);
    if parks.is_empty() {
        let sentence = if document["numberMatched"] == 0 {
            "没有符合条件的园区；请放宽查找条件"
        } else {
            "这一页没有内容，已经超过最后一页"
        };
        let _ = write!(body, "<p>{sentence}。<a href=\"{}/api/parks?f=html\">查看全部园区</a></p>", html::escape(base));
        return body;
    }
    let _ = write!(body, "<p>共 {} 个园区，本页 {} 个。排序：", document["numberMatched"], document["numberReturned"]);
    for (words, order) in ORDERS {
        let to = href(base, params, &["offset"], Some(("sort", order)));
        let _ = write!(body, "{} ", choice(&to, words, params.get("sort") == Some(order)));
    }
    body.push_str("</p>");
    let rows: Vec<Vec<String>> = parks.iter().map(|park| directory_row(park, base)).collect();
    let head = [
        "代码",
        "名称",
        "级别",
        "类型",
        "市州",
        "核准面积（公顷）",
        "椭球面积（公顷）",
        "区块数",
        "主导产业",
        "批准时间",
        "状态",
    ];
    body.push_str(&html::table_of("园区名录", &head, &[5, 6, 7], &rows));
    let turns = list(&document["links"]).iter().filter(|l| l["rel"] == "prev" || l["rel"] == "next");
    for turn in turns {
        let (rel, to) = (text(&turn["rel"]), text(&turn["href"]));
        let _ = write!(body, "<p><a rel=\"{rel}\" href=\"{to}\">{}</a></p>", text(&turn["title"]));
    }
    body
}

fn directory_row(park: &Value, base: &str) -> Vec<String> {
    let code = park["code"].as_str().unwrap_or_default();
    let card = format!("{}?f=html", card_url(base, code));
    let mark = if park["illustrative"] == true { format!(" {ILLUSTRATIVE}") } else { String::new() };
    vec![
        html::escape(code),
        format!("{}{mark}", link(&card, park["name"].as_str().unwrap_or_default())),
        text(&park["level"]),
        text(&park["type"]),
        text(&park["prefecture"]["name"]),
        number(&park["areas"]["approved"]["ha"], 2),
        number(&park["areas"]["computed"]["ha"], 4),
        text(&park["block_count"]),
        text(&park["leading_industries"]),
        text(&park["approved_text"]),
        html::escape(status_label(&park["status"])),
    ]
}

fn search_form(params: &Params, base: &str) -> String {
    let mut form = format!("<form action=\"{}/api/parks\" method=\"get\" role=\"search\">", html::escape(base));
    for (name, value) in params.without(&["q", "offset", "f"]) {
        let (name, value) = (html::escape(&name), html::escape(&value));
        let _ = write!(form, "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">");
    }
    let _ = write!(
        form,
        "<input type=\"hidden\" name=\"f\" value=\"html\"><label>名称、代码或产业 \
         <input type=\"search\" name=\"q\" value=\"{}\"></label> <button>查找</button></form>",
        html::escape(params.get("q").unwrap_or_default())
    );
    form
}

/// Counts as links that filter; a filter that is set gets a link that lifts it.
fn facets(facets: &Value, params: &Params, base: &str) -> String {
    let mut pairs = Vec::new();
    for (name, title) in [("level", "级别"), ("type", "类型"), ("prefecture", "市州")] {
        let mut links = String::new();
        if params.text(name).is_some() {
            let _ = write!(links, "{} ", link(&href(base, params, &["offset", name], None), "不限"));
        }
        for facet in list(&facets[name]) {
            let value = facet["value"].as_str().unwrap_or_default();
            let words = format!("{}（{}）", facet["title"].as_str().unwrap_or(value), facet["count"]);
            let to = href(base, params, &["offset"], Some((name, value)));
            let _ = write!(links, "{} ", choice(&to, &words, params.text(name).as_deref() == Some(value)));
        }
        if !links.is_empty() {
            pairs.push((title.to_owned(), links));
        }
    }
    html::definitions(&pairs)
}

/// The directory's page again with other parameters.
fn href(base: &str, params: &Params, dropped: &[&str], set: Option<(&str, &str)>) -> String {
    let replaced = |name: &str| name == "f" || dropped.contains(&name) || set.is_some_and(|(n, _)| n == name);
    let mut pairs = params.without(&[]);
    pairs.retain(|(name, _)| !replaced(name));
    pairs.extend(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
    pairs.push(("f".to_owned(), "html".to_owned()));
    format!("{base}/api/parks?{}", query_string(&pairs))
}

/// The body of a card's page.
pub fn card(card: &Value, base: &str) -> String {
    let mut body = String::new();
    if card["illustrative"] == true {
        let _ = write!(body, "<p>{ILLUSTRATIVE} 边界由程序按核准面积绘制，不是测绘成果，不作定界依据。</p>");
    }
    body.push_str(&html::definitions(&facts(card, base)));
    let mut section = |title: &str, content: String| {
        let _ = write!(body, "<h2>{title}</h2>{content}");
    };
    section("面积", areas(&card["areas"]));
    section("四至文字", said(&card["four_extents"]));
    section("坐标四至（由边界算出，不代替文字）", computed(&card["computed"]));
    section("文字与边界的核对", check(&card["check"]));
    section("区块", blocks(&card["blocks"], base));
    section("沿革", lineage(&card["lineage"]));
    section("名录版本", versions(&card["directory_versions"]));
    body
}

fn facts(card: &Value, base: &str) -> Vec<(String, String)> {
    let prefecture = &card["prefecture"];
    let in_prefecture =
        format!("{base}/api/parks?prefecture={}&f=html", prefecture["code"].as_str().unwrap_or_default());
    let mut status = html::escape(status_label(&card["status"]));
    if let Some(successor) = card["successor_code"].as_str() {
        let _ = write!(status, "，并入 {}", link(&format!("{}?f=html", card_url(base, successor)), successor));
    }
    let mut facts = Vec::new();
    let mut put = |term: &str, value: String| facts.push((term.to_owned(), value));
    put("园区代码", text(&card["code"]));
    put("别名", text(&card["aliases"]));
    put("级别", text(&card["level"]));
    put("类型", text(&card["type"]));
    put("市州", link(&in_prefecture, prefecture["name"].as_str().unwrap_or_default()));
    put("县区代码", text(&card["county_codes"]));
    put("主导产业", text(&card["leading_industries"]));
    put("批准时间", text(&card["approved_text"]));
    put("状态", status);
    put("来源", text(&card["source"]));
    facts
}

fn areas(areas: &Value) -> String {
    let kinds =
        [("核准面积", "approved"), ("公告面积（各区块之和）", "stated"), ("椭球面积（由边界算出）", "computed")];
    let row = |(title, key): (&str, &str)| {
        let area = &areas[key];
        vec![title.to_owned(), number(&area["m2"], 2), number(&area["ha"], 4), number(&area["mu"], 2)]
    };
    let rows: Vec<Vec<String>> = kinds.into_iter().map(row).collect();
    html::table_of("面积", &["口径", "平方米", "公顷", "亩"], &[1, 2, 3], &rows)
}

fn said(four_extents: &Value) -> String {
    let rows: Vec<Vec<String>> = list(&four_extents["blocks"])
        .iter()
        .map(|said| {
            let sides = Direction::ALL.map(|direction| text(&said[direction.as_str()]));
            [text(&said["name"]), number(&said["area_ha"], 2)].into_iter().chain(sides).collect()
        })
        .collect();
    let head = ["区块", "文字中的面积（公顷）", "东至", "南至", "西至", "北至"];
    let whole = four_extents["text"].as_str().map(|t| format!("<p>{}</p>", html::escape(t))).unwrap_or_default();
    format!("{whole}{}", html::table_of("四至文字", &head, &[1], &rows))
}

const CORNERS: [(&str, &str); 4] =
    [("最东", "easternmost"), ("最南", "southernmost"), ("最西", "westernmost"), ("最北", "northernmost")];

fn computed(computed: &Value) -> String {
    if computed.is_null() {
        return "<p>没有登记边界。</p>".to_owned();
    }
    let row = |(title, key): (&str, &str)| {
        let corner = &computed[key];
        let mut row = vec![title.to_owned()];
        row.extend(["lon_dms", "lat_dms"].map(|key| text(&corner[key])));
        row.extend(["lon", "lat"].map(|key| number(&corner[key], 8)));
        row.push(text(&corner["block"]));
        row
    };
    let rows: Vec<Vec<String>> = CORNERS.into_iter().map(row).collect();
    let bbox: Vec<String> = list(&computed["bbox"]).iter().map(|side| number(side, 8)).collect();
    format!(
        "{}<p>外接矩形（西、南、东、北）：{}</p>",
        html::table_of("坐标四至", &["方向", "经度", "纬度", "经度（度）", "纬度（度）", "区块"], &[1, 2, 3, 4], &rows),
        bbox.join("，")
    )
}

fn check(check: &Value) -> String {
    // The verdict's own word is its class; what cannot be checked has no colour.
    let badge = format!("<span class=\"badge {}\">{}</span>", text(&check["verdict"]), text(&check["verdict_label"]));
    let rows: Vec<Vec<String>> = list(&check["findings"])
        .iter()
        .map(|finding| {
            let severity = finding["severity"].as_str().unwrap_or_default();
            let label = Severity::parse(severity).map_or(severity, |s| s.label());
            let badge = format!("<span class=\"badge {0}\">{1}</span>", html::escape(severity), html::escape(label));
            vec![badge, text(&finding["message"]), format!("<code>{}</code>", text(&finding["code"]))]
        })
        .collect();
    let found = if rows.is_empty() {
        String::new()
    } else {
        html::table("核对发现", &["程度", "说明", "代码"], &rows)
    };
    format!("<p>结论：{badge}</p>{found}")
}

fn blocks(blocks: &Value, base: &str) -> String {
    let rows: Vec<Vec<String>> = list(blocks).iter().map(|block| block_row(block, base)).collect();
    let head = [
        "区块",
        "名称",
        "多边形／环",
        "公告面积（公顷）",
        "椭球面积（公顷）",
        "椭球面积（亩）",
        "最东",
        "最南",
        "最西",
        "最北",
        "来源",
        "原坐标系",
    ];
    html::table_of("区块", &head, &[3, 4, 5, 6, 7, 8, 9], &rows)
}

fn block_row(block: &Value, base: &str) -> Vec<String> {
    let id = block["id"].as_str().unwrap_or_default();
    let item = format!("{base}/api/collections/park_blocks/items/{}?f=html", encode(id));
    let mark = if block["illustrative"] == true { format!(" {ILLUSTRATIVE}") } else { String::new() };
    let mut row = vec![
        format!("{}{mark}", link(&item, id)),
        text(&block["name"]),
        format!("{}／{}", block["parts"], block["rings"]),
        number(&block["areas"]["stated"]["ha"], 4),
        number(&block["areas"]["computed"]["ha"], 4),
        number(&block["areas"]["computed"]["mu"], 2),
    ];
    row.extend(CORNERS.map(|(_, key)| {
        let corner = &block["extremes"][key];
        // The coordinate that makes the vertex the outermost one.
        text(&corner[if matches!(key, "easternmost" | "westernmost") { "lon_dms" } else { "lat_dms" }])
    }));
    row.extend([text(&block["source"]), text(&block["source_crs"])]);
    row
}

fn lineage(events: &Value) -> String {
    let rows: Vec<Vec<String>> = list(events)
        .iter()
        .map(|event| {
            let kind = event["kind"].as_str().unwrap_or_default();
            let label = EventKind::parse(kind).map_or(kind, |k| k.label());
            let mut row = vec![text(&event["occurred"]), html::escape(label)];
            row.extend(["stage", "document_no"].map(|key| text(&event[key])));
            let keys = ["area_before_ha", "area_out_ha", "area_in_ha", "area_after_ha"];
            row.extend(keys.map(|key| text(&event[key])));
            row.extend(["related_park_codes", "note", "source"].map(|key| text(&event[key])));
            row
        })
        .collect();
    let head = [
        "时间",
        "事项",
        "阶段",
        "文号",
        "调整前（公顷）",
        "调出（公顷）",
        "新扩入（公顷）",
        "调整后（公顷）",
        "相关园区",
        "说明",
        "来源",
    ];
    html::table_of("沿革", &head, &[4, 5, 6, 7], &rows)
}

fn versions(versions: &Value) -> String {
    let keys = [
        "title",
        "document_no",
        "issued_on",
        "serial",
        "name",
        "area_ha",
        "approved_text",
        "leading_industries",
        "four_extents",
    ];
    let rows: Vec<Vec<String>> =
        list(versions).iter().map(|version| keys.map(|key| text(&version[key])).to_vec()).collect();
    let head = ["名录", "文号", "日期", "序号", "园区名称", "面积（公顷）", "批准时间", "主导产业", "四至范围"];
    html::table_of("名录版本", &head, &[3, 5], &rows)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    html::escape(&html::text_of(value))
}

/// A number with its decimals, or nothing.
fn number(value: &Value, decimals: usize) -> String {
    value.as_f64().map(|n| format!("{n:.decimals$}")).unwrap_or_default()
}

fn link(href: &str, words: &str) -> String {
    format!("<a href=\"{}\">{}</a>", html::escape(href), html::escape(words))
}

/// A link that sets a filter or an order; the one that is set says so.
fn choice(href: &str, words: &str, is_set: bool) -> String {
    let current = if is_set { " aria-current=\"true\"" } else { "" };
    format!("<a class=\"choice\" href=\"{}\"{current}>{}</a>", html::escape(href), html::escape(words))
}

pub(super) fn status_label(status: &Value) -> &str {
    let word = status.as_str().unwrap_or_default();
    ParkStatus::ALL.into_iter().find(|s| s.as_str() == word).map_or(word, |s| s.label())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pages_escape_what_the_register_says() {
        let odd = "<b>\"园区\"&'";
        let check = json!({"verdict": "doubtful", "verdict_label": "存疑"});
        let park = json!({"code": "G431176", "name": odd, "source": odd, "check": check});
        for page in [card(&park, "http://x"), directory_row(&park, "http://x").concat()] {
            assert!(!page.contains("<b>"), "{page}");
        }
        assert!(card(&park, "http://x").contains("class=\"badge doubtful\""));
    }

    #[test]
    fn an_illustrative_park_says_so() {
        let park = json!({"code": "G431176", "name": "望城", "illustrative": true});
        assert!(card(&park, "http://x").contains("示意"));
        assert!(directory_row(&park, "http://x").concat().contains("示意"));
    }
}
