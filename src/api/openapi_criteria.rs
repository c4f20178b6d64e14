//! The part of the OpenAPI document about criteria for “low-efficient”: sets by division and year, and the verdict on a parcel.

use serde_json::{Map, Value, json};

use super::openapi::{
    JSON, Operation, limit_parameter, offset_parameter, query, revision_parameter, segment, text_parameter,
};
use super::openapi_access::security;
use super::openapi_schemas::{Schemas, list, object, one_of, reference, text, text_or_null, whole, yes_or_no};
use crate::domain::Ledger;
use crate::domain::ledger::criteria::{
    Agreement, Answer, Combination, Comparison, MAX_CRITERIA, Measure, Overall, kinds,
};

/// What `tags` says of them.
pub const TAG: (&str, &str) = ("criteria", "低效用地认定标准（查询人员可看，编辑人员维护本级的）");

/// `/criteria`, one set of it, and the verdict on a parcel.
pub fn paths(paths: &mut Map<String, Value>) {
    let all = operation("list_criteria", "有哪些认定标准，按行政区划和年度")
        .parameters(vec![
            text_parameter("division", "行政区划代码：该区划及其下级的标准"),
            year("年度"),
            revision_parameter(),
            limit_parameter(),
            offset_parameter(),
            json_alone(),
        ])
        .answers("200", "一页标准，不含各条", &[(JSON, reference("CriteriaList"))])
        .errors(&["400", "401", "403"]);
    paths.insert("/criteria".into(), all.get());
    let of_set = [(JSON, reference("Criteria"))];
    let read = operation("get_criteria", "一套认定标准；ETag 中有它的版本")
        .parameters([key(), vec![revision_parameter(), json_alone()]].concat())
        .answers("200", "认定标准", &of_set)
        .errors(&["400", "401", "403", "404"]);
    let body = json!({"required": true, "content": {JSON: {"schema": reference("EditCriteria")}}});
    let refused = ["400", "401", "403", "404", "409", "413", "415", "428"];
    let stale = json!({
        "description": "取得之后又有变动，或已经存在；current 是现在的标准",
        "content": {"application/problem+json": {"schema": reference("Problem")}},
    });
    let headers = || vec![if_match(), if_none_match(), idempotency_key()];
    let replace = operation("replace_criteria", "登记或整套替换；请求带 If-Match，新登记的带 If-None-Match: *")
        .parameters([key(), headers()].concat())
        .field("requestBody", body)
        .answers("200", "替换后的标准", &of_set)
        .answers("201", "新登记的标准；地址在 Location", &of_set)
        .errors(&refused)
        .response("412", stale.clone());
    let end = operation("end_criteria", "删除一套标准；沿革中仍可查到")
        .parameters([key(), vec![if_match(), idempotency_key()]].concat())
        .response("204", json!({"description": "已删除"}))
        .errors(&["400", "401", "403", "404", "409", "428"])
        .response("412", stale);
    let set = json!({"get": read.0, "put": replace.0, "delete": end.0});
    paths.insert("/criteria/{division}/{year}".into(), set);
    let layer = Ledger::LowEfficiency.layer();
    let judge = operation(&format!("judge_item_{layer}"), "低效用地：按适用的认定标准逐条判断一宗地，并与台账比对")
        .parameters(vec![
            segment("featureId", "记录标识", "430121-001"),
            year("标准年度；不给时为地块的认定标准年份"),
            revision_parameter(),
            json_alone(),
        ])
        .answers("200", "结论与逐条判断；没有适用的标准时 set 为 null", &[(JSON, reference("ParcelVerdict"))])
        .errors(&["400", "401", "403", "404"]);
    paths.insert(format!("/collections/{layer}/items/{{featureId}}/criteria"), judge.get());
}

fn operation(id: &str, what: &str) -> Operation {
    Operation::new(id, TAG.0, what).field("security", security())
}

fn key() -> Vec<Value> {
    vec![segment("division", "行政区划代码：县区、市州或省", "430121"), segment("year", "年度", "2025")]
}

fn year(title: &str) -> Value {
    query("year", title, json!({"type": "integer", "minimum": 1949, "maximum": 2200}))
}

pub(super) fn json_alone() -> Value {
    query("f", "表示形式", json!({"type": "string", "enum": ["json"]}))
}

fn header(name: &str, title: &str, example: &str) -> Value {
    json!({
        "name": name, "in": "header", "required": false, "description": title, "schema": {"type": "string"},
        "example": example,
    })
}

pub(super) fn if_match() -> Value {
    header("If-Match", "取得该标准时的 ETag；没有时 428，已有变动时 412", "\"v12-0a1b\"")
}

pub(super) fn if_none_match() -> Value {
    header("If-None-Match", "*：新登记，已有时 412", "*")
}

pub(super) fn idempotency_key() -> Value {
    let title = "客户端自定的请求标识，1 至 200 个 ASCII 字符；一天内重发同一请求不会再写一次";
    header("Idempotency-Key", title, "7f0c2c4e-5d0b-4a8e-9a53-2f6d1c0b7e12")
}

/// Sets, their criteria, and verdicts.
pub fn schemas() -> Schemas {
    let links = || list(reference("Link"));
    let head = |criteria: Value| {
        json!({
            "division": text("行政区划代码"), "name": text("行政区划"), "year": whole("年度"),
            "version": whole("版本，即 ETag 中 v 之后的数"), "source": text("来自哪个请求或文件"), "criteria": criteria,
        })
    };
    let mut summary = head(whole("条数"));
    summary["href"] = text("地址");
    let all = json!({
        "numberMatched": whole("符合条件的总数"), "numberReturned": whole("本页的数目"),
        "sets": list(object(&["division", "name", "year", "version", "source", "criteria", "href"], summary)),
        "links": links(),
    });
    let criteria = || json!({"type": "array", "maxItems": MAX_CRITERIA, "items": reference("Criterion")});
    let mut set = head(criteria());
    set["links"] = links();
    let edit = json!({"criteria": criteria()});
    vec![
        ("CriteriaList", object(&["numberMatched", "numberReturned", "sets", "links"], all)),
        ("Criteria", object(&["division", "name", "year", "version", "source", "criteria", "links"], set)),
        ("EditCriteria", object(&["criteria"], edit)),
        ("Criterion", criterion()),
        ("ParcelVerdict", verdict()),
    ]
}

fn criterion() -> Value {
    let names: Vec<&str> = Measure::all().map(Measure::name).collect();
    let number = |title: &str| json!({"type": "number", "title": title, "nullable": true});
    let threshold = json!({
        "title": "阈值：数、是否，或文字的列表",
        "anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "string"}, list(json!({"type": "string"}))],
    });
    let members = json!({
        "number": whole("编号，同一套内不重复"),
        "title": text("标准名称"),
        "kind": one_of("低效类型", kinds()),
        "field": one_of("指标", &names),
        "comparison": one_of("比较", &Comparison::ALL.map(Comparison::as_str)),
        "threshold": threshold,
        "unit": text_or_null("单位，按文件所写：万元/亩、万元/公顷、% 等；有参照值时为 % 或 倍"),
        "reference_value": number("参照值，例如全县平均"),
        "reference_unit": text_or_null("参照值的单位"),
        "reference_source": text_or_null("参照值的来源"),
        "group": text_or_null("组；没有时自成一组"),
        "combination": one_of("同组各条的关系：任一或全部", &Combination::ALL.map(Combination::as_str)),
        "document": text_or_null("依据文号"),
        "note": text_or_null("备注"),
    });
    object(&["number", "title", "kind", "field", "comparison", "threshold"], members)
}

fn word(title: &str, words: &[&str]) -> Value {
    let mut word = object(&["code", "label"], json!({"code": one_of("代码", words), "label": text("中文")}));
    word["title"] = json!(title);
    word
}

fn or_null(mut schema: Value) -> Value {
    schema["nullable"] = json!(true);
    schema
}

fn verdict() -> Value {
    let answers = [Answer::Met, Answer::NotMet, Answer::CannotTell].map(Answer::as_str);
    let overall = [Overall::LowEfficient, Overall::NotLowEfficient, Overall::Undecided].map(Overall::as_str);
    let value = json!({
        "title": "地块的值；没有填写时为 null",
        "anyOf": [{"type": "string", "nullable": true}, {"type": "number"}, {"type": "boolean"}],
    });
    let one = json!({
        "number": whole("编号"), "title": text("标准名称"), "kind": text("低效类型"), "group": text_or_null("组"),
        "combination": text("同组各条的关系"), "field": text("指标"), "field_title": text("指标名称"), "value": value,
        "unit": text_or_null("台账的单位"), "comparison": text("比较"), "threshold": text("阈值，含换算"),
        "answer": word("判断", &answers), "group_holds": yes_or_no("所在的组成立"), "sentence": text("一句话"),
        "document": text_or_null("依据文号"),
    });
    let set = object(
        &["division", "name", "year", "version"],
        json!({"division": text("行政区划代码"), "name": text("行政区划"), "year": whole("年度"), "version": whole("版本")}),
    );
    let flag = |title: &str| json!({"type": "boolean", "title": title, "nullable": true});
    let year = |title: &str| json!({"type": "integer", "title": title, "nullable": true});
    let paper = json!({
        "is_low_efficiency": flag("是否低效"), "low_efficiency_kind": text_or_null("低效类型"),
        "criteria_year": year("认定标准年份"),
    });
    let all = json!({
        "id": text("记录标识"), "county_code": text("县区代码"), "year": year("所用的年度"),
        "paper": object(&["is_low_efficiency", "low_efficiency_kind", "criteria_year"], paper),
        "set": or_null(set), "verdict": or_null(word("结论", &overall)),
        "kinds": list(text("标准所指的低效类型")), "missing": list(text("可能改变结论而没有填写的指标")),
        "criteria": list(object(&["number", "title", "field", "threshold", "answer", "sentence"], one)),
        "agreement": word("与台账比对", &Agreement::ALL.map(Agreement::as_str)),
        "agrees": flag("台账与标准一致；不能判断或台账没有填写时为 null"),
        "sentence": text("一句话"), "links": list(reference("Link")),
    });
    let needed =
        ["id", "county_code", "paper", "set", "verdict", "criteria", "agreement", "agrees", "sentence", "links"];
    object(&needed, all)
}
