//! The events: CloudEvents 1.0 in structured mode. They say that something changed and where to read it.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use crate::store::changes::Counts;
use crate::store::webhooks::Delivery;

/// Where a service without a public address says that its events come from.
const NAMELESS: &str = "urn:sizhi:register";

/// `cn.sizhi.layer.changed`. Its id is the same however often it is sent: receivers tell repetitions by it.
pub fn changed(delivery: &Delivery, counts: Counts, public_url: Option<&str>) -> String {
    let base = public_url.map(|url| url.trim_end_matches('/')).unwrap_or_default();
    let collection = format!("{base}/api/collections/{}", delivery.layer);
    let source = if base.is_empty() { NAMELESS.to_owned() } else { collection.clone() };
    json!({
        "specversion": "1.0",
        "id": format!("{}/{}", delivery.layer, delivery.revision),
        "source": source,
        "type": "cn.sizhi.layer.changed",
        "subject": delivery.layer,
        "time": moment(delivery.made_at),
        "datacontenttype": "application/json",
        "data": {
            "layer": delivery.layer,
            "revision": delivery.revision,
            "counts": {"added": counts.added, "changed": counts.changed, "removed": counts.removed},
            "changes": format!("{collection}/changes?since={}", delivery.revision - 1),
        },
    })
    .to_string()
}

/// `cn.sizhi.test`: does the receiver understand us?
pub fn trial(id: i64, public_url: Option<&str>) -> String {
    let now = Utc::now();
    json!({
        "specversion": "1.0",
        "id": format!("test/{}", now.timestamp_micros()),
        "source": public_url.unwrap_or(NAMELESS),
        "type": "cn.sizhi.test",
        "time": moment(now),
        "datacontenttype": "application/json",
        "data": {"webhook": id},
    })
    .to_string()
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_what_changed_and_where_to_read_it() {
        let delivery = Delivery {
            revision: 17,
            layer: "park_blocks".into(),
            made_at: "2026-11-26T01:02:03.000004Z".parse().expect("moment"),
        };
        let counts = Counts { added: 1, changed: 2, removed: 3 };
        let event = |base| serde_json::from_str::<serde_json::Value>(&changed(&delivery, counts, base)).expect("JSON");
        assert_eq!(
            event(Some("https://gis.example.cn/sizhi/")),
            json!({
                "specversion": "1.0", "id": "park_blocks/17", "type": "cn.sizhi.layer.changed", "subject": "park_blocks",
                "source": "https://gis.example.cn/sizhi/api/collections/park_blocks",
                "time": "2026-11-26T01:02:03.000004Z", "datacontenttype": "application/json",
                "data": {
                    "layer": "park_blocks", "revision": 17, "counts": {"added": 1, "changed": 2, "removed": 3},
                    "changes": "https://gis.example.cn/sizhi/api/collections/park_blocks/changes?since=16",
                },
            })
        );
        let nameless = event(None);
        assert_eq!(nameless["source"], "urn:sizhi:register");
        assert_eq!(nameless["data"]["changes"], "/api/collections/park_blocks/changes?since=16");
    }
}
