//! `sizhi criteria`: a bureau's table in, out and in again; what is wrong with it, by row and cell.

use std::path::Path;
use std::process::{Command, Output};

use encoding_rs::GBK;
use serde_json::{Value, json};

use crate::support::{Database, binary, files, root};

async fn criteria(db: &Database, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("criteria").args(arguments).env("DATABASE_URL", db.url().await);
    tokio::task::spawn_blocking(move || command.output().expect("sizhi runs")).await.expect("joined")
}

/// `criteria import FILE --json …`: the exit code and what was printed.
async fn import(db: &Database, path: &Path, arguments: &[&str]) -> (i32, Value) {
    let path = path.to_str().expect("UTF-8");
    let output = criteria(db, &[&["import", path, "--json"][..], arguments].concat()).await;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let parsed = serde_json::from_str(&printed);
    let document = parsed.unwrap_or_else(|_| panic!("{printed}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().expect("a code"), document)
}

fn example() -> String {
    std::fs::read_to_string(root().join("fixtures/criteria/example.csv")).expect("fixture")
}

/// All criteria by SQL, one line each.
async fn stored(db: &Database) -> Vec<String> {
    db.column(
        "SELECT concat_ws('|', s.division_code, s.year, c.number, c.kind, c.field, c.comparison, c.threshold_number, c.threshold_flag,
                array_to_string(c.threshold_texts, '+'), c.unit, c.reference_value, c.reference_unit, c.reference_source, c.group_name,
                c.combination, c.document)
         FROM low_efficiency_criteria_set s JOIN low_efficiency_criterion c ON c.set_id = s.id ORDER BY c.id",
    )
    .await
}

const EXAMPLE: [&str; 8] = [
    "430000|2025|1|部分闲置类|production_stopped|eq|t|any|示意〔2025〕0号",
    "430100|2025|1|产业淘汰类|industry|in|造纸+印染|any|示意〔2025〕1号",
    "430100|2025|2|部分闲置类|production_stopped|eq|t|any|示意〔2025〕1号",
    "430121|2024|1|产出低下类|fixed_investment_per_ha|lt|1500|元/平方米|any|示意〔2024〕2号",
    "430121|2025|1|产出低下类|tax_per_ha|lt|60|%|12.5|万元/亩|示意的全县平均|甲|all|示意〔2025〕2号",
    "430121|2025|2|产出低下类|floor_area_ratio|lt|0.8|甲|all|示意〔2025〕2号",
    "430121|2025|3|部分闲置类|building_density|le|0.3|比例|any|示意〔2025〕2号",
    "430121|2025|4|部分闲置类|production_stopped|eq|t|any|示意〔2025〕2号",
];

#[tokio::test]
async fn a_bureaus_table_comes_in_whole_and_the_same_again_changes_nothing() {
    let db = Database::with_sample().await;
    let path = files::write("criteria-example.csv", example());
    let before: i64 = db.value("SELECT max(number) FROM revision").await;
    let (code, dry) = import(&db, &path, &["--dry-run"]).await;
    let set = |division: &str, year: i32, criteria: usize, change: &str| json!({"division": division, "year": year, "criteria": criteria, "change": change});
    let expected = |change: &str| {
        json!([
            set("430000", 2025, 1, change),
            set("430100", 2025, 2, change),
            set("430121", 2024, 1, change),
            set("430121", 2025, 4, change),
        ])
    };
    assert_eq!(code, 0, "{dry}");
    assert_eq!((&dry["status"], &dry["sets"], &dry["revision"]), (&json!("ready"), &expected("insert"), &Value::Null));
    assert_eq!(
        db.value::<i64>("SELECT count(*) FROM low_efficiency_criteria_set").await,
        0,
        "a dry run writes nothing"
    );
    let (code, done) = import(&db, &path, &["--actor", "zhang"]).await;
    assert_eq!((code, &done["revision"], &done["findings"]), (0, &json!(before + 1), &json!([])), "{done}");
    assert_eq!(stored(&db).await, EXAMPLE);
    let log: Vec<String> =
        db.column("SELECT concat_ws('|', actor, reason, source) FROM revision ORDER BY number DESC LIMIT 1").await;
    assert_eq!(log, ["zhang|导入低效用地认定标准 criteria-example.csv|criteria-example.csv"]);
    // In another encoding it is the same table.
    let text = example();
    let (gbk, _, lossy) = GBK.encode(&text);
    assert!(!lossy);
    let gbk = files::write("criteria-gbk.csv", &gbk);
    let bom = files::write("criteria-bom.csv", format!("\u{FEFF}{}", example()));
    for (path, encoding) in [(&path, "utf-8"), (&gbk, "gbk"), (&bom, "utf-8-bom")] {
        let (code, again) = import(&db, path, &[]).await;
        assert_eq!((code, &again["status"], &again["encoding"]), (0, &json!("unchanged"), &json!(encoding)), "{again}");
        assert_eq!(again["sets"], expected("unchanged"));
    }
    assert_eq!(db.value::<i64>("SELECT max(number) FROM revision").await, before + 1);
}

#[tokio::test]
async fn what_is_exported_reads_back_unchanged() {
    let db = Database::with_sample().await;
    let example =
        files::write("criteria-out.csv", example().replace("停产（示意）,部分闲置类,停产", "=停产,部分闲置类,停产"));
    assert_eq!(import(&db, &example, &[]).await.0, 0);
    let before = stored(&db).await;
    let written: String = db.value("SELECT title FROM low_efficiency_criterion WHERE id = '430121-2025@4'").await;
    assert_eq!(written, "=停产");
    for (format, encoding) in [("csv", "utf-8"), ("csv", "gbk"), ("xlsx", "utf-8")] {
        let out = files::write(&format!("criteria-{encoding}.{format}"), "");
        let name = out.to_str().expect("UTF-8");
        let refused = criteria(&db, &["export", "--format", format, "--output", name]).await;
        assert_eq!(refused.status.code(), Some(3), "a file that is there stays");
        let arguments = ["export", "--format", format, "--encoding", encoding, "--output", name, "--force"];
        let output = criteria(&db, &arguments).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.starts_with("✓ 已导出 4 套 8 条，"), "{told}");
        let (code, again) = import(&db, &out, &[]).await;
        assert_eq!((code, &again["status"]), (0, &json!("unchanged")), "{format}: {again}");
        // Into a register that has none.
        let other = Database::with_sample().await;
        let (code, anew) = import(&other, &out, &[]).await;
        assert_eq!((code, &anew["findings"]), (0, &json!([])), "{format}");
        assert_eq!(stored(&other).await, before, "{format}");
    }
    let listed = criteria(&db, &["list", "--division", "430100", "--year", "2025", "--json"]).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let names: Vec<(&str, i64)> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|set| (set["division"].as_str().expect("code"), set["criteria"].as_i64().expect("count")))
        .collect();
    assert_eq!(names, [("430100", 2), ("430121", 4)], "the division and what lies below it");
    let bad = criteria(&db, &["list", "--year", "25"]).await;
    assert_eq!(bad.status.code(), Some(3));
}

#[tokio::test]
async fn one_fault_refuses_the_whole_table_and_each_is_named_by_row_and_cell() {
    let db = Database::with_sample().await;
    let head = "行政区划,年度,编号,名称,类型,指标,比较,阈值,单位,参照值,参照单位,组,组合方式,颜色\n";
    let good = "430121,2025,1,甲,产出低下类,地均税收,<,8.3,万元/亩,,,,,\n";
    for (rows, code, row, field) in [
        ("999999,2025,2,乙,产出低下类,地均税收,<,8.3,万元/亩,,,,,\n", "division_unknown", 3, "行政区划"),
        (",2025,2,乙,产出低下类,地均税收,<,8.3,万元/亩,,,,,\n", "division_unknown", 3, "行政区划"),
        ("430121,明年,2,乙,产出低下类,地均税收,<,8.3,万元/亩,,,,,\n", "value_invalid", 3, "年度"),
        ("430121,2025,,乙,产出低下类,地均税收,<,8.3,万元/亩,,,,,\n", "criterion_incomplete", 3, "编号"),
        ("430121,2025,1,乙,产出低下类,地均税收,<,8.3,万元/亩,,,,,\n", "criterion_number_duplicate", 3, "编号"),
        ("430121,2025,2,乙,低效,地均税收,<,8.3,万元/亩,,,,,\n", "value_invalid", 3, "类型"),
        ("430121,2025,2,乙,产出低下类,利润,<,8.3,万元/亩,,,,,\n", "criterion_field_unknown", 3, "指标"),
        ("430121,2025,2,乙,产出低下类,停产,<,是,,,,,,\n", "criterion_comparison_invalid", 3, "比较"),
        ("430121,2025,2,乙,产出低下类,地均税收,<,八点三,万元/亩,,,,,\n", "value_invalid", 3, "阈值"),
        ("430121,2025,2,乙,产出低下类,地均税收,<,8.3,万元,,,,,\n", "criterion_unit_invalid", 3, "单位"),
        ("430121,2025,2,乙,产出低下类,地均税收,<,60,%,12.5,亩,,,\n", "criterion_unit_invalid", 3, "参照单位"),
        ("430121,2025,2,乙,产出低下类,地均税收,<,8.3,万元/亩,,,,全部,\n", "criterion_group_invalid", 3, "组"),
        (
            "430121,2025,2,乙,产出低下类,容积率,<,1,,,,甲,全部,\n430121,2025,3,丙,产出低下类,容积率,<,1,,,,甲,任一,\n",
            "criterion_group_invalid",
            4,
            "组合方式",
        ),
    ] {
        let path = files::write("criteria-bad.csv", format!("{head}{good}{rows}"));
        let (exit, refused) = import(&db, &path, &[]).await;
        assert_eq!((exit, &refused["status"], &refused["revision"]), (3, &json!("refused"), &Value::Null), "{rows}");
        let findings = refused["findings"].as_array().expect("findings");
        let errors: Vec<(&Value, &Value, &Value)> = findings
            .iter()
            .filter(|finding| finding["severity"] == "error")
            .map(|finding| (&finding["code"], &finding["row"], &finding["field"]))
            .collect();
        assert_eq!(errors, [(&json!(code), &json!(row), &json!(field))], "{rows}: {refused}");
        let ignored: Vec<&Value> =
            findings.iter().filter(|f| f["code"] == "column_unknown").map(|f| &f["field"]).collect();
        assert_eq!(ignored, ["颜色"]);
    }
    for (text, code) in [
        ("行政区划,年度,编号,名称,类型,比较,阈值\n430121,2025,1,甲,产出低下类,<,1\n".to_owned(), "column_missing"),
        (format!("{}\n", head.trim_end().replace("颜色", "年份")), "column_ambiguous"),
        (head.to_owned(), "criteria_empty"),
        (String::new(), "file_empty"),
        (
            format!("{head}{}", (1..=201).map(|n| good.replace(",1,甲", &format!(",{n},甲"))).collect::<String>()),
            "criteria_too_many",
        ),
    ] {
        let path = files::write("criteria-shape.csv", text);
        let (exit, refused) = import(&db, &path, &[]).await;
        let codes: Vec<&Value> = refused["findings"].as_array().expect("findings").iter().map(|f| &f["code"]).collect();
        assert!(exit == 3 && codes.contains(&&json!(code)), "{code}: {refused}");
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM low_efficiency_criterion").await, 0);
    let path = files::write("criteria-old.xls", [0xD0, 0xCF, 0x11, 0xE0, 0, 0]);
    let refused = criteria(&db, &["import", path.to_str().expect("UTF-8")]).await;
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(3) && told.contains("format_unknown"), "{told}");
    let gone = criteria(&db, &["import", "no-such-file.csv"]).await;
    assert!(gone.status.code() == Some(1) && String::from_utf8_lossy(&gone.stderr).contains("file_not_found"));
}

#[tokio::test]
async fn a_table_replaces_the_sets_that_it_names_and_no_other() {
    let db = Database::with_sample().await;
    assert_eq!(import(&db, &files::write("criteria-first.csv", example()), &[]).await.0, 0);
    let head = "行政区划,年度,编号,名称,类型,指标,比较,阈值,单位\n";
    let one = files::write(
        "criteria-one.csv",
        format!("{head}长沙县,2025,3,建筑密度偏低（示意）,部分闲置类,建筑密度,≤,30,％\n"),
    );
    let (code, done) = import(&db, &one, &[]).await;
    assert_eq!((code, &done["sets"][0]["change"]), (0, &json!("update")), "{done}");
    let mut expected: Vec<&str> = EXAMPLE[..4].to_vec();
    expected.push("430121|2025|3|部分闲置类|building_density|le|30|%|any");
    assert_eq!(stored(&db).await, expected);
    let sound = std::process::Command::new(binary())
        .args(["audit", "verify"])
        .env("DATABASE_URL", db.url().await)
        .output()
        .expect("sizhi runs");
    assert!(sound.status.success(), "{}", String::from_utf8_lossy(&sound.stdout));
}
