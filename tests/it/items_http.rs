//! Representations of items: caching, negotiation, pages, links behind a proxy, CORS, compression.

use std::io::Read;

use actix_web::test::TestRequest;
use serde_json::Value;
use sizhi::api::State;

use crate::support::http::{Answer, call, call_with, encode, get};
use crate::support::process::Service;
use crate::support::tools::gdal;
use crate::support::{Database, http_args};

async fn get_with(db: &Database, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(TestRequest::get().uri(path), |request, header| request.insert_header(*header));
    call(db, request).await
}

#[actix_web::test]
async fn an_etag_stands_until_the_next_write() {
    let db = Database::with_sample().await;
    let paths = [
        "/api/collections/parks/items?limit=3",
        "/api/collections/parks/items?limit=3&f=html",
        "/api/collections/parks/items?limit=4",
        "/api/collections/park_blocks/items/G431176-1",
        "/api/parks?limit=3",
        "/api/parks/G431176",
        "/api/parks/G431176?f=html",
    ];
    let mut tags = Vec::new();
    for path in paths {
        let tag = get(&db, path).await.header("etag").unwrap_or_else(|| panic!("no ETag: {path}")).to_owned();
        assert!(!tags.contains(&tag), "{path}: another representation, another ETag");
        for held in [tag.clone(), format!("\"other\", {tag}"), tag.trim_start_matches("W/").to_owned(), "*".to_owned()]
        {
            let answer = get_with(&db, path, &[("if-none-match", &held)]).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0), "{path} {held}");
            assert_eq!(answer.header("etag"), Some(tag.as_str()), "{path}");
        }
        assert_eq!(get_with(&db, path, &[("if-none-match", "W/\"r0-0\"")]).await.status, 200, "{path}");
        tags.push(tag);
    }
    db.write("UPDATE park SET name = '新名' WHERE code = 'G431176'").await;
    for (path, old) in paths.into_iter().zip(tags) {
        let answer = get_with(&db, path, &[("if-none-match", &old)]).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_ne!(answer.header("etag"), Some(old.as_str()), "{path}");
    }
    let gone = get_with(&db, "/api/collections/parks/items/G431199", &[("if-none-match", "*")]).await;
    gone.assert_problem(404, "item_not_found");
}

#[actix_web::test]
async fn head_is_get_without_the_body() {
    let db = Database::with_sample().await;
    let service = Service::start(&db.url().await);
    let read = |method: &str, path: &str| {
        let host = &service.address;
        let text =
            service.raw(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes());
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}"));
        let of_this_answer = |line: &&str| !line.starts_with("date:") && !line.starts_with("x-request-id:");
        // Lists of names stand in no fixed order.
        let sorted = |line: &str| {
            let mut words: Vec<&str> = line.split([' ', ',']).collect();
            words.sort_unstable();
            words.join(" ").trim().to_owned()
        };
        let mut lines: Vec<String> = head.lines().filter(of_this_answer).map(sorted).collect();
        lines.sort();
        (lines, body.len())
    };
    for path in [
        "/",
        "/livez",
        "/readyz",
        "/metrics",
        "/favicon.ico",
        "/api",
        "/api/conformance",
        "/api/openapi.json",
        "/api/docs",
        "/api/collections",
        "/api/collections/parks",
        "/api/collections/parks/queryables",
        "/api/collections/parks/schema",
        "/api/collections/parks/items?limit=3",
        "/api/collections/parks/items/G431176",
        "/api/parks",
        "/api/parks/G431176?f=html",
        "/api/collections/parks/items?limit=0",
        "/api/imports",
        "/nowhere",
    ] {
        let ((of_get, get_body), (of_head, head_body)) = (read("GET", path), read("HEAD", path));
        assert_eq!(of_head, of_get, "{path}");
        assert!(of_get.contains(&format!("{get_body} content-length:")) && get_body > 0, "{path}: {of_get:?}");
        assert_eq!(head_body, 0, "{path}");
    }
}

#[actix_web::test]
async fn accept_chooses_the_representation_and_f_overrules_it() {
    let db = Database::empty().await;
    const JSON: &str = "application/geo+json; charset=utf-8";
    const HTML: &str = "text/html; charset=utf-8";
    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
    for (accept, query, expected) in [
        ("*/*", "", Some(JSON)),
        ("application/json", "", Some(JSON)),
        ("application/geo+json", "", Some(JSON)),
        ("APPLICATION/GEO+JSON", "", Some(JSON)),
        ("text/html", "", Some(HTML)),
        (BROWSER, "", Some(HTML)),
        ("application/xml, */*;q=0.1", "", Some(JSON)),
        ("text/html;q=0.5, application/json", "", Some(JSON)),
        ("text/html;q=0.6, application/json;q=0.5", "", Some(HTML)),
        ("text/html;q=0, */*", "", Some(JSON)),
        ("application/xml", "", None),
        ("image/png, application/gml+xml", "", None),
        ("application/geo+json;q=0", "", None),
        ("application/xml", "?f=json", Some(JSON)),
        (BROWSER, "?f=json", Some(JSON)),
        ("application/json", "?f=html", Some(HTML)),
    ] {
        let path = format!("/api/collections/parks/items{query}");
        let answer = get_with(&db, &path, &[("accept", accept)]).await;
        match expected {
            Some(content_type) => assert_eq!(answer.header("content-type"), Some(content_type), "{accept} {query}"),
            // Nothing to vary: problems are not stored.
            None => {
                answer.assert_problem(406, "not_acceptable");
                assert_eq!(answer.header("cache-control"), Some("no-store"), "{accept}");
                continue;
            }
        }
        let vary: Vec<&str> = answer.headers.get_all("vary").filter_map(|v| v.to_str().ok()).collect();
        assert!(vary.join(",").to_lowercase().contains("accept"), "{accept}: a cache must know: {vary:?}");
    }
    // Two lines are one list (RFC 9110, 5.3).
    let request = TestRequest::get().uri("/api/collections/parks/items");
    let two = request.append_header(("accept", "application/xml")).append_header(("accept", "text/html"));
    assert_eq!(call(&db, two).await.header("content-type"), Some(HTML));
    for bad in ["xml", "", "JSON", "html,json", "%00"] {
        get(&db, &format!("/api/collections/parks/items?f={bad}")).await.assert_problem(400, "value_invalid");
    }
}

#[actix_web::test]
async fn pages_for_people_show_the_features() {
    let db = Database::with_sample().await;
    let answer = get(&db, "/api/collections/parks/items?f=html&limit=2&prefecture_code=430100").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let page = answer.text();
    let in_prefecture: i64 = db.value("SELECT count(*) FROM park WHERE prefecture_code = '430100'").await;
    let codes: Vec<String> =
        db.column("SELECT code FROM park WHERE prefecture_code = '430100' ORDER BY code LIMIT 2").await;
    assert!(page.contains(&format!("共 {in_prefecture} 个要素，本页 2 个")), "{page}");
    for code in codes {
        assert!(
            page.contains(&format!(
                "href=\"http://localhost:8080/api/collections/parks/items/{code}?f=html\">{code}</a>"
            )),
            "{page}"
        );
    }
    for part in [
        "<html lang=\"zh-CN\">",
        "核准面积（公顷）",
        "椭球面积（m²）",
        "椭球面积（亩）",
        "主导产业",
        "rel=\"next\"",
        "prefecture_code=430100",
        "示意",
    ] {
        assert!(page.contains(part), "“{part}” is missing: {page}");
    }
    let item = get(&db, "/api/collections/parks/items/G431176?f=html").await.text();
    let parts: i64 = db.value("SELECT sum(ST_NumGeometries(geom)) FROM park_block WHERE park_code = 'G431176'").await;
    for part in [
        "产业园区 G431176",
        "望城经济技术开发区",
        "633.3",
        &format!("面，{parts} 个部分"),
        "（公顷）",
        "生效日期",
        "失效日期",
    ] {
        assert!(item.contains(part), "“{part}” is missing: {item}");
    }
    let none = get(&db, "/api/collections/parks/items?f=html&bbox=0,0,1,1").await.text();
    assert!(none.contains("没有符合条件的要素"), "{none}");
    // Behind the last page there is something still: widening the question would not help.
    let behind = get(&db, "/api/collections/parks/items?f=html&offset=500").await.text();
    assert!(behind.contains("共 129 个要素；这一页在它们之后") && !behind.contains("没有符合条件"), "{behind}");
}

#[actix_web::test]
async fn what_the_register_and_the_client_say_is_never_markup() {
    let db = Database::with_sample().await;
    db.write("UPDATE park SET name = '<script>alert(1)</script>&\"''', aliases = '{<script>2}', source = '<script>3' WHERE code = 'G431176'").await;
    db.write(
        "UPDATE park_block SET name = '<script>4', east = '<script>5', source = '<script>6' WHERE id = 'G431176-1'",
    )
    .await;
    let escaped = "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#39;";
    let attack = encode("\"><script>7</script>");
    for (path, shows) in [
        ("/api/collections/parks/items?f=html&code=G431176", escaped),
        ("/api/collections/parks/items/G431176?f=html", escaped),
        ("/api/collections/park_blocks/items?f=html&park_code=G431176", "&lt;script&gt;5"),
        ("/api/collections/park_blocks/items/G431176-1?f=html", "&lt;script&gt;4"),
        ("/api/parks?f=html&q=G431176", escaped),
        ("/api/parks/G431176?f=html", escaped),
        (&format!("/api/parks?f=html&q={attack}"), "&quot;&gt;&lt;script&gt;7"),
        (&format!("/api/parks?f=html&limit=1&type={attack}"), "&quot;&gt;&lt;script&gt;7"),
        (&format!("/api/collections/parks/items?f=html&limit=1&name={attack}"), "没有符合条件的要素"),
    ] {
        let answer = get(&db, path).await;
        let page = answer.text();
        assert_eq!(answer.status, 200, "{path}: {page}");
        assert!(page.contains(shows), "{path}: {page}");
        assert!(!page.to_lowercase().contains("<script"), "{path}: {page}");
    }
    let problem = get(&db, &format!("/api/collections/{attack}?f=html")).await;
    problem.assert_problem(404, "collection_not_found");
}

/// Every `href` of a JSON document.
fn hrefs(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| match value.as_str() {
            Some(text) if key == "href" || key == "url" || key == "$id" => found.push(text.to_owned()),
            _ => hrefs(value, found),
        }),
        Value::Array(list) => list.iter().for_each(|value| hrefs(value, found)),
        _ => {}
    }
}

#[actix_web::test]
async fn links_are_those_of_the_proxy() {
    let db = Database::with_sample().await;
    let proxy =
        [("x-forwarded-proto", "https"), ("x-forwarded-host", "gis.example.cn"), ("x-forwarded-prefix", "/sizhi/")];
    for path in [
        "/api",
        "/api/openapi.json",
        "/api/collections",
        "/api/collections/parks",
        "/api/collections/parks/schema",
        "/api/collections/parks/items?limit=2",
        "/api/collections/parks/items/G431176",
        "/api/parks?limit=2&offset=2",
        "/api/parks/G431176",
    ] {
        let mut found = Vec::new();
        hrefs(&get_with(&db, path, &proxy).await.json(), &mut found);
        assert!(!found.is_empty(), "{path}");
        for href in found {
            assert!(
                href == "https://gis.example.cn/sizhi" || href.starts_with("https://gis.example.cn/sizhi/api"),
                "{path}: {href}"
            );
        }
    }
    for path in [
        "/",
        "/api?f=html",
        "/api/docs",
        "/api/collections/parks/items?f=html&limit=2",
        "/api/parks?f=html&limit=2",
        "/api/parks/G431176?f=html",
    ] {
        let page = get_with(&db, path, &proxy).await.text();
        let found: Vec<&str> = page.split("href=\"").skip(1).chain(page.split("action=\"").skip(1)).collect();
        assert!(found.len() > 3, "{path}");
        for href in found {
            assert!(href.starts_with("https://gis.example.cn/sizhi/"), "{path}: {}", &href[..60.min(href.len())]);
        }
    }
}

#[actix_web::test]
async fn odd_forwarded_headers_do_not_reach_the_links() {
    let db = Database::empty().await;
    let self_link = async |state: State, headers: &[(&str, &str)]| {
        let request = TestRequest::get().uri("/api").insert_header(("host", "here:8080"));
        let request = headers.iter().fold(request, |request, header| request.insert_header(*header));
        call_with(state, request).await.json()["links"][0]["href"].as_str().expect("href").to_owned()
    };
    let state = |trust: bool, public: Option<&str>| {
        let http =
            sizhi::config::HttpArgs { trust_forwarded: trust, public_url: public.map(str::to_owned), ..http_args() };
        State::new(db.pool.clone(), http)
    };
    let proxy = [("x-forwarded-proto", "https"), ("x-forwarded-host", "gis.example.cn"), ("x-forwarded-prefix", "/s")];
    for (trust, public, headers, expected) in [
        (true, None, &[][..], "http://here:8080/api?f=json"),
        (true, None, &proxy[..], "https://gis.example.cn/s/api?f=json"),
        (false, None, &proxy, "http://here:8080/api?f=json"),
        (true, Some("https://public.cn/x/"), &proxy, "https://public.cn/x/api?f=json"),
        (
            true,
            None,
            &[("forwarded", "for=10.0.0.1;proto=https;host=gis.example.cn")],
            "https://gis.example.cn/api?f=json",
        ),
        (true, None, &[("x-forwarded-host", "a.cn, b.cn")], "http://a.cn/api?f=json"),
        (true, None, &[("x-forwarded-host", "e\"><script>")], "http://localhost/api?f=json"),
        (true, None, &[("x-forwarded-host", "user@evil.cn/")], "http://localhost/api?f=json"),
        (true, None, &[("x-forwarded-proto", "javascript")], "http://here:8080/api?f=json"),
        (true, None, &[("x-forwarded-prefix", "//evil.cn")], "http://here:8080/api?f=json"),
        (true, None, &[("x-forwarded-prefix", "/a\"b")], "http://here:8080/api?f=json"),
        (true, None, &[("x-forwarded-prefix", "/../x")], "http://here:8080/api?f=json"),
        (true, None, &[("x-forwarded-prefix", "no-slash")], "http://here:8080/api?f=json"),
    ] {
        assert_eq!(self_link(state(trust, public), headers).await, expected, "{trust} {public:?} {headers:?}");
    }
}

#[actix_web::test]
async fn any_origin_may_read_and_none_may_write() {
    let db = Database::empty().await;
    let origin = ("origin", "https://map.example.cn");
    for (path, status) in [
        ("/api/collections/parks/items", 200),
        ("/api/collections/parks/items/x", 404),
        ("/nowhere", 404),
        ("/api?x=1", 400),
    ] {
        let answer = get_with(&db, path, &[origin]).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), None, "{path}");
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default().to_lowercase();
        for name in ["etag", "link", "content-crs", "x-request-id"] {
            assert!(exposed.split(',').any(|e| e.trim() == name), "{path}: {name} of {exposed}");
        }
    }
    let preflight = |method: &'static str, headers: &'static str| {
        TestRequest::default()
            .method(actix_web::http::Method::OPTIONS)
            .uri("/api/collections/parks/items")
            .insert_header(origin)
            .insert_header(("access-control-request-method", method))
            .insert_header(("access-control-request-headers", headers))
    };
    let allowed = call(&db, preflight("GET", "accept, if-none-match")).await;
    assert_eq!((allowed.status.as_u16(), allowed.header("access-control-allow-origin")), (200, Some("*")));
    assert_eq!(allowed.header("access-control-max-age"), Some("3600"));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    for refused in [preflight("POST", "accept"), preflight("GET", "authorization")] {
        let answer = call(&db, refused).await;
        answer.assert_problem(400, "request_invalid");
        assert_eq!(answer.header("access-control-allow-methods"), None);
    }
}

#[actix_web::test]
async fn compressed_answers_hold_the_same_body() {
    let db = Database::with_sample().await;
    let path = "/api/collections/parks/items?limit=50";
    let document = |bytes: &[u8]| {
        let mut document: Value = serde_json::from_slice(bytes).expect("JSON");
        document.as_object_mut().expect("object").remove("timeStamp");
        document
    };
    let plain = get_with(&db, path, &[("accept-encoding", "identity")]).await;
    assert_eq!(plain.header("content-encoding"), None);
    for coding in ["gzip", "br"] {
        let packed = get_with(&db, path, &[("accept-encoding", coding)]).await;
        assert_eq!(packed.header("content-encoding"), Some(coding));
        assert!(packed.body.len() * 2 < plain.body.len(), "{coding}: {} of {}", packed.body.len(), plain.body.len());
        let mut unpacked = Vec::new();
        match coding {
            "gzip" => flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked),
            _ => brotli::Decompressor::new(&packed.body[..], 4096).read_to_end(&mut unpacked),
        }
        .unwrap_or_else(|e| panic!("{coding}: {e}"));
        assert_eq!(document(&unpacked), document(&plain.body), "{coding}");
    }
}

/// GDAL as a client, as QGIS uses it: every layer whole, over pages, one feature by its id, and its own spelling of truth.
#[tokio::test]
async fn gdal_reads_every_layer_over_the_net() {
    let db = Database::with_sample().await;
    let service = Service::start(&db.url().await);
    let source = format!("OAPIF:http://{}/api", service.address);
    let count = |layer: &str, more: &[&str]| -> i64 {
        let said = gdal("ogrinfo", &[&["-ro", "-so", &source, layer], more].concat());
        let line = said.lines().find_map(|line| line.strip_prefix("Feature Count: "));
        line.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{layer} {more:?}: {said}"))
    };
    for (layer, more, expected) in [
        ("parks", &[][..], 129),
        ("parks", &["-oo", "PAGE_SIZE=7"], 129),
        ("park_blocks", &[], 280),
        ("divisions", &[], 150),
        ("parks", &["-where", "id='G431176'"], 1),
        ("parks", &["-where", "prefecture_code='430100'"], 14),
        ("parks", &["-where", "illustrative=1"], 129),
        ("parks", &["-where", "illustrative=0"], 0),
    ] {
        assert_eq!(count(layer, more), expected, "{layer} {more:?}");
    }
    // A list of texts, not a document that QGIS shows as nothing.
    let fields = gdal("ogrinfo", &["-ro", "-so", &source, "parks"]);
    assert!(fields.contains("county_codes: StringList"), "{fields}");
}
