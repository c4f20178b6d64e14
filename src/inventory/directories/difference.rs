//! What differs between two directories: parks that came, those that went and who goes on with them, names, areas, words, industries.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use super::{Directory, Entry, entry_json, find_in, hectares, level_of, not_found, of_day_in};
use crate::error::Result;
use crate::store::{self, park_lineage};

/// One of the two.
#[derive(Debug, Clone, PartialEq)]
pub enum Side {
    /// A published version by its id.
    Version(String),
    /// The register on a day.
    Day(NaiveDate),
}

/// A park that one of the two does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct OneSided {
    pub entry: Entry,
    /// Of one that went: who has its land since. Of one that came: from whom it has its land. By the events of parks.
    pub relatives: Vec<String>,
    /// Of one that went: where it stands now.
    pub status: Option<String>,
}

/// A park that both have and that they say different things of.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    pub code: String,
    pub name: String,
    /// Property, before, after.
    pub changes: Vec<(&'static str, Value, Value)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub from: Directory,
    pub to: Directory,
    pub added: Vec<OneSided>,
    pub gone: Vec<OneSided>,
    pub changed: Vec<Changed>,
    pub unchanged: usize,
    /// Properties of which one of the two says nothing at all: nothing can be told of them.
    pub not_compared: Vec<&'static str>,
}

/// Compares two directories, both read from one state of the register.
pub async fn difference(pool: &PgPool, from: &Side, to: &Side) -> Result<Difference> {
    let mut transaction = store::begin_read(pool).await?;
    let (from, to) = (side(&mut transaction, from).await?, side(&mut transaction, to).await?);
    let descents = park_lineage::descents(&mut transaction).await?;
    let codes: Vec<String> = from.entries.iter().map(|entry| entry.code.clone()).collect();
    let nodes = park_lineage::nodes(&mut transaction, &codes).await?;
    transaction.commit().await?;
    let statuses = nodes.into_iter().map(|node| (node.code, node.status)).collect();
    Ok(compare(from, to, &descents, &statuses))
}

async fn side(connection: &mut PgConnection, side: &Side) -> Result<Directory> {
    match side {
        Side::Day(day) => of_day_in(connection, *day).await,
        Side::Version(id) => find_in(connection, id).await?.ok_or_else(|| not_found(id)),
    }
}

/// What is compared: its name and how an entry says it.
const COMPARED: [(&str, fn(&Entry) -> Value); 4] = [
    ("name", |entry| json!(entry.name)),
    ("area_ha", |entry| hectares(entry.area)),
    ("four_extents", |entry| json!(entry.four_extents)),
    ("leading_industries", |entry| json!(entry.leading_industries)),
];

fn says_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn compare(
    from: Directory,
    to: Directory,
    descents: &[(String, String)],
    statuses: &HashMap<String, String>,
) -> Difference {
    let by_code = |directory: &Directory| -> BTreeMap<String, Entry> {
        directory.entries.iter().map(|entry| (entry.code.clone(), entry.clone())).collect()
    };
    let (before, after) = (by_code(&from), by_code(&to));
    let silent =
        |directory: &Directory, of: fn(&Entry) -> Value| directory.entries.iter().all(|e| says_nothing(&of(e)));
    let compared: Vec<(&'static str, fn(&Entry) -> Value)> =
        COMPARED.into_iter().filter(|(_, of)| !silent(&from, *of) && !silent(&to, *of)).collect();
    let not_compared = COMPARED.iter().map(|(name, _)| *name).filter(|name| !compared.iter().any(|(n, _)| n == name));
    let relatives = |code: &str, forward: bool| -> Vec<String> {
        let pairs = descents.iter().filter(|(parent, child)| if forward { parent == code } else { child == code });
        pairs.map(|(parent, child)| if forward { child.clone() } else { parent.clone() }).collect()
    };
    let gone = before.values().filter(|entry| !after.contains_key(&entry.code)).map(|entry| OneSided {
        relatives: relatives(&entry.code, true),
        status: statuses.get(&entry.code).cloned(),
        entry: entry.clone(),
    });
    let added = after.values().filter(|entry| !before.contains_key(&entry.code)).map(|entry| OneSided {
        relatives: relatives(&entry.code, false),
        status: None,
        entry: entry.clone(),
    });
    let both = before.values().filter_map(|old| Some((old, after.get(&old.code)?)));
    let (mut changed, mut unchanged) = (Vec::new(), 0);
    for (old, new) in both {
        let changes: Vec<(&'static str, Value, Value)> = compared
            .iter()
            .map(|(name, of)| (*name, of(old), of(new)))
            .filter(|(_, before, after)| before != after)
            .collect();
        if changes.is_empty() {
            unchanged += 1;
        } else {
            changed.push(Changed { code: new.code.clone(), name: new.name.clone(), changes });
        }
    }
    Difference {
        added: added.collect(),
        gone: gone.collect(),
        changed,
        unchanged,
        not_compared: not_compared.collect(),
        from,
        to,
    }
}

/// The difference as JSON, without links.
pub fn difference_json(found: &Difference) -> Value {
    let head = |directory: &Directory| {
        json!({
            "id": directory.id,
            "title": directory.title,
            "document_no": directory.document_no,
            "issued_on": directory.issued_on.map(|day| day.to_string()),
            "register_on": directory.register_on.map(|day| day.to_string()),
            "parks": directory.entries.len(),
        })
    };
    let added = |one: &OneSided| {
        let mut entry = entry_json(&one.entry);
        entry["predecessors"] = json!(one.relatives);
        entry
    };
    let gone = |one: &OneSided| {
        let mut entry = entry_json(&one.entry);
        entry["successors"] = json!(one.relatives);
        entry["status"] = json!(one.status);
        entry
    };
    let changed = |park: &Changed| {
        let change =
            |(name, before, after): &(&str, Value, Value)| json!({"name": name, "before": before, "after": after});
        json!({
            "code": park.code,
            "name": park.name,
            "level": level_of(&park.code),
            "changes": park.changes.iter().map(change).collect::<Vec<_>>(),
        })
    };
    json!({
        "from": head(&found.from),
        "to": head(&found.to),
        "added": found.added.iter().map(added).collect::<Vec<_>>(),
        "gone": found.gone.iter().map(gone).collect::<Vec<_>>(),
        "changed": found.changed.iter().map(changed).collect::<Vec<_>>(),
        "unchanged": found.unchanged,
        "not_compared": found.not_compared,
    })
}
