//! Random deeds in the ledgers over HTTP, as several clerks do them: records entered, corrected, moved and ended, plans and their
//! steps, imports of parcels, tables and blocks, splits and merges, moves of many at once, undos. Histories to be judged.

mod families;
mod imports;
mod many;
mod tally;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{Days, NaiveDate};
use serde_json::{Map, Value, json};
use sizhi::domain::Ledger;
use sizhi::domain::ledger::FieldKind;
use sizhi::inventory::today;
use sqlx::AssertSqlSafe;
use tokio::runtime::Handle;

use super::Database;
use super::client::{Client, Reply};
use super::edits::Dice;
use super::http::encode;
use super::parcels::square;
pub use tally::{Bag, Tally};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    Enter,
    Correct,
    Replace,
    Move,
    End,
    EnterPlan,
    CorrectPlan,
    Steps,
    MovePlan,
    EndPlan,
    ImportParcels,
    ImportTable,
    ImportBlocks,
    Undo,
    Split,
    Merge,
    MoveMany,
    UndoRevision,
    RenamePark,
    RenameCounty,
}

/// Every deed: how many of a hundred it is, and how many of four hundred are done at least, whatever the dice say.
pub const DEEDS: [(Deed, usize, usize); 20] = [
    (Deed::Enter, 13, 30),
    (Deed::Correct, 10, 15),
    (Deed::Replace, 5, 6),
    (Deed::Move, 12, 10),
    (Deed::End, 3, 2),
    (Deed::EnterPlan, 6, 4),
    (Deed::CorrectPlan, 2, 1),
    (Deed::Steps, 4, 1),
    (Deed::MovePlan, 6, 3),
    (Deed::EndPlan, 2, 1),
    (Deed::ImportParcels, 5, 8),
    (Deed::ImportTable, 3, 3),
    (Deed::ImportBlocks, 2, 3),
    (Deed::Undo, 4, 3),
    (Deed::Split, 6, 5),
    (Deed::Merge, 4, 3),
    (Deed::MoveMany, 5, 4),
    (Deed::UndoRevision, 6, 6),
    (Deed::RenamePark, 1, 4),
    (Deed::RenameCounty, 1, 4),
];

/// Refused for what it asked or for what another writer did; told by its status and code.
pub type Outcome = Result<(), (u16, String)>;

/// A block of a park in which the parcels of a history lie.
struct Ground {
    park: String,
    county: String,
    block: String,
    center: (f64, f64),
    /// Degrees around the centre that are the block's own.
    radius: f64,
}

/// Cells along one side of a ground's grid.
const CELLS: u64 = 24;
const PLANS: &str = "redevelopment_plans";
const PARCELS: [&str; 2] = ["turnover_parcels", "low_efficiency_parcels"];

/// What the writers of one history share.
pub struct Desk {
    pub client: Client,
    db: Arc<Database>,
    grounds: Vec<Ground>,
    /// Layer and id of every record that was entered.
    records: Mutex<Vec<(&'static str, String)>>,
    /// Imports that were committed, the last one last.
    batches: Mutex<Vec<i64>>,
    /// Revisions that edits have made, the last one last.
    revisions: Mutex<Vec<i64>>,
    /// Layer and parts of the last splits: neighbours that may be put together.
    families: Mutex<Vec<(&'static str, Vec<String>)>>,
    next: AtomicU64,
}

/// A record as a writer reads it before a deed.
struct Read {
    path: String,
    version: String,
    feature: Value,
}

impl Desk {
    pub async fn open(db: Arc<Database>, address: &str) -> Self {
        let rows: Vec<(String, String, String, f64, f64, f64)> = sqlx::query_as(
            "SELECT * FROM (
                 SELECT DISTINCT ON (b.park_code) b.park_code, p.county_codes[1], b.number, ST_X(c.center), ST_Y(c.center), c.radius
                 FROM park_block b JOIN park p ON p.code = b.park_code, LATERAL ST_MaximumInscribedCircle(b.geom) c
                 WHERE cardinality(p.county_codes) = 1 ORDER BY b.park_code, b.area_m2 DESC) g
             ORDER BY md5(park_code) LIMIT 4",
        )
        .fetch_all(&db.pool)
        .await
        .expect("grounds");
        assert_eq!(rows.len(), 4, "{rows:?}");
        let ground = |(park, county, block, x, y, radius)| Ground { park, county, block, center: (x, y), radius };
        Self {
            client: Client { address: address.to_owned() },
            grounds: rows.into_iter().map(ground).collect(),
            db,
            records: Mutex::default(),
            batches: Mutex::default(),
            revisions: Mutex::default(),
            families: Mutex::default(),
            next: AtomicU64::new(1),
        }
    }

    /// Does one deed; blocks, so it is for a thread of its own.
    pub fn act(&self, deed: Deed, dice: &mut Dice) -> Outcome {
        match deed {
            Deed::Enter => self.enter(dice),
            Deed::Correct => self.correct(&PARCELS, dice),
            Deed::Replace => self.replace(dice),
            Deed::Move => self.transition(&PARCELS, dice),
            Deed::End => self.end(&PARCELS, dice),
            Deed::EnterPlan => self.enter_plan(dice),
            Deed::CorrectPlan => self.correct(&[PLANS], dice),
            Deed::Steps => self.steps(dice),
            Deed::MovePlan => self.transition(&[PLANS], dice),
            Deed::EndPlan => self.end(&[PLANS], dice),
            Deed::ImportParcels => self.import_parcels(dice),
            Deed::ImportTable => self.import_table(dice),
            Deed::ImportBlocks => self.import_blocks(dice),
            Deed::Undo => self.undo(dice),
            Deed::Split => self.split(dice),
            Deed::Merge => self.merge(dice),
            Deed::MoveMany => self.move_many(dice),
            Deed::UndoRevision => self.undo_revision(dice),
            Deed::RenamePark => self.rename("park", "code", |ground| &ground.park, dice),
            Deed::RenameCounty => self.rename("division", "code", |ground| &ground.county, dice),
        }
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn ground(&self, dice: &mut Dice) -> &Ground {
        dice.pick(&self.grounds)
    }

    /// A square of its own on the grid of a ground, which reaches over the block's edge.
    fn place(&self, ground: &Ground) -> Value {
        let n = self.number() % (CELLS * CELLS);
        let cell = 2.0 * ground.radius / CELLS as f64;
        let at = |n: u64| -ground.radius + n as f64 * cell;
        square(ground.center.0 + at(n % CELLS), ground.center.1 + at(n / CELLS), cell * 0.6)
    }

    fn pick_record(&self, layers: &[&str], dice: &mut Dice) -> Option<(&'static str, String)> {
        let records = self.records.lock().expect("records");
        let of: Vec<_> = records.iter().filter(|(layer, _)| layers.contains(layer)).collect();
        if of.is_empty() { None } else { Some((*dice.pick(&of)).clone()) }
    }

    fn keep(&self, layer: &'static str, id: String) {
        let mut records = self.records.lock().expect("records");
        if !records.iter().any(|held| *held == (layer, id.clone())) {
            records.push((layer, id));
        }
    }

    /// A record of one of these layers as it stands. One that has ended is let go of.
    fn read(&self, layers: &[&str], dice: &mut Dice) -> Result<(&'static str, Read), (u16, String)> {
        let (layer, id) = self.pick_record(layers, dice).ok_or((0, "none_yet".to_owned()))?;
        let path = format!("/api/collections/{layer}/items/{}", encode(&id));
        let reply = self.client.get(&path);
        if reply.status == 404 {
            self.records.lock().expect("records").retain(|held| *held != (layer, id.clone()));
            return Err((404, "item_not_found".to_owned()));
        }
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let version = reply.header("etag").expect("etag").to_owned();
        Ok((layer, Read { path, version, feature: reply.json() }))
    }

    fn enter(&self, dice: &mut Dice) -> Outcome {
        let layer = PARCELS[usize::from(dice.roll(5) < 2)];
        let ledger = Ledger::of_layer(layer).expect("a ledger");
        let ground = self.ground(dice);
        let number = format!("W{}", self.number());
        let mut properties = fields(ledger, dice);
        let state = dice.pick(ledger.machine().states).code;
        properties.extend([
            ("county_code".to_owned(), json!(ground.county)),
            ("number".to_owned(), json!(number)),
            ("state".to_owned(), json!(state)),
            ("state_on".to_owned(), json!(day(dice))),
        ]);
        let feature = json!({"type": "Feature", "properties": properties, "geometry": self.place(ground)});
        let path = format!("/api/collections/{layer}/items?allow=plan_required");
        self.edited(&self.client.json("POST", &path, None, &feature), &[201])?;
        self.keep(layer, format!("{}-{number}", ground.county));
        Ok(())
    }

    fn correct(&self, layers: &[&str], dice: &mut Dice) -> Outcome {
        let (layer, read) = self.read(layers, dice)?;
        let ledger = Ledger::of_layer(layer).expect("a ledger");
        let mut patch = json!({"properties": fields(ledger, dice)});
        if ledger != Ledger::Plan && dice.roll(3) == 0 {
            patch["geometry"] = self.place(self.ground(dice));
        }
        if dice.roll(4) == 0 {
            patch["properties"]["name"] = if dice.roll(3) == 0 { Value::Null } else { json!(words(dice)) };
        }
        if ledger != Ledger::Plan && dice.roll(4) == 0 {
            patch["properties"]["stated_park"] = json!(self.ground(dice).park);
        }
        self.written(&self.client.json("PATCH", &read.path, Some(&read.version), &patch), &read)
    }

    fn replace(&self, dice: &mut Dice) -> Outcome {
        let (layer, mut read) = self.read(&PARCELS, dice)?;
        let ledger = Ledger::of_layer(layer).expect("a ledger");
        for (name, value) in fields(ledger, dice) {
            read.feature["properties"][name] = value;
        }
        self.written(&self.client.json("PUT", &read.path, Some(&read.version), &read.feature), &read)
    }

    fn transition(&self, layers: &[&str], dice: &mut Dice) -> Outcome {
        let (layer, read) = self.read(layers, dice)?;
        let ledger = Ledger::of_layer(layer).expect("a ledger");
        let text = |name: &str| read.feature["properties"][name].as_str();
        let machine = ledger.machine();
        let step = machine.step(text("state").expect("state"), text("held_state")).expect("known");
        let allowed = machine.allowed(step);
        let to = if allowed.is_empty() || dice.roll(8) == 0 {
            dice.pick(machine.states).code
        } else {
            dice.pick(&allowed).code
        };
        let mut wanted =
            json!({"to": to, "document_no": format!("文〔{}〕号", dice.roll(1_000)), "reason": words(dice)});
        if dice.roll(4) > 0 {
            wanted["effective_on"] = json!(later(&read.feature, dice));
        }
        let path = format!("{}/transitions", read.path);
        self.edited(&self.client.json("POST", &path, Some(&read.version), &wanted), &[200])
    }

    fn end(&self, layers: &[&str], dice: &mut Dice) -> Outcome {
        let (_, read) = self.read(layers, dice)?;
        let path = format!("{}?effective_on={}&reason={}", read.path, later(&read.feature, dice), encode("误登"));
        self.edited(&self.client.send("DELETE", &path, &[("If-Match", &read.version)], b""), &[204])
    }

    fn enter_plan(&self, dice: &mut Dice) -> Outcome {
        let (_, read) = self.read(&["low_efficiency_parcels"], dice)?;
        let (county, number) = (&read.feature["properties"]["county_code"], format!("F{}", self.number()));
        let mut properties = fields(Ledger::Plan, dice);
        properties.extend([
            ("county_code".to_owned(), county.clone()),
            ("number".to_owned(), json!(number)),
            ("parcel_id".to_owned(), read.feature["id"].clone()),
        ]);
        let feature = json!({"type": "Feature", "properties": properties, "geometry": null});
        self.edited(&self.client.json("POST", &format!("/api/collections/{PLANS}/items"), None, &feature), &[201])?;
        self.keep(PLANS, format!("{}-{number}", county.as_str().expect("county")));
        Ok(())
    }

    fn steps(&self, dice: &mut Dice) -> Outcome {
        let (_, read) = self.read(&[PLANS], dice)?;
        let steps: Vec<Value> = (0..dice.roll(5))
            .map(|_| {
                let done = if dice.roll(2) == 0 { Value::Null } else { json!(day(dice)) };
                json!({"task": words(dice), "due_on": day(dice), "done_on": done})
            })
            .collect();
        let path = format!("{}/steps", read.path);
        self.written(&self.client.json("PUT", &path, Some(&read.version), &json!({"steps": steps})), &read)
    }

    /// An edit that is done is one revision, whose number is kept.
    #[track_caller]
    fn edited(&self, reply: &Reply, good: &[u16]) -> Outcome {
        outcome(reply, good)?;
        self.revisions.lock().expect("revisions").push(revision_of(reply));
        Ok(())
    }

    /// The same of one that may have changed nothing, and then is none.
    #[track_caller]
    fn written(&self, reply: &Reply, read: &Read) -> Outcome {
        outcome(reply, &[200])?;
        // The tag begins with the record's own version; what follows is the register's.
        let version = |tag: &str| tag.split('-').next().map(str::to_owned);
        if version(reply.header("etag").expect("etag")) == version(&read.version) {
            return Err((200, "unchanged".to_owned()));
        }
        self.edited(reply, &[200])
    }

    /// What a directory or the division list brings: no request renames a single park.
    fn rename(&self, table: &str, key: &str, of: impl Fn(&Ground) -> &String, dice: &mut Dice) -> Outcome {
        let code = of(self.ground(dice));
        let sql = format!("UPDATE {table} SET name = '{}' WHERE {key} = '{code}'", words(dice));
        Handle::current().block_on(async {
            let mut transaction = sizhi::store::begin_write(&self.db.pool).await.expect("transaction");
            sizhi::store::revision::open(&mut transaction, "test", "改名", "").await.expect("revision");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await.expect("renamed");
            transaction.commit().await.expect("committed");
        });
        Ok(())
    }
}

/// Whether it was done; anything but a refusal that a clerk can act on is a fault of the service.
#[track_caller]
fn outcome(reply: &Reply, good: &[u16]) -> Outcome {
    if good.contains(&reply.status) {
        return Ok(());
    }
    assert!(matches!(reply.status, 400 | 404 | 409 | 412), "{} {}", reply.status, reply.text());
    let problem = reply.json();
    let finding = problem["findings"][0]["code"].as_str().map(|code| format!(":{code}")).unwrap_or_default();
    Err((reply.status, format!("{}{finding}", problem["code"].as_str().expect("a code"))))
}

#[track_caller]
fn revision_of(reply: &Reply) -> i64 {
    reply.header("sizhi-revision").and_then(|text| text.parse().ok()).expect("a revision")
}

fn words(dice: &mut Dice) -> String {
    format!("字{}", dice.roll(1_000_000))
}

fn day(dice: &mut Dice) -> String {
    some_day(dice).to_string()
}

fn some_day(dice: &mut Dice) -> NaiveDate {
    let first = NaiveDate::from_ymd_opt(2016, 1, 1).expect("a day");
    first + Days::new(dice.roll(3_900))
}

/// A day on which the record may move: seldom before its last move, and never to come.
fn later(feature: &Value, dice: &mut Dice) -> String {
    let of = |name: &str| feature["properties"][name].as_str().and_then(|text| text.parse::<NaiveDate>().ok());
    let last = of("state_on").max(of("valid_from")).unwrap_or_else(|| some_day(dice));
    if dice.roll(12) == 0 {
        return (last - Days::new(1 + dice.roll(9))).to_string();
    }
    (last + Days::new(dice.roll(300))).min(today()).to_string()
}

/// One to five fields of the ledger with values, or cleared.
fn fields(ledger: Ledger, dice: &mut Dice) -> Map<String, Value> {
    let mut map = Map::new();
    for _ in 0..=dice.roll(5) {
        let field = dice.pick(ledger.fields());
        // The code of a use and the list it is from go together; another test has them.
        if field.name.starts_with("land_use") {
            continue;
        }
        let value = match field.kind {
            _ if dice.roll(6) == 0 => Value::Null,
            FieldKind::Text => json!(words(dice)),
            FieldKind::Choice(list) => json!(dice.pick(list)),
            FieldKind::Date => json!(day(dice)),
            FieldKind::Area | FieldKind::Number => json!(dice.roll(80_000) as f64 / 8.0),
            FieldKind::Year => json!(2010 + dice.roll(17)),
            FieldKind::Boolean => json!(dice.roll(2) == 0),
        };
        map.insert(field.name.to_owned(), value);
    }
    map
}
