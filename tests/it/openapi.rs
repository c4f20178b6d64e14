//! The OpenAPI document against the service: every path answers, every parameter is accepted, every answer has its shape.

use std::collections::BTreeSet;

use actix_web::http::Method;
use serde_json::{Value, json};
use sizhi::domain::access::Role;

use crate::support::http::{authorised, call, get, get_authorised, link, post, upload};
use crate::support::{Database, accounts, boundary, files, images, parcels};

/// The URL table of `src/api/mod.rs`, as a reader would try it.
const ADDRESSES: [(&str, &str); 178] = [
    ("/livez", "/livez"),
    ("/readyz", "/readyz"),
    ("/metrics", "/metrics"),
    ("/", "/api"),
    ("/conformance", "/api/conformance"),
    ("/openapi.json", "/api/openapi.json"),
    ("/docs", "/api/docs"),
    ("/collections", "/api/collections"),
    ("/collections/parks", "/api/collections/parks"),
    ("/collections/parks/queryables", "/api/collections/parks/queryables"),
    ("/collections/parks/schema", "/api/collections/parks/schema"),
    ("/collections/parks/facets", "/api/collections/parks/facets"),
    ("/collections/parks/items", "/api/collections/parks/items"),
    ("/collections/parks/items/{featureId}", "/api/collections/parks/items/G431176"),
    ("/collections/parks/items/{featureId}/history", "/api/collections/parks/items/G431176/history"),
    ("/collections/parks/changes", "/api/collections/parks/changes?since=0"),
    // In process there is no feed, and no room.
    ("/collections/parks/changes/stream", "/api/collections/parks/changes/stream"),
    ("/collections/park_blocks", "/api/collections/park_blocks"),
    ("/collections/park_blocks/queryables", "/api/collections/park_blocks/queryables"),
    ("/collections/park_blocks/schema", "/api/collections/park_blocks/schema"),
    ("/collections/park_blocks/facets", "/api/collections/park_blocks/facets"),
    ("/collections/park_blocks/items", "/api/collections/park_blocks/items"),
    ("/collections/park_blocks/items/{featureId}", "/api/collections/park_blocks/items/G431176-1"),
    ("/collections/park_blocks/items/{featureId}/history", "/api/collections/park_blocks/items/G431176-1/history"),
    ("/collections/park_blocks/changes", "/api/collections/park_blocks/changes?since=0"),
    // In process there is no feed, and no room.
    ("/collections/park_blocks/changes/stream", "/api/collections/park_blocks/changes/stream"),
    ("/collections/divisions", "/api/collections/divisions"),
    ("/collections/divisions/queryables", "/api/collections/divisions/queryables"),
    ("/collections/divisions/schema", "/api/collections/divisions/schema"),
    ("/collections/divisions/facets", "/api/collections/divisions/facets"),
    ("/collections/divisions/items", "/api/collections/divisions/items"),
    ("/collections/divisions/items/{featureId}", "/api/collections/divisions/items/430100"),
    ("/collections/divisions/items/{featureId}/history", "/api/collections/divisions/items/430100/history"),
    ("/collections/divisions/changes", "/api/collections/divisions/changes?since=0"),
    // In process there is no feed, and no room.
    ("/collections/divisions/changes/stream", "/api/collections/divisions/changes/stream"),
    ("/collections/control_zones", "/api/collections/control_zones"),
    ("/collections/control_zones/queryables", "/api/collections/control_zones/queryables"),
    ("/collections/control_zones/schema", "/api/collections/control_zones/schema"),
    ("/collections/control_zones/facets", "/api/collections/control_zones/facets"),
    ("/collections/control_zones/items", "/api/collections/control_zones/items"),
    ("/collections/control_zones/items/{featureId}", "/api/collections/control_zones/items/control_unit-ZH43012120001"),
    (
        "/collections/control_zones/items/{featureId}/history",
        "/api/collections/control_zones/items/control_unit-ZH43012120001/history",
    ),
    ("/collections/control_zones/changes", "/api/collections/control_zones/changes?since=0"),
    ("/collections/control_zones/changes/stream", "/api/collections/control_zones/changes/stream"),
    ("/collections/control_zones/tiles", "/api/collections/control_zones/tiles"),
    ("/collections/control_zones/tiles/WebMercatorQuad", "/api/collections/control_zones/tiles/WebMercatorQuad"),
    (
        "/collections/control_zones/tiles/WebMercatorQuad/{tileMatrix}/{tileRow}/{tileCol}",
        "/api/collections/control_zones/tiles/WebMercatorQuad/0/0/0",
    ),
    ("/control-zone-kinds", "/api/control-zone-kinds"),
    ("/scenarios", "/api/scenarios"),
    ("/scenarios/{id}", "/api/scenarios/1"),
    ("/scenarios/{id}/evaluation", "/api/scenarios/1/evaluation"),
    ("/scenarios/{id}/features", "/api/scenarios/1/features"),
    ("/scenarios/{id}/overlap-check", "/api/scenarios/1/overlap-check"),
    ("/scenarios/{id}/rebase", "/api/scenarios/1/rebase"),
    ("/scenarios/{id}/apply", "/api/scenarios/1/apply"),
    ("/conflicts", "/api/conflicts"),
    ("/conflicts/{id}", "/api/conflicts/0123456789abcdef0123"),
    ("/conflicts/{id}/marks", "/api/conflicts/0123456789abcdef0123/marks"),
    ("/control-zone-kinds/{code}", "/api/control-zone-kinds/control_unit"),
    ("/control-zones/{id}", "/api/control-zones/control_unit-ZH43012120001"),
    ("/collections/turnover_parcels", "/api/collections/turnover_parcels"),
    ("/collections/turnover_parcels/queryables", "/api/collections/turnover_parcels/queryables"),
    ("/collections/turnover_parcels/schema", "/api/collections/turnover_parcels/schema"),
    ("/collections/turnover_parcels/facets", "/api/collections/turnover_parcels/facets"),
    ("/collections/turnover_parcels/items", "/api/collections/turnover_parcels/items"),
    ("/collections/turnover_parcels/items/{featureId}", "/api/collections/turnover_parcels/items/430121-001"),
    (
        "/collections/turnover_parcels/items/{featureId}/history",
        "/api/collections/turnover_parcels/items/430121-001/history",
    ),
    (
        "/collections/turnover_parcels/items/{featureId}/transitions",
        "/api/collections/turnover_parcels/items/430121-001/transitions",
    ),
    (
        "/collections/turnover_parcels/items/{featureId}/attachments",
        "/api/collections/turnover_parcels/items/430121-001/attachments",
    ),
    (
        "/collections/turnover_parcels/items/{featureId}/attachments/{attachmentId}",
        "/api/collections/turnover_parcels/items/430121-001/attachments/1",
    ),
    ("/collections/turnover_parcels/changes", "/api/collections/turnover_parcels/changes?since=0"),
    ("/collections/turnover_parcels/changes/stream", "/api/collections/turnover_parcels/changes/stream"),
    ("/collections/low_efficiency_parcels", "/api/collections/low_efficiency_parcels"),
    ("/collections/low_efficiency_parcels/queryables", "/api/collections/low_efficiency_parcels/queryables"),
    ("/collections/low_efficiency_parcels/schema", "/api/collections/low_efficiency_parcels/schema"),
    ("/collections/low_efficiency_parcels/facets", "/api/collections/low_efficiency_parcels/facets"),
    ("/collections/low_efficiency_parcels/items", "/api/collections/low_efficiency_parcels/items"),
    (
        "/collections/low_efficiency_parcels/items/{featureId}",
        "/api/collections/low_efficiency_parcels/items/430121-001",
    ),
    (
        "/collections/low_efficiency_parcels/items/{featureId}/history",
        "/api/collections/low_efficiency_parcels/items/430121-001/history",
    ),
    (
        "/collections/low_efficiency_parcels/items/{featureId}/transitions",
        "/api/collections/low_efficiency_parcels/items/430121-001/transitions",
    ),
    (
        "/collections/low_efficiency_parcels/items/{featureId}/criteria",
        "/api/collections/low_efficiency_parcels/items/430121-001/criteria",
    ),
    (
        "/collections/low_efficiency_parcels/items/{featureId}/attachments",
        "/api/collections/low_efficiency_parcels/items/430121-001/attachments",
    ),
    (
        "/collections/low_efficiency_parcels/items/{featureId}/attachments/{attachmentId}",
        "/api/collections/low_efficiency_parcels/items/430121-001/attachments/1",
    ),
    ("/collections/low_efficiency_parcels/changes", "/api/collections/low_efficiency_parcels/changes?since=0"),
    ("/collections/low_efficiency_parcels/changes/stream", "/api/collections/low_efficiency_parcels/changes/stream"),
    ("/collections/redevelopment_plans", "/api/collections/redevelopment_plans"),
    ("/collections/redevelopment_plans/queryables", "/api/collections/redevelopment_plans/queryables"),
    ("/collections/redevelopment_plans/schema", "/api/collections/redevelopment_plans/schema"),
    ("/collections/redevelopment_plans/facets", "/api/collections/redevelopment_plans/facets"),
    ("/collections/redevelopment_plans/items", "/api/collections/redevelopment_plans/items"),
    ("/collections/redevelopment_plans/items/{featureId}", "/api/collections/redevelopment_plans/items/430121-001"),
    (
        "/collections/redevelopment_plans/items/{featureId}/history",
        "/api/collections/redevelopment_plans/items/430121-001/history",
    ),
    (
        "/collections/redevelopment_plans/items/{featureId}/transitions",
        "/api/collections/redevelopment_plans/items/430121-001/transitions",
    ),
    (
        "/collections/redevelopment_plans/items/{featureId}/steps",
        "/api/collections/redevelopment_plans/items/430121-001/steps",
    ),
    (
        "/collections/redevelopment_plans/items/{featureId}/attachments",
        "/api/collections/redevelopment_plans/items/430121-001/attachments",
    ),
    (
        "/collections/redevelopment_plans/items/{featureId}/attachments/{attachmentId}",
        "/api/collections/redevelopment_plans/items/430121-001/attachments/1",
    ),
    ("/collections/redevelopment_plans/changes", "/api/collections/redevelopment_plans/changes?since=0"),
    ("/collections/redevelopment_plans/changes/stream", "/api/collections/redevelopment_plans/changes/stream"),
    (
        "/collections/turnover_parcels/items/{featureId}/lineage",
        "/api/collections/turnover_parcels/items/430121-001/lineage",
    ),
    (
        "/collections/turnover_parcels/items/{featureId}/split",
        "/api/collections/turnover_parcels/items/430121-001/split",
    ),
    ("/collections/turnover_parcels/merge", "/api/collections/turnover_parcels/merge"),
    (
        "/collections/low_efficiency_parcels/items/{featureId}/lineage",
        "/api/collections/low_efficiency_parcels/items/430121-001/lineage",
    ),
    (
        "/collections/low_efficiency_parcels/items/{featureId}/split",
        "/api/collections/low_efficiency_parcels/items/430121-001/split",
    ),
    ("/collections/low_efficiency_parcels/merge", "/api/collections/low_efficiency_parcels/merge"),
    ("/collections/turnover_parcels/transitions", "/api/collections/turnover_parcels/transitions"),
    ("/collections/low_efficiency_parcels/transitions", "/api/collections/low_efficiency_parcels/transitions"),
    ("/collections/redevelopment_plans/transitions", "/api/collections/redevelopment_plans/transitions"),
    ("/revisions/{number}/undo", "/api/revisions/1/undo"),
    ("/parks", "/api/parks"),
    ("/parks/{code}/lineage", "/api/parks/G431176/lineage"),
    ("/parks/{code}/predecessors", "/api/parks/G431176/predecessors?on=2020-01-01"),
    ("/park-events", "/api/park-events"),
    ("/directories", "/api/directories"),
    ("/directories/as-of", "/api/directories/as-of?on=2020-01-01"),
    ("/directories/difference", "/api/directories/difference?from=cn-2018&to=2020-01-01"),
    ("/directories/{directory}", "/api/directories/cn-2018"),
    ("/parks/{code}", "/api/parks/G431176"),
    ("/reports", "/api/reports"),
    ("/reports/turnover-stock", "/api/reports/turnover-stock"),
    ("/reports/approved-not-supplied", "/api/reports/approved-not-supplied"),
    ("/reports/idle", "/api/reports/idle"),
    ("/reports/supply-plan", "/api/reports/supply-plan"),
    ("/reports/low-efficiency-progress", "/api/reports/low-efficiency-progress"),
    ("/reports/low-efficiency-screening", "/api/reports/low-efficiency-screening"),
    ("/reports/quarterly-changes", "/api/reports/quarterly-changes"),
    ("/criteria", "/api/criteria"),
    ("/criteria/{division}/{year}", "/api/criteria/430121/2025"),
    ("/overlap-checks", "/api/overlap-checks"),
    ("/overlap-checks/{id}", "/api/overlap-checks/1"),
    ("/overlap-checks/{id}/cancel", "/api/overlap-checks/1/cancel"),
    ("/overlap-checks/{id}/repeat", "/api/overlap-checks/1/repeat"),
    ("/overlap-checks/{id}/difference", "/api/overlap-checks/2/difference"),
    ("/overlap-checks/{id}/events", "/api/overlap-checks/1/events"),
    ("/overlap-checks/{id}/report", "/api/overlap-checks/1/report?f=geojson"),
    ("/overlap-checks/{id}/findings", "/api/overlap-checks/1/findings"),
    ("/overlap-checks/{id}/findings/{finding}/marks", "/api/overlap-checks/1/findings/1/marks"),
    ("/boundary-changes", "/api/boundary-changes"),
    ("/boundary-changes/{id}", "/api/boundary-changes/BC-2024-0001"),
    ("/boundary-changes/{id}/assessment", "/api/boundary-changes/BC-2024-0001/assessment"),
    ("/boundary-changes/{id}/transitions", "/api/boundary-changes/BC-2024-0001/transitions"),
    ("/imports", "/api/imports"),
    ("/imports/{id}", "/api/imports/3"),
    ("/imports/{id}/commit", "/api/imports/3/commit"),
    ("/imports/{id}/undo", "/api/imports/3/undo"),
    ("/session", "/api/session"),
    ("/session/password", "/api/session/password"),
    ("/accounts", "/api/accounts"),
    ("/accounts/{name}", "/api/accounts/zhang.san"),
    ("/accounts/{name}/password", "/api/accounts/zhang.san/password"),
    ("/accounts/{name}/unlock", "/api/accounts/zhang.san/unlock"),
    ("/tokens", "/api/tokens"),
    ("/tokens/{id}", "/api/tokens/1"),
    // Pages, not part of the interface.
    ("", "/"),
    ("", "/api/"),
    ("", "/favicon.ico"),
    ("/collections/parks/tiles", "/api/collections/parks/tiles"),
    ("/collections/parks/tiles/WebMercatorQuad", "/api/collections/parks/tiles/WebMercatorQuad"),
    (
        "/collections/parks/tiles/WebMercatorQuad/{tileMatrix}/{tileRow}/{tileCol}",
        "/api/collections/parks/tiles/WebMercatorQuad/0/0/0",
    ),
    ("/collections/park_blocks/tiles", "/api/collections/park_blocks/tiles"),
    ("/collections/park_blocks/tiles/WebMercatorQuad", "/api/collections/park_blocks/tiles/WebMercatorQuad"),
    (
        "/collections/park_blocks/tiles/WebMercatorQuad/{tileMatrix}/{tileRow}/{tileCol}",
        "/api/collections/park_blocks/tiles/WebMercatorQuad/0/0/0",
    ),
    ("/collections/divisions/tiles", "/api/collections/divisions/tiles"),
    ("/collections/divisions/tiles/WebMercatorQuad", "/api/collections/divisions/tiles/WebMercatorQuad"),
    (
        "/collections/divisions/tiles/WebMercatorQuad/{tileMatrix}/{tileRow}/{tileCol}",
        "/api/collections/divisions/tiles/WebMercatorQuad/0/0/0",
    ),
    ("/collections/turnover_parcels/tiles", "/api/collections/turnover_parcels/tiles"),
    ("/collections/turnover_parcels/tiles/WebMercatorQuad", "/api/collections/turnover_parcels/tiles/WebMercatorQuad"),
    (
        "/collections/turnover_parcels/tiles/WebMercatorQuad/{tileMatrix}/{tileRow}/{tileCol}",
        "/api/collections/turnover_parcels/tiles/WebMercatorQuad/0/0/0",
    ),
    ("/collections/low_efficiency_parcels/tiles", "/api/collections/low_efficiency_parcels/tiles"),
    (
        "/collections/low_efficiency_parcels/tiles/WebMercatorQuad",
        "/api/collections/low_efficiency_parcels/tiles/WebMercatorQuad",
    ),
    (
        "/collections/low_efficiency_parcels/tiles/WebMercatorQuad/{tileMatrix}/{tileRow}/{tileCol}",
        "/api/collections/low_efficiency_parcels/tiles/WebMercatorQuad/0/0/0",
    ),
    ("/collections/redevelopment_plans/tiles", "/api/collections/redevelopment_plans/tiles"),
    (
        "/collections/redevelopment_plans/tiles/WebMercatorQuad",
        "/api/collections/redevelopment_plans/tiles/WebMercatorQuad",
    ),
    (
        "/collections/redevelopment_plans/tiles/WebMercatorQuad/{tileMatrix}/{tileRow}/{tileCol}",
        "/api/collections/redevelopment_plans/tiles/WebMercatorQuad/0/0/0",
    ),
    ("/tiles", "/api/tiles"),
    ("/tiles/WebMercatorQuad", "/api/tiles/WebMercatorQuad"),
    ("/tiles/WebMercatorQuad/{tileMatrix}/{tileRow}/{tileCol}", "/api/tiles/WebMercatorQuad/0/0/0"),
    ("/tileMatrixSets", "/api/tileMatrixSets"),
    ("/tileMatrixSets/WebMercatorQuad", "/api/tileMatrixSets/WebMercatorQuad"),
];

/// Deeds that want a body, or that have no POST: they have tests of their own (`accounts_http`, `accounts_sessions`).
const NOT_TRIED: [&str; 19] = [
    "/park-events",
    "/session/password",
    "/accounts/{name}/password",
    "/tokens/{id}",
    "/collections/turnover_parcels/items/{featureId}/split",
    "/collections/turnover_parcels/merge",
    "/collections/turnover_parcels/transitions",
    "/collections/low_efficiency_parcels/items/{featureId}/split",
    "/collections/low_efficiency_parcels/merge",
    "/collections/low_efficiency_parcels/transitions",
    "/collections/redevelopment_plans/transitions",
    "/revisions/{number}/undo",
    "/overlap-checks/{id}/cancel",
    "/overlap-checks/{id}/repeat",
    "/conflicts/{id}/marks",
    "/boundary-changes/{id}/transitions",
    "/scenarios/{id}/overlap-check",
    "/scenarios/{id}/rebase",
    "/scenarios/{id}/apply",
];

/// A record of each ledger, each with a move; the plan with a step.
async fn add_records(db: &Database) {
    let (x, y, _) = parcels::inside(db, parcels::PARK).await;
    for (ledger, number, at) in [("turnover_parcels", "地块编号", x), ("low_efficiency_parcels", "宗地编号", x + 0.002)]
    {
        let file =
            parcels::file(&format!("{ledger}.geojson"), &[(json!({number: "001"}), parcels::square(at, y, 0.001))]);
        let imported = db.import(&file, parcels::into(ledger)).await.expect("imported");
        assert!(imported.revision.is_some(), "{:?}", imported.report.findings);
    }
    let plan = json!({"type": "Feature", "properties": {"county_code": parcels::COUNTY, "number": "001", "parcel_id": "430121-001"}});
    done(db, Method::POST, "redevelopment_plans/items", plan).await;
    let steps = json!({"steps": [{"task": "签订协议", "due_on": "2027-01-31"}]});
    done(db, Method::PUT, "redevelopment_plans/items/430121-001/steps", steps).await;
    for (ledger, to) in
        [("redevelopment_plans", "submitted"), ("low_efficiency_parcels", "verified"), ("turnover_parcels", "approved")]
    {
        done(db, Method::POST, &format!("{ledger}/items/430121-001/transitions"), json!({"to": to})).await;
        let path = format!("/api/collections/{ledger}/items/430121-001/attachments");
        let added = call(db, upload(&path, &[("kind", "photo")], "现场.jpg", &images::jpeg())).await;
        assert_eq!(added.status, 201, "{}", added.text());
    }
    db.write(
        "INSERT INTO control_zone (id, kind, number, division_code, management_class, geom, area_m2, source)
         SELECT 'control_unit-ZH43012120001', 'control_unit', 'ZH43012120001', '430121', '重点管控单元', geom, area_m2, '示意' FROM park_block LIMIT 1",
    )
    .await;
    sqlx::raw_sql(
        "INSERT INTO conflict (id, opened_revision, opened_at, changed_revision, changed_at, layer_a, feature_a, layer_b, feature_b, illustrative,
             class, weight, area_m2, share_a, share_b)
         VALUES ('0123456789abcdef0123', 1, now(), 1, now(), 'park_blocks', 'x', 'park_blocks', 'y', false, 'overlap', 'block', 1, 1, 1);
         INSERT INTO conflict_audit (revision, revision_hash) VALUES (1, '')",
    )
    .execute(&db.pool)
    .await
    .expect("conflict");
    let rename = json!({"op": "park_event", "kind": "renamed", "park": "S437001", "name": "天心产业开发区"});
    let scenario = authorised(Method::POST, "/api/scenarios").set_json(json!({"name": "改名", "operations": [rename]}));
    assert_eq!(call(db, scenario).await.status, 201);
    let criterion = json!({
        "number": 1, "title": "停产（示意）", "kind": "部分闲置类", "field": "production_stopped", "comparison": "eq", "threshold": true,
    });
    let set = authorised(Method::PUT, "/api/criteria/430121/2025").insert_header(("if-none-match", "*"));
    let answer = call(db, set.set_json(json!({"criteria": [criterion]}))).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// The operator's deed on the record as it stands.
async fn done(db: &Database, method: Method, path: &str, body: Value) {
    let path = format!("/api/collections/{path}");
    let mut request = authorised(method, &path);
    if let Some((item, _)) = path.split_once("/items/430121-001/") {
        let item = get_authorised(db, &format!("{item}/items/430121-001")).await;
        request = request.insert_header(("if-match", item.header("etag").expect("etag").to_owned()));
    }
    let answer = call(db, request.set_json(body)).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
}

/// The sample, with records of the ledgers, one checked import, an account and its token.
async fn database() -> Database {
    let db = Database::with_sample().await;
    add_records(&db).await;
    let file = files::txt(&[("9", files::square(3_120_000.0, 38_400_000.0, 1_000.0), 100.0)]);
    let answer = call(
        &db,
        upload("/api/imports", &[("layer", "park_blocks"), ("park", "G431176")], "边界.txt", file.as_bytes()),
    )
    .await;
    assert_eq!((answer.status.as_u16(), &answer.json()["id"]), (201, &json!(3)), "{}", answer.text());
    let boundary =
        json!({"type": "Polygon", "coordinates": [[[112.9, 28.2], [112.91, 28.2], [112.91, 28.21], [112.9, 28.2]]]});
    let check = json!({"subject": {"geojson": boundary}, "layers": ["divisions"]});
    for (path, body) in [("", &check), ("/1/repeat", &json!({}))] {
        let request = authorised(Method::POST, &format!("/api/overlap-checks{path}")).set_json(body);
        let answer = call(&db, request).await;
        assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    }
    let block = boundary::block("1", "600", boundary::square(112.9, 28.2, 600.0));
    boundary::proposed(&db, &boundary::proposal("G431176", ["633.30", "33.30", "0", "600"], vec![block])).await;
    accounts::add(&db, "zhang.san", Role::Editor, &["430100"]).await;
    accounts::issue(&db, json!({"account": "zhang.san", "name": "地图"})).await;
    db
}

async fn document(db: &Database) -> Value {
    let answer = get(db, "/api/openapi.json").await;
    assert_eq!(answer.header("content-type"), Some("application/vnd.oai.openapi+json;version=3.0"));
    answer.json()
}

/// Every GET operation with the address to try it at.
fn reads(document: &Value) -> Vec<(&'static str, &Value)> {
    let addresses = ADDRESSES.iter().filter(|(path, _)| !path.is_empty());
    addresses.filter_map(|(path, address)| Some((*address, document["paths"][path].get("get")?))).collect()
}

#[actix_web::test]
async fn the_document_lists_the_url_table_and_every_address_answers() {
    let db = database().await;
    let document = document(&db).await;
    assert_eq!(document["openapi"], "3.0.3");
    assert_eq!(document["servers"], json!([{"url": "http://localhost:8080/api"}]));
    let listed: BTreeSet<&str> = document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    let tried: BTreeSet<&str> = ADDRESSES.iter().map(|(path, _)| *path).filter(|path| !path.is_empty()).collect();
    assert_eq!(listed, tried);
    for (path, address) in ADDRESSES.into_iter().filter(|(path, _)| !NOT_TRIED.contains(path)) {
        // Commit stands before undo in the table, so both can be done.
        let answer = if document["paths"][path].get("get").is_some() || path.is_empty() {
            call(&db, authorised(Method::GET, address)).await
        } else {
            post(&db, address).await
        };
        assert_eq!(answer.status, good(address), "{address}: {}", answer.text());
    }
}

/// The status of an answer where all is well: in process there is no place for a stream.
fn good(address: &str) -> u16 {
    if address.contains("/changes/stream") { 503 } else { 200 }
}

#[actix_web::test]
async fn every_reference_resolves_and_every_operation_has_its_own_id() {
    let db = Database::empty().await;
    let document = document(&db).await;
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| match value.as_str() {
                Some(text) if key == "$ref" => found.push(text.to_owned()),
                _ => walk(value, found),
            }),
            Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut references = Vec::new();
    walk(&document, &mut references);
    assert!(references.len() > 50, "{}", references.len());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("elsewhere: {reference}"));
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let mut ids = BTreeSet::new();
    for item in document["paths"].as_object().expect("paths").values() {
        for operation in ["get", "post", "put", "patch", "delete"].iter().filter_map(|method| item.get(method)) {
            let id = operation["operationId"].as_str().expect("operationId");
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert!(operation["responses"].get("default").is_some(), "{id}: errors");
        }
    }
    assert_eq!(ids.len(), 217);
}

/// A value that the parameter takes.
fn sensible(parameter: &Value, cursor: &str) -> String {
    let schema = &parameter["schema"];
    let value = match parameter["name"].as_str().unwrap_or_default() {
        "bbox" => "112,27,114,29",
        "datetime" => "2014-02-01/..",
        // The newest, for the records of the ledgers were not there before.
        "revision" => "13",
        "cursor" => cursor,
        "crs" => "EPSG:4526",
        "division" => "430100",
        "within" => {
            let area = r#"{"type":"Polygon","coordinates":[[[108,24],[115,24],[115,31],[108,31],[108,24]]]}"#;
            return crate::support::http::encode(area);
        }
        "prefecture" => "430100",
        "park" => "G431176",
        "on" => "2026-06-30",
        "year" => "2025",
        "quarter" => "2026Q2",
        "by" => "county,state",
        "county" => "430112",
        _ if parameter["example"].is_array() => parameter["example"][0].as_str().unwrap_or_default(),
        _ if parameter["example"].is_string() => parameter["example"].as_str().unwrap_or_default(),
        _ => match (schema["enum"][0].as_str(), schema["type"].as_str()) {
            (Some(word), _) => return crate::support::http::encode(word),
            (None, Some("integer" | "number")) => "1",
            (None, Some("boolean")) => "true",
            _ => "%E9%A3%9F%E5%93%81",
        },
    };
    value.to_owned()
}

#[actix_web::test]
async fn declared_parameters_are_those_that_are_accepted() {
    let db = database().await;
    let document = document(&db).await;
    let page = get(&db, "/api/collections/divisions/items?limit=1").await.json();
    let next = link(&page, "next").and_then(Value::as_str).expect("more").to_owned();
    let cursor = next.split("cursor=").nth(1).expect("cursor").split('&').next().expect("cursor").to_owned();
    let query_of = |operation: &Value| -> Vec<Value> {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        parameters.filter(|p| p["in"] == "query").cloned().collect()
    };
    let name = |parameter: &Value| parameter["name"].as_str().expect("name").to_owned();
    let all: BTreeSet<String> =
        reads(&document).iter().flat_map(|(_, operation)| query_of(operation)).map(|p| name(&p)).collect();
    assert!(all.len() > 20, "{all:?}");
    for (address, operation) in reads(&document) {
        let declared = query_of(operation);
        for parameter in &declared {
            let values: Vec<String> = match parameter["schema"]["enum"].as_array() {
                Some(words) => words.iter().filter_map(Value::as_str).map(crate::support::http::encode).collect(),
                // Of a window that ends with the first revision.
                None if name(parameter) == "cursor" && address.contains("/changes") => vec!["t1-1-0-".to_owned()],
                None => vec![sensible(parameter, &cursor)],
            };
            for value in values {
                // What only a download has goes with its format.
                let format = match name(parameter).as_str() {
                    "encoding" | "headings" | "geometry" => "&f=csv",
                    _ => "",
                };
                // What the address asks for already, but for this one.
                let (bare, own) = address.split_once('?').unwrap_or((address, ""));
                let again = format!("{}=", name(parameter));
                let kept = own.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with(&again));
                let kept: String = kept.map(|pair| format!("&{pair}")).collect();
                let asked = format!("{bare}?{}={value}{format}{kept}", name(parameter));
                let answer = call(&db, authorised(Method::GET, &asked)).await;
                assert_eq!(answer.status, good(address), "{asked}: {}", answer.text());
            }
        }
        let declared: Vec<String> = declared.iter().map(name).collect();
        for other in all.iter().chain([&"undeclared".to_owned()]).filter(|other| !declared.contains(other)) {
            let asked = format!("{address}{}{other}=1", if address.contains('?') { '&' } else { '?' });
            // Known to every layer, and of no use to one that has no divisions.
            let of_divisions = address.ends_with("/divisions/items") || address.ends_with("/divisions/facets");
            let code = if other == "division" && of_divisions { "option_not_possible" } else { "parameter_unknown" };
            call(&db, authorised(Method::GET, &asked)).await.assert_problem(400, code);
        }
    }
    for deed in ["/api/imports/3/commit", "/api/imports/3/undo", "/api/imports"] {
        post(&db, &format!("{deed}?undeclared=1")).await.assert_problem(400, "parameter_unknown");
    }
}

/// What of `value` is not as `schema` says. Knows as much of JSON schema as the document uses.
fn faults(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return faults(document, document.pointer(&reference[1..]).expect("resolves"), value, at, found);
    }
    if let Some(branches) = schema["anyOf"].as_array() {
        let tried = branches.iter().map(|branch| {
            let mut faults_of_branch = Vec::new();
            faults(document, branch, value, at, &mut faults_of_branch);
            faults_of_branch
        });
        return found.extend(tried.min_by_key(Vec::len).expect("a branch"));
    }
    if value.is_null() {
        // `nullable` speaks for the `type` beside it and for nothing else (OpenAPI 3.0.3, Schema Object).
        if schema["nullable"] != true || schema["type"].is_null() {
            found.push(format!("{at}: null"));
        }
        return;
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        faults(document, part, value, at, found);
    }
    let fits = match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    if !fits || schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        found.push(format!("{at}: {value} is no {schema}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            found.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            faults(document, schema, value, &format!("{at}.{name}"), found);
        }
    }
    if let (Some(list), Some(items)) = (value.as_array(), schema.get("items")) {
        list.iter().enumerate().for_each(|(i, value)| faults(document, items, value, &format!("{at}[{i}]"), found));
    }
}

/// Names of properties that a schema declares, through references and `allOf`.
fn declared(document: &Value, schema: &Value) -> BTreeSet<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return declared(document, document.pointer(&reference[1..]).expect("resolves"));
    }
    let own = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
    let parts = ["allOf", "anyOf"].into_iter().flat_map(|all| schema[all].as_array().into_iter().flatten());
    own.chain(parts.flat_map(|part| declared(document, part))).collect()
}

#[actix_web::test]
async fn answers_have_the_declared_shape() {
    let db = database().await;
    let document = document(&db).await;
    let mut compared = 0;
    for (address, operation) in reads(&document) {
        let content = operation["responses"]["200"]["content"].as_object().expect("content");
        let Some((kind, media)) = content.iter().find(|(kind, _)| kind.contains("json")) else { continue };
        let answer = call(&db, authorised(Method::GET, address)).await;
        let sent = answer.header("content-type").expect("content type");
        assert!(sent.starts_with(kind.as_str()), "{address}: {sent} for {kind}");
        let body = answer.json();
        let mut found = Vec::new();
        faults(&document, &media["schema"], &body, "", &mut found);
        assert_eq!(found, [""; 0], "{address}");
        let names = declared(&document, &media["schema"]);
        let undeclared: Vec<&String> =
            body.as_object().expect("object").keys().filter(|key| !names.contains(*key)).collect();
        assert!(names.is_empty() || undeclared.is_empty(), "{address}: {undeclared:?} not declared");
        compared += 1;
    }
    assert_eq!(compared, 132, "all but the page");
    let problem = get(&db, "/api/parks/x").await.json();
    let mut found = Vec::new();
    faults(&document, &json!({"$ref": "#/components/schemas/Problem"}), &problem, "", &mut found);
    assert_eq!(found, [""; 0]);
}

#[actix_web::test]
async fn the_document_is_a_page_too() {
    let db = Database::with_sample().await;
    for path in ["/api/docs", "/api/openapi.json?f=html"] {
        let answer = get(&db, path).await;
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        let page = answer.text();
        assert!(!page.contains("<script"), "no script");
        for (listed, _) in ADDRESSES.iter().filter(|(listed, _)| !listed.is_empty()) {
            assert!(page.contains(&format!("{listed}</code>")), "{path}: {listed}");
        }
        let tries: Vec<&str> =
            page.split("试一试：<a href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(tries.len() > 15, "{tries:?}");
        for address in tries {
            let local = address
                .strip_prefix("http://localhost:8080")
                .unwrap_or_else(|| panic!("{address}"))
                .replace("&amp;", "&");
            // An address to click may hold Chinese; browsers encode it.
            let local: String = local
                .chars()
                .map(|c| if c.is_ascii() { c.to_string() } else { crate::support::http::encode(&c.to_string()) })
                .collect();
            assert_eq!(get(&db, &local).await.status, 200, "{address}");
        }
    }
}
