//! `revision=` and `datetime=` over the ledgers: every property that a record shows, judged by a replay of the change log in this test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{Days, NaiveDate};
use serde_json::{Map, Value, json};
use sizhi::domain::Ledger;
use sizhi::domain::ledger::{Facts, Timers};
use sizhi::inventory::today;

use crate::support::Database;
use crate::support::deeds::{Bag, Desk, Tally};
use crate::support::edits::Dice;
use crate::support::http::{encode, get_authorised};
use crate::support::process::Service;
use crate::support::replay::{
    Register, Row, Shape, Shown, day_of, images, lives, replay, rows, shape_of_bytes, shape_of_json, table_as_of,
};

/// Properties whose printed digits are rounded: the greatest distance from the row's own number.
const ROUNDED: [(&str, f64); 4] = [
    ("computed_area_m2", 0.00501),
    ("computed_area_ha", 0.0000501),
    ("computed_area_mu", 0.00501),
    ("inside_share", 0.0000501),
];

/// The tables that the deeds write.
const TABLES: [&str; 6] = [
    "turnover_parcel",
    "low_efficiency_parcel",
    "redevelopment_plan",
    "plan_step",
    "parcel_transition",
    "parcel_lineage",
];

/// The rows of this id that hold the day, of which there is one at most.
fn row_of<'a>(state: &'a Register, ledger: Ledger, id: &str, day: Option<NaiveDate>) -> Option<&'a Row> {
    let standing: Vec<&Row> =
        rows(state, ledger.table()).filter(|row| row.0["id"] == id && lives(&row.0, day)).collect();
    assert!(standing.len() < 2, "{id} stands {} times on {day:?}", standing.len());
    standing.first().copied()
}

fn name_of(state: &Register, table: &str, code: &Value) -> Value {
    let Some(code) = code.as_str() else { return Value::Null };
    state.get(&(table.to_owned(), code.to_owned())).map_or(Value::Null, |row| row.0["name"].clone())
}

fn text(day: Option<NaiveDate>) -> Value {
    day.map_or(Value::Null, |day| json!(day.to_string()))
}

/// What every ledger shows of a row: the columns as they are, with the names behind the codes and the words behind the state.
fn common(state: &Register, ledger: Ledger, image: &Value) -> Map<String, Value> {
    let mut shown = Map::new();
    let plain = ["id", "number", "name", "county_code", "state", "state_on", "end_reason", "illustrative", "source"];
    for name in plain.into_iter().chain(ledger.fields().iter().map(|f| f.name)) {
        shown.insert(name.to_owned(), image[name].clone());
    }
    let code = image["state"].as_str().expect("state");
    let label = ledger.machine().find(code).expect("a state of the table").label;
    shown.insert("state_label".into(), json!(label));
    shown.insert("county_name".into(), name_of(state, "division", &image["county_code"]));
    shown.insert("valid_from".into(), text(day_of(image, "valid_from")));
    shown.insert("valid_to".into(), text(day_of(image, "valid_to")));
    shown
}

/// What a row of land shows beside that.
fn land(state: &Register, image: &Value, shown: &mut Map<String, Value>) {
    for name in ["park_code", "block_id", "inside_share", "stated_park", "held_state", "stated_area_m2", "source_crs"] {
        shown.insert(name.to_owned(), image[name].clone());
    }
    shown.insert("park_name".into(), name_of(state, "park", &image["park_code"]));
    let agrees = image["stated_park_code"] == image["park_code"];
    shown.insert("park_agrees".into(), if image["stated_park"].is_null() { Value::Null } else { json!(agrees) });
    let area = image["area_m2"].as_f64().expect("area");
    for (name, value) in
        [("computed_area_m2", area), ("computed_area_ha", area / 10_000.0), ("computed_area_mu", area * 3.0 / 2_000.0)]
    {
        shown.insert(name.to_owned(), json!(value));
    }
}

fn timers(image: &Value, day: NaiveDate, shown: &mut Map<String, Value>) {
    let number = |name: &str| image[name].as_f64();
    let area = number("supplied_area_m2").filter(|area| *area > 0.0).or(number("area_m2"));
    let facts = Facts {
        approved_on: day_of(image, "approved_on"),
        agreed_start_on: day_of(image, "agreed_start_on"),
        started_on: day_of(image, "started_on"),
        agreed_finish_on: day_of(image, "agreed_finish_on"),
        finished_on: day_of(image, "finished_on"),
        stopped_on: day_of(image, "stopped_on"),
        started_share: number("started_area_m2").zip(area).map(|(started, area)| started / area),
        invested_percent: number("invested_percent"),
    };
    let machine = Ledger::Turnover.machine();
    let step = machine.step(image["state"].as_str().expect("state"), image["held_state"].as_str()).expect("known");
    let told = Timers::on(day, step, facts);
    let sets: Vec<&str> = step.sets().into_iter().map(|set| set.as_str()).collect();
    shown.insert("derived_sets".into(), if sets.is_empty() { Value::Null } else { json!(sets) });
    shown.insert("approval_age_years".into(), json!(told.approval_age_years));
    shown.insert("approval_age".into(), json!(told.approval_age.map(|age| age.as_str())));
    shown.insert("start_overdue_days".into(), json!(told.start_overdue_days));
    shown.insert("finish_overdue_days".into(), json!(told.finish_overdue_days));
    shown.insert("idle_stage".into(), json!(told.idle_stage.map(|stage| stage.as_str())));
}

fn expected(state: &Register, ledger: Ledger, id: &str, day: Option<NaiveDate>) -> Option<Shown> {
    let (image, geometry) = row_of(state, ledger, id, day)?.as_ref();
    let mut shown = common(state, ledger, image);
    let shape = match ledger {
        Ledger::Turnover => {
            land(state, image, &mut shown);
            timers(image, day.unwrap_or_else(today), &mut shown);
            shape_of_bytes(geometry.as_ref()?)
        }
        Ledger::LowEfficiency => {
            land(state, image, &mut shown);
            let plans: Vec<&Row> = rows(state, "redevelopment_plan")
                .filter(|row| row.0["parcel_id"] == id && row.0["state"] != "cancelled" && lives(&row.0, day))
                .collect();
            assert!(plans.len() < 2, "{id} has {} plans on {day:?}", plans.len());
            for (name, column) in
                [("plan_id", "id"), ("plan_no", "number"), ("plan_state", "state"), ("plan_deadline_on", "deadline_on")]
            {
                shown.insert(name.to_owned(), plans.first().map_or(Value::Null, |row| row.0[column].clone()));
            }
            shape_of_bytes(geometry.as_ref()?)
        }
        Ledger::Plan => plan(state, image, &mut shown),
    };
    Some((Value::Object(shown), shape))
}

/// A plan shows its steps, and the land of its parcel as it stood last.
fn plan(state: &Register, image: &Value, shown: &mut Map<String, Value>) -> Shape {
    shown.insert("parcel_id".into(), image["parcel_id"].clone());
    let parcel = rows(state, "low_efficiency_parcel")
        .filter(|row| row.0["id"] == image["parcel_id"])
        .max_by_key(|row| day_of(&row.0, "valid_from").unwrap_or(NaiveDate::MIN));
    let of_parcel = |name: &str| parcel.map_or(Value::Null, |row| row.0[name].clone());
    shown.insert("parcel_name".into(), of_parcel("name"));
    shown.insert("park_code".into(), of_parcel("park_code"));
    shown.insert("park_name".into(), name_of(state, "park", &of_parcel("park_code")));
    let mut steps: Vec<&Value> =
        rows(state, "plan_step").map(|row| &row.0).filter(|step| step["plan_id"] == image["id"]).collect();
    steps.sort_by_key(|step| step["ordinal"].as_i64());
    let told: Vec<String> = steps
        .iter()
        .map(|step| {
            let day =
                |name: &str, word: &str| step[name].as_str().map_or(String::new(), |day| format!("；{word} {day}"));
            let task = step["task"].as_str().expect("task");
            format!("{} {task}{}{}", step["ordinal"], day("due_on", "期限"), day("done_on", "完成"))
        })
        .collect();
    shown.insert("steps".into(), if told.is_empty() { Value::Null } else { json!(told) });
    let open = steps.iter().filter(|step| step["done_on"].is_null()).count();
    shown.insert("steps_open".into(), json!(open));
    parcel.and_then(|row| row.1.as_ref()).map(|bytes| shape_of_bytes(bytes)).unwrap_or_default()
}

/// Every property that is declared, and no other; the boundary.
#[track_caller]
fn assert_shows_all(feature: &Value, wanted: &Shown, what: &str) {
    let (shown, expected) =
        (feature["properties"].as_object().expect("properties"), wanted.0.as_object().expect("properties"));
    let names = |map: &Map<String, Value>| map.keys().cloned().collect::<BTreeSet<String>>();
    assert_eq!(names(shown), names(expected), "{what}: names");
    for (name, value) in expected {
        let near = ROUNDED.iter().find(|(rounded, _)| rounded == name).map_or(0.0, |(_, near)| *near);
        match (shown[name].as_f64(), value.as_f64()) {
            (Some(a), Some(b)) => assert!((a - b).abs() <= near, "{what}: {name} {a} for {b}"),
            _ => assert_eq!(&shown[name], value, "{what}: {name}"),
        }
    }
    assert_eq!(shape_of_json(&feature["geometry"]), wanted.1, "{what}: boundary");
}

/// A history of so many bags of a hundred deeds by one writer: each that was done is one revision, and no other is.
async fn history(db: &Arc<Database>, service: &Service, dice: &mut Dice, bags: usize) {
    let desk = Desk::open(Arc::clone(db), &service.address).await;
    let before: i64 = db.value("SELECT max(number) FROM revision").await;
    let mut own = Dice(dice.roll(1 << 40));
    let written = tokio::task::spawn_blocking(move || {
        let (mut bag, mut tally) = (Bag::default(), Tally::default());
        for _ in 0..bags * 100 {
            let deed = bag.draw(&mut own);
            tally.act(&desk, deed, &mut own);
        }
        tally
    });
    let tally = written.await.expect("written");
    tally.assert_told_all(bags, "as of");
    let revisions = db.value::<i64>("SELECT max(number) FROM revision").await - before;
    assert_eq!(revisions, tally.done() as i64, "{tally:?}");
}

/// The lines of a register, as parent and child with what is told of them.
fn family_lines(state: &Register, ledger: Ledger) -> Vec<&Value> {
    rows(state, "parcel_lineage").map(|row| &row.0).filter(|line| line["ledger"] == ledger.table()).collect()
}

/// Lines that are reached from this parcel, step by step: `from` is the end that is nearer to it.
fn reached<'a>(lines: &[&'a Value], id: &str, from: &str, to: &str) -> BTreeSet<(&'a str, &'a str)> {
    let (mut found, mut open) = (BTreeSet::new(), vec![id]);
    while let Some(here) = open.pop() {
        for line in lines.iter().filter(|line| line[from] == here) {
            if found.insert((line["parent_id"].as_str().expect("id"), line["child_id"].as_str().expect("id"))) {
                open.push(line[to].as_str().expect("id"));
            }
        }
    }
    found
}

/// Ancestors and descendants of everybody who has any are those that the log leads to; parents ended that day, by that name.
async fn assert_families(db: &Database, state: &Register) {
    let mut generations = 0;
    for ledger in [Ledger::Turnover, Ledger::LowEfficiency] {
        let lines = family_lines(state, ledger);
        let members: BTreeSet<&str> =
            lines.iter().flat_map(|l| [&l["parent_id"], &l["child_id"]]).filter_map(Value::as_str).collect();
        for id in members {
            let path = format!("/api/collections/{}/items/{}/lineage", ledger.layer(), encode(id));
            let answer = get_authorised(db, &path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let told = answer.json();
            let of = |name: &str| -> BTreeSet<(String, String)> {
                let text = |line: &Value, name: &str| line[name].as_str().expect("id").to_owned();
                told[name].as_array().expect("lines").iter().map(|l| (text(l, "parent"), text(l, "child"))).collect()
            };
            let owned = |set: BTreeSet<(&str, &str)>| -> BTreeSet<(String, String)> {
                set.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
            };
            let (up, down) =
                (reached(&lines, id, "child_id", "parent_id"), reached(&lines, id, "parent_id", "child_id"));
            generations = generations.max(up.len().min(1) + down.len().min(1));
            assert_eq!((of("ancestors"), of("descendants")), (owned(up), owned(down)), "{path}");
        }
    }
    assert_eq!(generations, 2, "nobody had parents and children");
    // A parent whose only life began on that day has no row any more: it has never been.
    let ends: Vec<(bool, bool)> = sqlx::query_as(
        "SELECT p.valid_to > l.effective_on, p.valid_to = l.effective_on AND p.end_reason = CASE l.kind WHEN 'split' THEN 'split' ELSE 'merged' END
         FROM parcel_lineage l
         JOIN (SELECT DISTINCT ON (ledger, id) * FROM (
                   SELECT 'turnover_parcel' AS ledger, id, valid_to, end_reason FROM turnover_parcel
                   UNION ALL SELECT 'low_efficiency_parcel', id, valid_to, end_reason FROM low_efficiency_parcel) every
               ORDER BY ledger, id, valid_to DESC) p ON p.ledger = l.ledger AND p.id = l.parent_id",
    )
    .fetch_all(&db.pool)
    .await
    .expect("ends");
    assert!(ends.len() > 5 && ends.iter().all(|end| *end == (false, true)), "{ends:?}");
}

/// A record of the ledger, a day and a revision. Half of them are a row that stood at that revision and a day that may be of its
/// life; the others any, with the ends of lives among the days.
fn triple(dice: &mut Dice, states: &[Register], ledger: Ledger, ids: &Lives) -> (String, Option<NaiveDate>, usize) {
    let revision = dice.roll(states.len() as u64) as usize;
    let standing: Vec<&Row> = rows(&states[revision], ledger.table()).collect();
    if dice.roll(2) == 0 && !standing.is_empty() {
        let image = &dice.pick(&standing).0;
        let day = match dice.roll(4) {
            0 => None,
            1 => day_of(image, "valid_from"),
            2 => day_of(image, "valid_to").map(|end| end - Days::new(1)),
            _ => Some(today()),
        };
        return (image["id"].as_str().expect("id").to_owned(), day, revision);
    }
    let known: Vec<&String> = ids.keys().collect();
    let id = (*dice.pick(&known)).clone();
    let ends: Vec<NaiveDate> = ids[&id].iter().copied().collect();
    let day = match dice.roll(3) {
        0 if !ends.is_empty() => {
            let end = *dice.pick(&ends);
            Some(if dice.roll(2) == 0 { end } else { end - Days::new(1) })
        }
        1 => None,
        _ => NaiveDate::from_ymd_opt(2016 + dice.roll(11) as i32, 1 + dice.roll(12) as u32, 1 + dice.roll(28) as u32),
    };
    (id, day, revision)
}

/// Every id that ever stood, with the days on which its lives began and ended.
type Lives = BTreeMap<String, BTreeSet<NaiveDate>>;

fn lives_of(states: &[Register], ledger: Ledger) -> Lives {
    let mut ids = Lives::new();
    for row in states.iter().flat_map(|state| rows(state, ledger.table())) {
        let days = ids.entry(row.0["id"].as_str().expect("id").to_owned()).or_default();
        days.extend(["valid_from", "valid_to"].iter().filter_map(|name| day_of(&row.0, name)));
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_random_records_days_and_revisions_the_answer_equals_a_replay_of_the_log() {
    let db = Arc::new(Database::with_sample().await);
    let mut dice = Dice::of_this_run("as of, ledgers");
    let service = Service::start(&db.url().await);
    history(&db, &service, &mut dice, 4).await;
    let states = replay(&db).await;
    for ledger in Ledger::ALL {
        let ids = lives_of(&states, ledger);
        let (mut found, mut missing) = (0, 0);
        for _ in 0..70 {
            let (id, day, revision) = triple(&mut dice, &states, ledger, &ids);
            let wanted = expected(&states[revision], ledger, &id, day);
            let asked = day.map_or(String::new(), |day| format!("&datetime={day}"));
            let items = format!("/api/collections/{}/items", ledger.layer());
            let what = format!("{items}/{}?revision={revision}{asked}", encode(&id));
            let answer = get_authorised(&db, &what).await;
            // The same by the list, where it is one of several.
            let list = get_authorised(&db, &format!("{items}?id={}&revision={revision}{asked}", encode(&id))).await;
            assert_eq!(list.status, 200, "{what}: {}", list.text());
            assert_eq!(list.header("sizhi-revision"), Some(revision.to_string().as_str()));
            let list = list.json();
            match wanted {
                Some(wanted) => {
                    found += 1;
                    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                    assert_shows_all(&answer.json(), &wanted, &what);
                    assert_eq!(list["numberMatched"], 1, "{what}: {list}");
                    assert_shows_all(&list["features"][0], &wanted, &what);
                }
                None => {
                    missing += 1;
                    answer.assert_problem(404, "item_not_found");
                    assert_eq!((&list["numberMatched"], &list["features"]), (&json!(0), &json!([])), "{what}");
                }
            }
        }
        assert!(
            found > 15 && missing > 15,
            "{ledger:?}: {found} found, {missing} missing: the history tells too little"
        );
    }
    // And the rows behind the layers, every table whole, to the last byte.
    let mut held = BTreeMap::new();
    let some = (0..7).map(|_| dice.roll(states.len() as u64) as usize);
    for revision in some.chain([states.len() - 1]) {
        for table in TABLES {
            let replayed = images(&states[revision], table);
            *held.entry(table).or_insert(0) += replayed.len();
            assert_eq!(table_as_of(&db, table, revision).await, replayed, "{table} as of {revision}");
        }
    }
    assert!(held.values().all(|rows| *rows > 20), "{held:?}");
    assert_families(&db, states.last().expect("a state")).await;
    assert_eq!(db.audit().await, None);
}
