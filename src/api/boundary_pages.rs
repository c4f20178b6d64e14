//! The assessment of a boundary change as a page to print: the arithmetic, land and parcels, 四至, conflicts, a drawing.

use std::fmt::Write as _;

use serde_json::Value;

use super::drawing::Drawing;
use super::html;
use crate::domain::overlap_check::Weight;
use crate::inventory::boundary_change::assess::Assessment;
use crate::inventory::boundary_change::assess::land::Side;
use crate::inventory::boundary_change::{Detail, wire};
use crate::inventory::overlap_check::wire::layer_title;

/// Rows of a table.
const LISTED: usize = 500;

const STYLE: &str = "<style>
.plan{width:100%;max-height:32rem;border:1px solid var(--line)}.plan path{stroke-width:1.5;vector-effect:non-scaling-stroke}
.current{fill:none;stroke:var(--ink);stroke-opacity:.6;stroke-dasharray:4 3}.proposed{fill:none;stroke:var(--link);stroke-width:2.5}
.removed{fill:var(--bad);fill-opacity:.4;stroke:none}.added{fill:var(--good);fill-opacity:.4;stroke:none}
@media print{header,footer,.noprint{display:none}body{font-size:11px}main{max-width:none;padding:0}table{font-size:9.5px}tr{break-inside:avoid}.scroll{overflow:visible}.plan{max-height:12cm}
th,td,td.long,td:not(.n){min-width:0;white-space:normal}}@page{size:A4 landscape;margin:12mm}
</style>";

/// The body of the page.
pub fn assessment(detail: &Detail, assessment: &Assessment, url: &str) -> String {
    let document = Value::Object(wire::assessment(assessment));
    let mut body = String::from(STYLE);
    body.push_str(&facts(detail, assessment));
    let _ = write!(
        body,
        "<p class=\"noprint\"><a class=\"choice\" href=\"{0}?f=geojson\" download>GeoJSON</a></p>",
        html::escape(url)
    );
    body.push_str(&arithmetic(assessment));
    body.push_str(&findings(&document));
    body.push_str(&drawing(assessment));
    body.push_str(&blocks(assessment));
    body.push_str(&classes(&document));
    body.push_str(&parcels(&document));
    body.push_str(&extremes(&document));
    body.push_str(&four_extents(&document));
    body.push_str(&conflicts(&document));
    body.push_str(&steps(detail));
    body
}

fn facts(detail: &Detail, assessment: &Assessment) -> String {
    let change = &detail.change;
    let fact = |name: &str, text: String| (name.to_owned(), html::escape(&text));
    let mut facts = vec![
        fact("编号", change.id.clone()),
        fact("园区", format!("{}（{}）", change.park_name, change.park)),
        fact("类型", change.kind.label().to_owned()),
        fact("状态", format!("{}（{}）", change.state.label(), change.state_on)),
    ];
    if let (Some(from), Some(until)) = (change.notice_from, change.notice_until) {
        facts.push(fact("公示", format!("{from} 至 {until}")));
    }
    if let Some(on) = change.effective_on {
        facts.push(fact("生效", on.to_string()));
    }
    facts.extend(change.reason.iter().map(|reason| fact("理由", reason.clone())));
    facts.push(fact("评估依据", format!("登记库修订 {}，{}", assessment.revision, assessment.on)));
    facts.push(fact("面积口径", "椭球面积（CGCS2000）；文件面积以公顷计，精确到文件的位数".to_owned()));
    html::definitions(&facts)
}

fn arithmetic(assessment: &Assessment) -> String {
    let (areas, land) = (&assessment.areas, &assessment.land);
    let hectares = |m2: f64| format!("{:.4}", m2 / 10_000.0);
    let row = |name: &str, stated: String, m2: f64| vec![name.to_owned(), stated, hectares(m2), format!("{m2:.2}")];
    let rows = vec![
        row("调整前", areas.before.to_string(), land.before_m2),
        row("− 调出", areas.out.to_string(), land.m2(Side::Out)),
        row("+ 新扩入", areas.added.to_string(), land.m2(Side::In)),
        row("= 调整后", areas.after.to_string(), land.after_m2),
    ];
    let table = html::table_of("面积", &["", "文件（公顷）", "计算（公顷）", "计算（m²）"], &[1, 2, 3], &rows);
    format!(
        "<h2>面积</h2>{table}<p class=\"muted\">计算的四项相差 {:.4} m²：椭球面积公式取每条边的中经度，边被切开后各段之和与整条边略有不同。</p>",
        land.closing_m2()
    )
}

fn text(value: &Value) -> String {
    html::escape(&html::text_of(value))
}

fn number(value: &Value, decimals: usize) -> String {
    value.as_f64().map_or_else(|| "—".to_owned(), |number| format!("{number:.decimals$}"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn findings(document: &Value) -> String {
    let rows: Vec<Vec<String>> =
        list(&document["findings"]).map(|f| vec![text(&f["code"]), text(&f["message"])]).collect();
    match rows.is_empty() {
        true => String::new(),
        false => format!("<h2>需要核对</h2>{}", html::table("需要核对", &["代码", "说明"], &rows)),
    }
}

fn blocks(assessment: &Assessment) -> String {
    let rows: Vec<Vec<String>> = assessment
        .blocks
        .iter()
        .map(|b| {
            let name = b.name.as_deref().unwrap_or("—");
            let measured = if b.surveyed { "实测" } else { "未注明实测" };
            vec![
                html::escape(&b.number),
                html::escape(name),
                b.stated_area.to_string(),
                format!("{:.4}", b.area_m2 / 10_000.0),
                measured.to_owned(),
            ]
        })
        .collect();
    let head = ["区块", "名称", "文件（公顷）", "计算（公顷）", "界线"];
    format!("<h2>拟议区块</h2>{}", html::table_of("拟议区块", &head, &[2, 3], &rows))
}

fn classes(document: &Value) -> String {
    let mut body = String::from("<h2>按地类</h2>");
    for (side, label) in [("out", "调出"), ("in", "新扩入")] {
        let of_side = &document["land_classes"][side];
        let area = |area: &Value| [number(&area["m2"], 2), number(&area["ha"], 4), number(&area["mu"], 2)];
        let mut rows: Vec<Vec<String>> = list(&of_side["classes"])
            .map(|c| {
                let ledger = layer_title(&text(&c["ledger"])).to_owned();
                let what = [ledger, text(&c["land_use_system"]), text(&c["land_use_code"]), text(&c["parcels"])];
                what.into_iter().chain(area(&c["area"])).collect()
            })
            .collect();
        let other = |name: &str, area: [String; 3]| {
            [name.to_owned(), String::new(), String::new(), String::new()].into_iter().chain(area).collect()
        };
        rows.push(other("无地块", area(&of_side["no_parcel"])));
        // (Less than a hundredth of a square metre would be printed as 0: the rounding of cut edges.)
        if let Some(m2) = of_side["in_several_m2"].as_f64().filter(|m2| *m2 >= 0.005) {
            let area = [format!("{m2:.2}"), format!("{:.4}", m2 / 10_000.0), format!("{:.2}", m2 * 0.0015)];
            rows.push(other("其中重复计入（在不止一宗地块内）", area));
        }
        let head = ["台账", "地类标准", "地类", "宗数", "m²", "公顷", "亩"];
        let _ = write!(body, "<h3>{label}</h3>{}", html::table_of(label, &head, &[3, 4, 5, 6], &rows));
        if let Some(why) = of_side["no_parcel_unknown"].as_str() {
            let _ = write!(body, "<p class=\"warning\">无地块的面积没有计算：{}。</p>", html::escape(why));
        }
    }
    body
}

fn parcels(document: &Value) -> String {
    let parcels = &document["parcels"];
    let row = |p: &Value| {
        let whole = |value: &Value| if value == &Value::Bool(true) { "整宗" } else { "部分" };
        let side = |area: &Value, is_whole: &Value| match area["m2"].as_f64() {
            Some(m2) if m2 > 0.0 => format!("{:.2}（{}，{}）", m2, number(&area["mu"], 2), whole(is_whole)),
            _ => "—".to_owned(),
        };
        let percent = |share: &Value| share.as_f64().map_or_else(String::new, |share| format!("{:.2}%", share * 100.0));
        vec![
            text(&p["id"]),
            text(&p["name"]),
            text(&p["land_use_code"]),
            text(&p["fate_label"]),
            side(&p["out"], &p["out_whole"]),
            side(&p["in"], &p["in_whole"]),
            percent(&p["share_before"]),
            percent(&p["share_after"]),
        ]
    };
    let matched = parcels["matched"].as_u64().unwrap_or_default();
    if matched == 0 {
        return "<h2>地块</h2><p>没有地块调出或调入。</p>".to_owned();
    }
    let rows: Vec<Vec<String>> = list(&parcels["list"]).take(LISTED).map(row).collect();
    let head = ["标识", "名称", "地类", "变化", "调出 m²（亩）", "新扩入 m²（亩）", "调整前占比", "调整后占比"];
    let left_out = matched.saturating_sub(rows.len() as u64);
    let note = if left_out > 0 { format!("，另有 {left_out} 宗未列出") } else { String::new() };
    format!("<h2>地块</h2><p>共 {matched} 宗{note}。</p>{}", html::table_of("地块", &head, &[4, 5, 6, 7], &rows))
}

fn extremes(document: &Value) -> String {
    let row = |(name, label): (&str, &str)| {
        let at = |when: &str| {
            let vertex = &document["extremes"][when][name];
            match vertex.is_null() {
                true => "—".to_owned(),
                false => format!("{} {}", text(&vertex["longitude_dms"]), text(&vertex["latitude_dms"])),
            }
        };
        vec![label.to_owned(), at("before"), at("after")]
    };
    let sides = [("east", "最东"), ("south", "最南"), ("west", "最西"), ("north", "最北")];
    let rows: Vec<Vec<String>> = sides.into_iter().map(row).collect();
    format!("<h2>坐标四至</h2>{}", html::table("坐标四至", &["", "调整前", "调整后"], &rows))
}

fn four_extents(document: &Value) -> String {
    let mut body = String::from("<h2>四至建议</h2>");
    for block in list(&document["four_extents"]) {
        let _ = write!(body, "<h3>区块{}</h3><p>{}</p>", text(&block["number"]), text(&block["text"]));
        let mut rows = Vec::new();
        for side in list(&block["sides"]) {
            rows.extend(list(&side["candidates"]).map(|c| {
                vec![
                    text(&side["side_label"]),
                    text(&c["kind_label"]),
                    text(&c["name"]),
                    number(&c["distance_m"], 2),
                    format!("{}° {}", number(&c["bearing_deg"], 1), text(&c["bearing"])),
                    remarks(c),
                ]
            }));
        }
        body.push_str(&html::table_of("四至", &["侧", "类别", "名称", "距离（米）", "方位", "说明"], &[3], &rows));
    }
    body.push_str("<p class=\"muted\">四至文字仅供参考，以批准文件为准。横穿界线的道路、河流、行政区界只列出，不写入四至文字。</p>");
    body
}

/// What a name and a distance do not say of a candidate.
fn remarks(candidate: &Value) -> String {
    let says = |name: &str| candidate[name] == Value::Bool(true);
    let told = [(says("illustrative"), "示意"), (says("crossing"), "横穿界线，不作四至")];
    told.into_iter().filter(|(is_so, _)| *is_so).map(|(_, word)| word).collect::<Vec<_>>().join("；")
}

fn conflicts(document: &Value) -> String {
    let conflicts = &document["conflicts"];
    let row = |c: &Value| {
        let layer = layer_title(&text(&c["collection"])).to_owned();
        vec![text(&c["weight_label"]), text(&c["class_label"]), layer, text(&c["message"]), text(&c["rule"])]
    };
    let rows: Vec<Vec<String>> = list(&conflicts["list"]).take(LISTED).map(row).collect();
    let of_weight = |weight: &Weight| (weight.label(), conflicts["by_weight"][weight.as_str()].as_u64().unwrap_or(0));
    let counts: Vec<(&str, u64)> = Weight::ALL.iter().map(of_weight).collect();
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let left_out = total.saturating_sub(rows.len() as u64);
    let by_weight: Vec<String> = counts.iter().map(|(label, count)| format!("{label} {count} 项")).collect();
    let note = if left_out > 0 { format!("；另有 {left_out} 项未列出") } else { String::new() };
    let totals = match total {
        0 => String::new(),
        _ => format!("<p>共 {total} 项：{}{note}。</p>", by_weight.join("、")),
    };
    let complete = conflicts["complete"] == Value::Bool(true);
    let warning = match complete {
        true => "",
        false => "<p class=\"warning\">没有全部比较或没有全部列出：不能据此认为其余没有冲突。</p>",
    };
    let table = match (rows.is_empty(), complete) {
        (true, true) => "<p>与所比较的图层没有重叠、缝隙或相接。</p>".to_owned(),
        (true, false) => String::new(),
        _ => html::table("冲突", &["等级", "性质", "图层", "说明", "管控要求"], &rows),
    };
    format!("<h2>冲突检查</h2>{warning}{totals}{table}")
}

fn steps(detail: &Detail) -> String {
    let rows: Vec<Vec<String>> = detail
        .steps
        .iter()
        .map(|step| {
            let label = crate::domain::boundary_change::State::parse(&step.to_state).map_or("", |state| state.label());
            let cell = |text: &Option<String>| html::escape(text.as_deref().unwrap_or_default());
            vec![
                step.happened_on.to_string(),
                label.to_owned(),
                cell(&step.document_no),
                cell(&step.document_title),
                cell(&step.note),
                html::escape(&step.actor),
            ]
        })
        .collect();
    format!("<h2>办理过程</h2>{}", html::table("办理过程", &["日期", "步骤", "文号", "文件", "说明", "经办"], &rows))
}

/// Current and proposed borders, land that goes and comes.
fn drawing(assessment: &Assessment) -> String {
    let current = assessment.standing.blocks.iter().map(|b| &b.boundary);
    let proposed = assessment.blocks.iter().map(|b| &b.boundary);
    let drawing = Drawing::around(current.clone().chain(proposed.clone()), "调整前后的界线与调出、新扩入的土地");
    let Some(mut drawing) = drawing else { return String::new() };
    for (side, class) in [(Side::Out, "removed"), (Side::In, "added")] {
        for piece in assessment.land.pieces(side) {
            drawing.land(class, &format!("{}：区块{}", side.label(), piece.block), &piece.land);
        }
    }
    current.for_each(|shape| drawing.land("current", "现状", shape));
    proposed.for_each(|shape| drawing.land("proposed", "拟议", shape));
    let width = drawing.width_m();
    drawing.finish(&format!("虚线为现状，蓝线为拟议；红为调出，绿为新扩入。图宽约 {width:.0} 米。"))
}
