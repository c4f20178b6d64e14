//! The ledgers over HTTP against a model in memory: after every deed, done or refused, both say the same of every record.

use std::collections::BTreeMap;

use actix_web::http::Method;
use chrono::{Days, NaiveDate};
use serde_json::{Value, json};
use sizhi::domain::Ledger;
use sizhi::domain::ledger::{PlanProgress, StateKind, Step, missing_for_parcel, missing_for_plan};
use sizhi::inventory::today;

use crate::support::Database;
use crate::support::edits::Dice;
use crate::support::http::{Answer, authorised, call, get_authorised};
use crate::support::parcels::{COUNTY, PARK, inside, square};

/// A record as the model has it.
#[derive(Debug, Clone)]
struct Held {
    ledger: Ledger,
    step: Step,
    since: NaiveDate,
    ended: bool,
    /// Of a plan.
    parcel: String,
    open_steps: i64,
    version: String,
}

#[derive(Default)]
struct Model {
    records: BTreeMap<String, Held>,
}

/// What the model says of a deed: done, or the status and code of the refusal.
type Verdict = Result<(), (u16, String)>;

fn refuse<T>(status: u16, code: &str) -> Result<T, (u16, String)> {
    Err((status, code.to_owned()))
}

impl Model {
    fn standing(&self, id: &str) -> Result<&Held, (u16, String)> {
        self.records.get(id).filter(|held| !held.ended).map_or_else(|| refuse(404, "item_not_found"), Ok)
    }

    /// The plan in force of a parcel.
    fn plan_of(&self, parcel: &str) -> Option<(&String, &Held)> {
        self.records.iter().find(|(_, held)| {
            held.ledger == Ledger::Plan && held.parcel == parcel && !held.ended && held.step.state.code != "cancelled"
        })
    }

    /// What a move to this state wants of plan or parcel beside it.
    fn missing(&self, id: &str, held: &Held, to: &str) -> Verdict {
        let finding = match held.ledger {
            Ledger::Turnover => None,
            Ledger::LowEfficiency => {
                let plan = self.plan_of(id).map(|(_, plan)| plan);
                missing_for_parcel(
                    to,
                    plan.map(|p| PlanProgress { state: p.step.state.code, open_steps: p.open_steps }),
                )
            }
            Ledger::Plan => {
                let parcel = self.standing(&held.parcel).map_or("", |parcel| parcel.step.state.code);
                missing_for_plan(to, parcel, held.open_steps)
            }
        };
        finding.map_or(Ok(()), |finding| refuse(409, &finding.code))
    }

    /// The record after its move, or the code of what is in its way.
    fn judge(&self, id: &str, to: &str, on: NaiveDate) -> Result<Held, String> {
        let held = self.standing(id).map_err(|(_, code)| code)?.clone();
        let machine = held.ledger.machine();
        let step = machine.apply(held.step, machine.find(to).expect("a state")).map_err(|f| f.code.to_string())?;
        if on > today() {
            return Err("transition_in_future".to_owned());
        }
        if on < held.since {
            return Err("transition_before_last".to_owned());
        }
        self.missing(id, &held, to).map_err(|(_, code)| code)?;
        Ok(Held { step, since: on, ..held })
    }

    fn transition(&mut self, id: &str, to: &str, on: NaiveDate) -> Verdict {
        let moved = self.judge(id, to, on).or_else(|code| match code.as_str() {
            "item_not_found" => refuse(404, &code),
            "transition_in_future" | "transition_before_last" => refuse(400, "feature_refused"),
            _ => refuse(409, &code),
        })?;
        self.records.insert(id.to_owned(), moved);
        Ok(())
    }

    fn end(&mut self, id: &str, on: NaiveDate) -> Verdict {
        let held = self.standing(id)?.clone();
        if on > today() || on < held.since {
            return refuse(400, "feature_refused");
        }
        match held.ledger {
            Ledger::LowEfficiency if self.plan_of(id).is_some() => return refuse(409, "plan_in_use"),
            Ledger::Plan => self.missing(id, &held, "cancelled")?,
            _ => {}
        }
        self.records.insert(id.to_owned(), Held { ended: true, ..held });
        Ok(())
    }

    fn enter_plan(&mut self, id: &str, parcel: &str) -> Verdict {
        self.standing(parcel)?;
        if self.plan_of(parcel).is_some() {
            return refuse(409, "plan_exists");
        }
        let machine = Ledger::Plan.machine();
        let step = machine.entering(&machine.states[0], None);
        self.enter(id, Ledger::Plan, step, today(), parcel);
        Ok(())
    }

    fn enter(&mut self, id: &str, ledger: Ledger, step: Step, since: NaiveDate, parcel: &str) {
        let (parcel, version) = (parcel.to_owned(), String::new());
        self.records.insert(id.to_owned(), Held { ledger, step, since, ended: false, parcel, open_steps: 0, version });
    }

    fn steps(&mut self, id: &str, open: i64) -> Verdict {
        let held = self.standing(id)?.clone();
        if matches!(held.step.state.code, "accepted" | "cancelled") {
            return refuse(409, "plan_closed");
        }
        self.records.insert(id.to_owned(), Held { open_steps: open, ..held });
        Ok(())
    }
}

fn path_of(ledger: Ledger, id: &str) -> String {
    format!("/api/collections/{}/items/{id}", ledger.layer())
}

async fn send(db: &Database, method: Method, path: &str, version: &str, body: &Value) -> Answer {
    let mut request = authorised(method, path).insert_header(("content-type", "application/json"));
    if !version.is_empty() {
        request = request.insert_header(("if-match", version.to_owned()));
    }
    call(db, request.set_payload(body.to_string())).await
}

/// The service does what the model says it does.
#[track_caller]
fn assert_agrees(answer: &Answer, verdict: &Verdict, what: &str) {
    match verdict {
        Ok(()) => assert!(answer.status.is_success(), "{what}: the model does it, the service: {}", answer.text()),
        Err((status, code)) => {
            let body = answer.json();
            assert_eq!(
                (answer.status.as_u16(), body["code"].as_str()),
                (*status, Some(code.as_str())),
                "{what}: {body}"
            );
        }
    }
}

/// Every record stands as the model says, or has ended; versions are taken along for the next deed.
async fn assert_same(db: &Database, model: &mut Model, only: Option<&[String]>, what: &str) {
    let ids: Vec<String> =
        model.records.keys().filter(|id| only.is_none_or(|only| only.contains(id))).cloned().collect();
    for id in ids {
        let held = model.records[&id].clone();
        let answer = get_authorised(db, &path_of(held.ledger, &id)).await;
        if held.ended {
            answer.assert_problem(404, "item_not_found");
            continue;
        }
        assert_eq!(answer.status, 200, "{what}: {id}: {}", answer.text());
        let shown = answer.json()["properties"].clone();
        let mut expected = json!({"state": held.step.state.code, "state_on": held.since.to_string(), "valid_from": held.since.to_string(), "valid_to": null});
        match held.ledger {
            Ledger::Plan => expected["steps_open"] = json!(held.open_steps),
            _ => expected["held_state"] = json!(held.step.held.map(|state| state.code)),
        }
        if held.ledger == Ledger::LowEfficiency {
            let plan = model.plan_of(&id);
            expected["plan_id"] = json!(plan.map(|(plan, _)| plan));
            expected["plan_state"] = json!(plan.map(|(_, plan)| plan.step.state.code));
        }
        for (name, value) in expected.as_object().expect("object") {
            assert_eq!(&shown[name], value, "{what}: {name} of {id}");
        }
        model.records.get_mut(&id).expect("held").version = answer.header("etag").expect("etag").to_owned();
    }
}

/// One move asked of several records at once, most of them in the state of `like`; gives who they were and what came of it.
async fn move_many(
    db: &Database,
    model: &mut Model,
    dice: &mut Dice,
    (like, on): (&Held, NaiveDate),
    what: &str,
) -> (Vec<String>, &'static str) {
    let machine = like.ledger.machine();
    let allowed = machine.allowed(like.step);
    let any = allowed.is_empty() || dice.roll(6) == 0;
    let to = if any { dice.pick(machine.states).code } else { dice.pick(&allowed).code };
    let mixed = dice.roll(3) == 0;
    let fits = |held: &Held| held.ledger == like.ledger && !held.ended && (mixed || held.step.state == like.step.state);
    let mut ids: Vec<String> = model.records.iter().filter(|(_, h)| fits(h)).map(|(id, _)| id.clone()).collect();
    while ids.len() > 8 {
        ids.swap_remove(dice.roll(ids.len() as u64) as usize);
    }
    let ended = model.records.iter().find(|(_, held)| held.ledger == like.ledger && held.ended);
    ids.extend(ended.filter(|_| dice.roll(5) == 0).map(|(id, _)| id.clone()));
    let (skip, try_only) = (dice.roll(2) == 0, dice.roll(6) == 0);
    // All judged as they stand before any of them moves.
    let verdicts: Vec<_> = ids.iter().map(|id| (id, model.judge(id, to, on))).collect();
    let newest: i64 = db.value("SELECT max(number) FROM revision").await;
    let body = json!({
        "to": to, "effective_on": on.to_string(), "ids": ids, "seen_revision": newest, "skip_refused": skip, "dry_run": try_only,
    });
    let path = format!("/api/collections/{}/transitions", like.ledger.layer());
    let answer = send(db, Method::POST, &path, "", &body).await;
    if ids.is_empty() {
        // All of the ledger have ended.
        answer.assert_problem(400, "member_invalid");
        return (ids, "nobody");
    }
    let (told, moving) = (answer.json(), verdicts.iter().filter(|(_, verdict)| verdict.is_ok()).count());
    let what = format!("{what} to {to} of {ids:?}: {told}");
    let after: i64 = db.value("SELECT max(number) FROM revision").await;
    if moving < ids.len() && !skip && !try_only {
        let in_the_way = (1..).zip(&verdicts).filter_map(|(row, (_, v))| Some((json!(row), json!(v.as_ref().err()?))));
        let findings = told["findings"].as_array().expect("findings");
        let named = findings.iter().map(|finding| (finding["row"].clone(), finding["code"].clone()));
        assert_eq!(named.collect::<Vec<_>>(), in_the_way.collect::<Vec<_>>(), "{what}");
        assert_eq!((answer.status.as_u16(), &told["code"]), (409, &json!("transitions_refused")), "{what}");
        assert_eq!(after, newest, "{what}");
        return (ids, "refused");
    }
    let expected = verdicts.iter().map(|(id, verdict)| {
        let from = model.standing(id).ok().map(|held| held.step.state.code);
        json!([id, from, verdict.is_ok(), verdict.as_ref().err()])
    });
    let records = told["records"].as_array().unwrap_or_else(|| panic!("{what}"));
    let shown = records.iter().map(|r| json!([r["id"], r["from"], r["moves"], r["finding"]["code"]]));
    assert_eq!(shown.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{what}");
    let counts = (&told["moving"], &told["refused"], &told["dry_run"]);
    assert_eq!(counts, (&json!(moving), &json!(ids.len() - moving), &json!(try_only)), "{what}");
    let written = !try_only && moving > 0;
    assert_eq!((answer.status.as_u16(), after), (200, newest + i64::from(written)), "{what}");
    if !written {
        return (ids, if try_only { "tried" } else { "none moved" });
    }
    let moved: Vec<_> = verdicts.into_iter().filter_map(|(id, verdict)| Some((id.clone(), verdict.ok()?))).collect();
    model.records.extend(moved);
    (ids, if moving == 1 { "one moved" } else { "done" })
}

#[actix_web::test]
async fn every_deed_is_done_or_refused_as_the_model_says() {
    let db = Database::with_sample().await;
    let mut dice = Dice::of_this_run("model");
    let (x, y, _) = inside(&db, PARK).await;
    let mut model = Model::default();
    let (mut counts, mut next) = (BTreeMap::<(&str, String), usize>::new(), 0);
    for n in 0..500 {
        let known: Vec<String> =
            model.records.iter().filter(|(_, h)| !h.ended || n % 40 == 0).map(|(id, _)| id.clone()).collect();
        let id = if known.is_empty() { String::new() } else { dice.pick(&known).clone() };
        let held = model.records.get(&id).cloned();
        let last = held.as_ref().map_or(today(), |held| held.since);
        let day = match dice.roll(12) {
            0 => last - Days::new(1),
            1 => today() + Days::new(1),
            2 => today(),
            _ => (last + Days::new(dice.roll(90))).min(today()),
        };
        if let Some(like) = held.as_ref().filter(|_| dice.roll(5) == 0) {
            let what = format!("deed {n}, many on {day}");
            let (touched, word) = move_many(&db, &mut model, &mut dice, (like, day), &what).await;
            *counts.entry(("many", word.to_owned())).or_default() += 1;
            assert_same(&db, &mut model, Some(&touched), &what).await;
            continue;
        }
        let (deed, touched, verdict, answer) = match (dice.roll(20), held) {
            (0..12, Some(held)) => {
                let machine = held.ledger.machine();
                let allowed = machine.allowed(held.step);
                let any = allowed.is_empty() || dice.roll(5) == 0;
                let to = if any { dice.pick(machine.states).code } else { dice.pick(&allowed).code };
                let verdict = model.transition(&id, to, day);
                let path = format!("{}/transitions", path_of(held.ledger, &id));
                let body = json!({"to": to, "effective_on": day.to_string()});
                ("move", id, verdict, send(&db, Method::POST, &path, &held.version, &body).await)
            }
            (12, Some(held)) => {
                let verdict = model.end(&id, day);
                let path = format!("{}?effective_on={day}", path_of(held.ledger, &id));
                ("end", id, verdict, send(&db, Method::DELETE, &path, &held.version, &json!({})).await)
            }
            (13..15, Some(held)) if held.ledger == Ledger::Plan => {
                let open = dice.roll(3) as i64;
                let steps: Vec<Value> = (0..3).map(|at| json!({"task": format!("步骤{at}"), "done_on": if at < open { Value::Null } else { json!("2026-01-01") }})).collect();
                let verdict = model.steps(&id, open);
                let path = format!("{}/steps", path_of(held.ledger, &id));
                ("steps", id, verdict, send(&db, Method::PUT, &path, &held.version, &json!({"steps": steps})).await)
            }
            (13..18, Some(held)) if held.ledger == Ledger::LowEfficiency => {
                next += 1;
                let plan = format!("{COUNTY}-F{next}");
                let verdict = model.enter_plan(&plan, &id);
                let properties = json!({"county_code": COUNTY, "number": format!("F{next}"), "parcel_id": id});
                let body = json!({"type": "Feature", "properties": properties, "geometry": null});
                let path = "/api/collections/redevelopment_plans/items";
                ("plan", plan, verdict, send(&db, Method::POST, path, "", &body).await)
            }
            _ => {
                next += 1;
                let ledger = if dice.roll(3) == 0 { Ledger::Turnover } else { Ledger::LowEfficiency };
                let states: Vec<_> = ledger.machine().states.iter().filter(|s| s.kind == StateKind::Main).collect();
                let state = dice.pick(&states[..states.len() - 3]);
                let since = today() - Days::new(200 + dice.roll(900));
                let parcel = format!("{COUNTY}-P{next}");
                model.enter(&parcel, ledger, ledger.machine().entering(state, None), since, "");
                let properties = json!({"county_code": COUNTY, "number": format!("P{next}"), "state": state.code, "state_on": since.to_string()});
                let geometry = square(x + f64::from(next) * 1e-5, y, 5e-6);
                let body = json!({"type": "Feature", "properties": properties, "geometry": geometry});
                let path = format!("/api/collections/{}/items?allow=plan_required", ledger.layer());
                ("enter", parcel, Ok(()), send(&db, Method::POST, &path, "", &body).await)
            }
        };
        let what = format!("deed {n}, {deed} of {touched} on {day}");
        assert_agrees(&answer, &verdict, &what);
        let word = verdict.map_or_else(|(_, code)| code, |()| "done".to_owned());
        *counts.entry((deed, word)).or_default() += 1;
        let only = if n % 30 == 0 { None } else { Some(std::slice::from_ref(&touched)) };
        assert_same(&db, &mut model, only, &what).await;
    }
    assert_same(&db, &mut model, None, "at the end").await;
    eprintln!("{counts:?}");
    for (deed, word, floor) in [
        ("move", "done", 60),
        ("move", "transition_not_allowed", 10),
        ("move", "feature_refused", 10),
        ("move", "plan_required", 1),
        ("many", "done", 5),
        ("many", "refused", 10),
        ("many", "tried", 3),
        ("enter", "done", 20),
        ("end", "done", 3),
        ("plan", "done", 5),
        ("plan", "plan_exists", 2),
    ] {
        let met = counts.get(&(deed, word.to_owned())).copied().unwrap_or(0);
        assert!(met >= floor, "few {deed} {word}: {counts:?}");
    }
    assert_eq!(db.audit().await, None);
}
