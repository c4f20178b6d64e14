//! `/metrics`: how this server stands, for Prometheus (text format 0.0.4). Always answered: that the database is away is a measurement too.

use std::fmt::Write as _;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};

use super::params::Params;
use super::problem::Answer;
use super::state::State;
use crate::layers::declaration::LAYERS;
use crate::store::replica::{self, Look};

const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Time for the database to answer.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Name, what it tells, its values with their labels.
type Gauge = (&'static str, &'static str, Vec<(String, f64)>);

/// Role and lag of the database, what the layers in memory show.
pub async fn list_metrics(request: HttpRequest, state: web::Data<State>) -> Answer {
    Params::read(&request, &[], |_| false)?;
    let look = replica::look_within(&state.pool, PATIENCE).await.ok();
    let text = written(&gauges(&state, look.as_ref()));
    Ok(HttpResponse::Ok().content_type(MEDIA_TYPE).insert_header(("cache-control", "no-store")).body(text))
}

fn gauges(state: &State, look: Option<&Look>) -> Vec<Gauge> {
    let yes = |condition: bool| vec![(String::new(), f64::from(u8::from(condition)))];
    let mut gauges = vec![
        ("sizhi_database_up", "1 where the database answers.", yes(look.is_some())),
        ("sizhi_takes_writes", "1 where writes are taken: not over a replica.", yes(state.role.takes_writes())),
    ];
    if let Some(look) = look {
        let is_replica = look.replica.is_some();
        let roles = [("primary", !is_replica), ("replica", is_replica)];
        let roles = roles.map(|(role, is)| (format!("{{role=\"{role}\"}}"), f64::from(u8::from(is))));
        gauges.push(("sizhi_database_role", "1 at the role that the database has.", roles.to_vec()));
        gauges.push((
            "sizhi_revision",
            "The newest revision of the register.",
            vec![(String::new(), look.revision as f64)],
        ));
    }
    if let Some(replaying) = look.and_then(|look| look.replica.as_ref()) {
        gauges.push(("sizhi_replica_receiving", "1 while the replica receives.", yes(replaying.receiving)));
        if let Some(lag) = state.role.lag(replaying) {
            let lag = vec![(String::new(), lag.as_secs_f64())];
            gauges.push(("sizhi_replica_lag_seconds", "How far behind its primary the replica is at most.", lag));
        }
    }
    if let Some(live) = &state.live {
        // The operator's layers, whose names are not for everybody, are left out.
        let held = LAYERS.iter().filter_map(|layer| Some((layer.id, live.held(layer)?.revision)));
        let held: Vec<(String, f64)> = held.map(|(id, shown)| (format!("{{layer=\"{id}\"}}"), shown as f64)).collect();
        gauges.push(("sizhi_layer_revision", "The revision that a layer shows in memory.", held));
    }
    gauges
}

fn written(gauges: &[Gauge]) -> String {
    let mut text = String::new();
    for (name, help, values) in gauges {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in values {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    }
    text
}
