//! Reports asked over HTTP, and their tables taken apart.

use serde_json::Value;

use super::Database;
use super::http::get_authorised;

/// The report as the operator sees it.
pub async fn report(db: &Database, path: &str) -> Value {
    let answer = get_authorised(db, &format!("/api/reports/{path}")).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// The table of this name.
#[track_caller]
pub fn table<'a>(report: &'a Value, id: &str) -> &'a Value {
    let tables = report["tables"].as_array().expect("tables");
    tables.iter().find(|table| table["id"] == id).unwrap_or_else(|| panic!("no table {id}: {report}"))
}

#[track_caller]
pub fn rows(table: &Value) -> &Vec<Value> {
    table["rows"].as_array().expect("rows")
}

/// These members of a row, in this order.
pub fn pick(row: &Value, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| row.get(*name).unwrap_or_else(|| panic!("no {name}: {row}")).clone()).collect()
}
