//! One move of many records, and the way back from any edit.

use serde_json::{Value, json};
use sizhi::domain::Ledger;

use super::{Desk, Outcome, PARCELS, PLANS, Read, later, outcome, revision_of, words};
use crate::support::edits::Dice;

impl Desk {
    /// Records of one state, as a list of them shows them, into the next: all or nothing, or those that may.
    pub(super) fn move_many(&self, dice: &mut Dice) -> Outcome {
        let layers = [PARCELS[0], PARCELS[1], PLANS];
        let (layer, Read { feature, .. }) = self.read(&layers, dice)?;
        let text = |name: &str| feature["properties"][name].as_str();
        let machine = Ledger::of_layer(layer).expect("a ledger").machine();
        let state = text("state").expect("state");
        let allowed = machine.allowed(machine.step(state, text("held_state")).expect("known"));
        let any = allowed.is_empty() || dice.roll(8) == 0;
        let to = if any { dice.pick(machine.states).code } else { dice.pick(&allowed).code };
        let (seen, chosen) = self.list(layer, &format!("state={state}&limit={}", 2 + dice.roll(20)));
        let Some(last) = chosen.iter().max_by_key(|f| f["properties"]["valid_from"].as_str()) else {
            return Err((0, "none_left".to_owned()));
        };
        let ids: Vec<&Value> = chosen.iter().map(|feature| &feature["id"]).collect();
        let (skip, try_only) = (dice.roll(2) == 0, dice.roll(12) == 0);
        let body = json!({
            "to": to, "effective_on": later(last, dice), "document_no": format!("批〔{}〕号", dice.roll(1_000)), "reason": words(dice),
            "ids": ids, "seen_revision": seen, "skip_refused": skip, "dry_run": try_only,
        });
        let reply = self.client.json("POST", &format!("/api/collections/{layer}/transitions"), None, &body);
        outcome(&reply, &[200])?;
        let told = reply.json();
        let moves = told["records"].as_array().expect("records").iter().filter(|r| r["moves"] == true).count();
        assert_eq!(told["moving"], moves, "{told}");
        assert_eq!(told["revision"].is_null(), try_only || moves == 0, "{told}");
        if told["revision"].is_null() {
            return Err((200, if try_only { "dry_run" } else { "none_moved" }.to_owned()));
        }
        self.edited(&reply, &[200])
    }

    /// One of the last edits is taken back, where nothing has come after it; the undo of an undo as well.
    pub(super) fn undo_revision(&self, dice: &mut Dice) -> Outcome {
        let last: Vec<i64> = self.revisions.lock().expect("revisions").iter().rev().take(6).copied().collect();
        if last.is_empty() {
            return Err((0, "none_yet".to_owned()));
        }
        let number = *dice.pick(&last);
        let try_only = dice.roll(12) == 0;
        let body = json!({"reason": words(dice), "dry_run": try_only});
        let reply = self.client.json("POST", &format!("/api/revisions/{number}/undo"), None, &body);
        outcome(&reply, &[200])?;
        if try_only {
            return Err((200, "dry_run".to_owned()));
        }
        self.revisions.lock().expect("revisions").retain(|held| *held != number);
        self.edited(&reply, &[200])
    }

    /// A page of a layer, and the revision that it tells of.
    pub(super) fn list(&self, layer: &str, filter: &str) -> (i64, Vec<Value>) {
        let path = format!("/api/collections/{layer}/items?{filter}");
        let reply = self.client.get(&path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        (revision_of(&reply), reply.json()["features"].as_array().expect("features").clone())
    }
}
