//! What a ledger gives out comes back as what it was: every format, both languages of headings.

use actix_web::http::Method;
use serde_json::json;
use sizhi::inventory::progress::Silent;
use sizhi::inventory::sample;

use crate::support::http::{authorised, call, get_authorised};
use crate::support::parcels::{COUNTY, PARK, inside, square};
use crate::support::{Database, files};

#[actix_web::test]
async fn an_export_that_comes_back_changes_nothing() {
    let db = Database::with_sample().await;
    sample::seed_parcels(&db.pool, "test", 200, &Silent).await.expect("drawn");
    let (x, y, _) = inside(&db, PARK).await;
    for (layer, properties) in [
        (
            "turnover_parcels",
            json!({"county_code": COUNTY, "number": "手-1", "name": "=HYPERLINK(\"x\")", "land_user": "+86 甲\"厂\"，有限", "note": "第一行；𠮷㐂 -1",
                   "stated_park": "望城经济技术开发区", "approved_area_m2": 8226.666666666667, "price_10k_yuan": 0.1, "state": "idle", "held_state": "delivered",
                   "state_on": "2024-02-29", "compensation_done": false, "approval_year": 2024}),
        ),
        (
            "low_efficiency_parcels",
            json!({"county_code": COUNTY, "number": "手-2", "name": "@甲", "owner": "-乙", "tax_per_ha": 12.345678901234567, "is_low_efficiency": true,
                   "registered_on": "1999-12-31", "stated_area_m2": 108.512, "note": "长".repeat(300)}),
        ),
    ] {
        let feature = json!({"type": "Feature", "properties": properties, "geometry": square(x, y, 0.0001)});
        let request = authorised(Method::POST, &format!("/api/collections/{layer}/items"));
        let answer =
            call(&db, request.insert_header(("content-type", "application/json")).set_payload(feature.to_string()))
                .await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    let revision: i64 = db.value("SELECT max(number) FROM revision").await;
    for layer in ["turnover_parcels", "low_efficiency_parcels"] {
        let page = get_authorised(&db, &format!("/api/collections/{layer}/items?limit=1")).await.json();
        let matched = page["numberMatched"].as_u64().expect("a number");
        assert!(matched > 40, "{layer}: {matched}");
        for (format, options) in [
            ("csv", ""),
            ("csv", "&headings=en"),
            ("xlsx", ""),
            ("xlsx", "&headings=en"),
            ("gpkg", ""),
            ("gpkg", "&headings=en"),
            ("fgb", ""),
            ("fgb", "&headings=en"),
            ("shp", ""),
            ("shp", "&headings=en"),
        ] {
            let case = format!("{layer} {format}{options}");
            let answer = get_authorised(&db, &format!("/api/collections/{layer}/items?f={format}{options}")).await;
            assert_eq!(answer.status, 200, "{case}: {}", answer.text());
            let ending = if format == "shp" { "zip" } else { format };
            let path = files::write(&format!("台账.{ending}"), &answer.body);
            let back = db.import(&path, |request| {
                request.layer = layer.to_owned();
                // The two entered by hand lie on drawn ones.
                request.allow = vec!["overlap_within_file".to_owned()];
            });
            let imported = back.await.unwrap_or_else(|e| panic!("{case}: {e}"));
            let loud: Vec<_> =
                imported.report.findings.iter().filter(|f| f.code != "illustrative_import").take(5).collect();
            assert_eq!(imported.report.status.as_str(), "unchanged", "{case}: {:?} {loud:?}", imported.report.counts);
            let counts = imported.report.counts.expect("counts");
            assert_eq!((counts.inserted, counts.updated, counts.unchanged), (0, 0, matched), "{case}");
        }
    }
    assert_eq!(db.value::<i64>("SELECT max(number) FROM revision").await, revision);
}
