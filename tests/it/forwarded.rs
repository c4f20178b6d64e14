//! Links behind a proxy that writes `Forwarded` (RFC 7239), the older headers, or both.

use actix_web::test::TestRequest;
use serde_json::Value;

use crate::support::Database;
use crate::support::http::{Answer, call, link};

async fn get_with(db: &Database, headers: &[(&str, &str)]) -> Answer {
    let request = TestRequest::get()
        .uri("/api/collections/parks/items?limit=1&crs=EPSG:4526")
        .insert_header(("host", "inside:8080"));
    call(db, headers.iter().fold(request, |request, header| request.append_header(*header))).await
}

#[actix_web::test]
async fn every_link_begins_with_what_the_client_sees() {
    let db = Database::with_sample().await;
    for (headers, base) in [
        (&[][..], "http://inside:8080"),
        (&[("forwarded", "for=192.0.2.60;proto=https;host=gis.example.cn")], "https://gis.example.cn"),
        // Names in any case, values in quotes, blanks after separators.
        (
            &[("forwarded", "For=\"[2001:db8::1]:4711\";Proto=https;Host=\"gis.example.cn:8443\"")],
            "https://gis.example.cn:8443",
        ),
        // The first hop is the client's own.
        (
            &[("forwarded", "for=192.0.2.60;proto=https;host=a.example.cn, for=10.0.0.1;proto=http;host=b.example.cn")],
            "https://a.example.cn",
        ),
        (
            &[("forwarded", "for=192.0.2.60;host=a.example.cn"), ("forwarded", "for=10.0.0.1;proto=https")],
            "https://a.example.cn",
        ),
        // RFC 7239 knows no prefix: that header goes with it.
        (
            &[("forwarded", "proto=https;host=gis.example.cn"), ("x-forwarded-prefix", "/land/")],
            "https://gis.example.cn/land",
        ),
        // Where both speak, the standard one is believed; what it leaves out the older ones say.
        (
            &[
                ("forwarded", "proto=https;host=a.example.cn"),
                ("x-forwarded-host", "b.example.cn"),
                ("x-forwarded-proto", "http"),
            ],
            "https://a.example.cn",
        ),
        (
            &[("forwarded", "for=192.0.2.60"), ("x-forwarded-host", "b.example.cn"), ("x-forwarded-proto", "https")],
            "https://b.example.cn",
        ),
        // Nothing of a header becomes more than a scheme, a host and a path.
        (&[("forwarded", "proto=javascript;host=\"a.cn/\\\"><script>\"")], "http://localhost"),
        (&[("forwarded", ";;==,,\"")], "http://inside:8080"),
        (
            &[("forwarded", "proto=https;host=gis.example.cn"), ("x-forwarded-prefix", "/a/../b")],
            "https://gis.example.cn",
        ),
    ] {
        let answer = get_with(&db, headers).await;
        assert_eq!(answer.status, 200, "{headers:?}");
        let body = answer.json();
        let links = body["links"].as_array().expect("links");
        assert!(links.len() >= 4 && link(&body, "next").is_some(), "{body}");
        for href in links.iter().map(|link| link["href"].as_str().unwrap_or_default()) {
            assert!(href.starts_with(&format!("{base}/api/collections/parks")), "{headers:?}: {href}");
        }
        let mut untied: Value = body.clone();
        untied["links"] = Value::Null;
        assert!(!untied.to_string().contains(base), "and nothing else does");
    }
}
