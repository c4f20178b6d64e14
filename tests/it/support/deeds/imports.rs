//! Files that bring parcels, corrections and blocks, and the undo of what they brought.

use serde_json::{Value, json};

use super::{Desk, Ground, Outcome, PARCELS, outcome, square, words};
use crate::support::edits::Dice;

impl Desk {
    pub(super) fn import_parcels(&self, dice: &mut Dice) -> Outcome {
        let layer = PARCELS[usize::from(dice.roll(5) < 2)];
        let ground = self.ground(dice);
        let standing = self.numbers_of(layer, ground);
        let mut numbers: Vec<String> = Vec::new();
        for _ in 0..=dice.roll(4) {
            let again = !standing.is_empty() && dice.roll(3) == 0;
            let number = if again { dice.pick(&standing).clone() } else { format!("D{}", self.number()) };
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        let features: Vec<Value> = numbers
            .iter()
            .map(|number| {
                let note = words(dice);
                json!({"type": "Feature", "properties": {"地块编号": number, "备注": note}, "geometry": self.place(ground)})
            })
            .collect();
        let file = json!({"type": "FeatureCollection", "features": features}).to_string();
        self.import(&[("layer", layer), ("county", &ground.county)], "地块.geojson", file.as_bytes())?;
        for number in numbers {
            self.keep(layer, format!("{}-{number}", ground.county));
        }
        Ok(())
    }

    /// A table without shapes: corrections of parcels that stand.
    pub(super) fn import_table(&self, dice: &mut Dice) -> Outcome {
        let layer = PARCELS[usize::from(dice.roll(5) < 2)];
        let ground = self.ground(dice);
        let standing = self.numbers_of(layer, ground);
        if standing.is_empty() {
            return Err((0, "none_yet".to_owned()));
        }
        let mut numbers: Vec<&String> = (0..=dice.roll(3)).map(|_| dice.pick(&standing)).collect();
        numbers.sort();
        numbers.dedup();
        let rows: String = numbers.iter().map(|number| format!("{number},{}\n", words(dice))).collect();
        let table = format!("地块编号,备注\n{rows}");
        self.import(&[("layer", layer), ("county", &ground.county)], "台账.csv", table.as_bytes())
    }

    /// The ground's block grows or shrinks to a square: parcels at its edge come in or fall out in the same revision.
    pub(super) fn import_blocks(&self, dice: &mut Dice) -> Outcome {
        let ground = self.ground(dice);
        let half = ground.radius * (30 + dice.roll(60)) as f64 / 100.0;
        let shape = square(ground.center.0 - half, ground.center.1 - half, half * 2.0);
        let feature =
            json!({"type": "Feature", "properties": {"编号": ground.block, "名称": words(dice)}, "geometry": shape});
        let file = json!({"type": "FeatureCollection", "features": [feature]}).to_string();
        let fields = [("layer", "park_blocks"), ("park", &ground.park), ("allow", "overlap_with_register")];
        self.import(&fields, "区块.geojson", file.as_bytes())
    }

    fn numbers_of(&self, layer: &str, ground: &Ground) -> Vec<String> {
        let records = self.records.lock().expect("records");
        let of = records.iter().filter(|(held, _)| *held == layer);
        of.filter_map(|(_, id)| Some(id.strip_prefix(&ground.county)?.trim_start_matches('-').to_owned())).collect()
    }

    /// Checked, then committed; what the check refuses is not committed.
    fn import(&self, fields: &[(&str, &str)], name: &str, content: &[u8]) -> Outcome {
        let staged = self.client.upload(fields, name, content);
        outcome(&staged, &[201])?;
        let batch = staged.json();
        let id = batch["id"].as_i64().expect("id");
        if batch["status"] != "checked" {
            let code = batch["report"]["findings"][0]["code"].as_str().unwrap_or_default();
            return Err((201, format!("{}:{code}", batch["status"].as_str().unwrap_or_default())));
        }
        let committed = self.client.send("POST", &format!("/api/imports/{id}/commit"), &[], b"");
        outcome(&committed, &[200])?;
        let batch = committed.json();
        if batch["status"] != "committed" || batch["revision"].is_null() {
            return Err((200, batch["status"].as_str().unwrap_or_default().to_owned()));
        }
        self.batches.lock().expect("batches").push(id);
        Ok(())
    }

    /// One of the last imports is taken back, where nothing has come after it.
    pub(super) fn undo(&self, dice: &mut Dice) -> Outcome {
        let last: Vec<i64> = self.batches.lock().expect("batches").iter().rev().take(4).copied().collect();
        if last.is_empty() {
            return Err((0, "none_yet".to_owned()));
        }
        let id = *dice.pick(&last);
        let reply = self.client.send("POST", &format!("/api/imports/{id}/undo"), &[], b"");
        outcome(&reply, &[200])?;
        self.batches.lock().expect("batches").retain(|held| *held != id);
        Ok(())
    }
}
