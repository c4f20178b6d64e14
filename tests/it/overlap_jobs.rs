//! Checks that take longer than whoever asks waits: told where they will be, how far they are, and stopped while they run.

use std::time::Duration;

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::support::Database;
use crate::support::http::{authorised, call, get_authorised};
use crate::support::overlaps::{CHECKS, comb, one_comb_for_all_blocks, polygon};

#[actix_web::test]
async fn a_long_check_is_a_job_with_progress_and_is_stopped_as_it_runs() {
    let db = Database::with_sample().await;
    one_comb_for_all_blocks(&db).await;
    // Minutes of work: each crosses the block 20,000 times and more.
    let combs: Vec<Value> = (0..400)
        .map(|n| {
            let ring: Vec<[f64; 2]> = comb(false).into_iter().map(|[x, y]| [x + f64::from(n) * 1e-7, y]).collect();
            json!({"type": "Feature", "properties": {}, "geometry": polygon(&ring)})
        })
        .collect();
    let body =
        json!({"subject": {"geojson": {"type": "FeatureCollection", "features": combs}}, "layers": ["park_blocks"]});
    let asked = call(&db, authorised(Method::POST, CHECKS).set_json(body)).await;
    assert_eq!(asked.status.as_u16(), 202, "{}", asked.text());
    let check = asked.json();
    let path = format!("{CHECKS}/{}", check["id"]);
    assert!(asked.header("location").is_some_and(|url| url.ends_with(&path)), "{:?}", asked.headers);
    assert_eq!(check["status"], "running", "{check}");
    // What is not over has no report and is not removed.
    get_authorised(&db, &format!("{path}/report")).await.assert_problem(409, "check_not_finished");
    call(&db, authorised(Method::DELETE, &path)).await.assert_problem(409, "check_not_finished");

    let stop = async {
        let mut seen = Vec::new();
        loop {
            let now = get_authorised(&db, &path).await.json();
            assert_eq!(now["status"], "running", "{now}");
            let done = now["progress"]["done"].as_i64().expect("done");
            seen.push(done);
            if seen.iter().any(|earlier| *earlier > 0 && *earlier < done) {
                assert_eq!(now["progress"]["total"], 400, "{now}");
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        call(&db, authorised(Method::POST, &format!("{path}/cancel")).set_json(json!({}))).await
    };
    let events_path = format!("{path}/events");
    let (events, stopped) = tokio::join!(get_authorised(&db, &events_path), stop);
    assert_eq!((stopped.status.as_u16(), &stopped.json()["status"]), (200, &json!("cancelled")), "{}", stopped.text());
    let text = events.text();
    assert!(text.starts_with("event: progress\n"), "{text}");
    let last = text.trim_end().rsplit("\n\n").next().expect("an event");
    assert!(last.starts_with("event: end\n") && last.contains("\"status\":\"cancelled\""), "{text}");
    // Nothing of it is kept as a finding, and it may go.
    let found = get_authorised(&db, &format!("{path}/findings")).await.json();
    assert_eq!(found["numberMatched"], 0, "{found}");
    assert_eq!(call(&db, authorised(Method::DELETE, &path)).await.status.as_u16(), 204);
}
