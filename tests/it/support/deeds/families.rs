//! Parcels divided and put together.

use serde_json::{Value, json};
use sizhi::domain::Ledger;

use super::{Desk, Outcome, PARCELS, Read, encode, fields, later, revision_of, words};
use crate::support::edits::Dice;

/// Splits of which the parts are remembered as neighbours.
const FAMILIES: usize = 12;

impl Desk {
    /// Strips from west to east, or the pieces that the parcel has; now and then one strip is forgotten.
    pub(super) fn split(&self, dice: &mut Dice) -> Outcome {
        let (layer, read) = self.read(&PARCELS, dice)?;
        let ledger = Ledger::of_layer(layer).expect("a ledger");
        let Some(mut land) = divided(&read.feature["geometry"], dice) else {
            return Err((0, "not_divisible".to_owned()));
        };
        if land.len() > 2 && dice.roll(6) == 0 {
            land.pop();
        }
        let numbers: Vec<String> = land.iter().map(|_| format!("S{}", self.number())).collect();
        let part = |(number, land): (&String, &Value), dice: &mut Dice| {
            let mut properties = if dice.roll(3) == 0 { fields(ledger, dice) } else { serde_json::Map::new() };
            properties.insert("number".to_owned(), json!(number));
            json!({"type": "Feature", "properties": properties, "geometry": land})
        };
        let parts: Vec<Value> = numbers.iter().zip(&land).map(|named| part(named, dice)).collect();
        let mut body =
            json!({"parts": parts, "document_no": format!("分〔{}〕号", dice.roll(1_000)), "reason": words(dice)});
        if dice.roll(4) > 0 {
            body["effective_on"] = json!(later(&read.feature, dice));
        }
        let (try_only, insist) = (dice.roll(12) == 0, dice.roll(2) == 0);
        let allow = if insist { "&allow=land_left_out" } else { "" };
        let path = format!("{}/split?dry_run={try_only}{allow}", read.path);
        let reply = self.client.json("POST", &path, Some(&read.version), &body);
        if try_only && reply.status == 200 {
            return Err((200, "dry_run".to_owned()));
        }
        self.edited(&reply, &[201])?;
        let county = read.feature["properties"]["county_code"].as_str().expect("county");
        let ids: Vec<String> = numbers.iter().map(|number| format!("{county}-{number}")).collect();
        ids.iter().for_each(|id| self.keep(layer, id.clone()));
        let mut families = self.families.lock().expect("families");
        families.push((layer, ids));
        if families.len() > FAMILIES {
            families.remove(0);
        }
        Ok(())
    }

    /// Two or three that were one, or any of one state and county, which lie apart.
    pub(super) fn merge(&self, dice: &mut Dice) -> Outcome {
        let family = {
            let mut families = self.families.lock().expect("families");
            let at = dice.roll(families.len().max(1) as u64) as usize;
            if families.is_empty() || dice.roll(4) == 0 { None } else { Some(families.swap_remove(at)) }
        };
        let (layer, seen, parents) = match family {
            Some((layer, ids)) => self.read_all(layer, &ids)?,
            None => self.strangers(dice)?,
        };
        if parents.len() < 2 {
            return Err((0, "none_left".to_owned()));
        }
        let county = parents[0]["properties"]["county_code"].clone();
        let number = format!("M{}", self.number());
        let last = parents.iter().max_by_key(|p| p["properties"]["state_on"].as_str()).expect("a parent");
        let from: Vec<&Value> = parents.iter().map(|p| &p["id"]).collect();
        let body = json!({
            "from": from, "seen_revision": seen, "effective_on": later(last, dice), "reason": words(dice),
            "into": {"type": "Feature", "properties": {"number": number, "name": words(dice)}},
        });
        let path = format!("/api/collections/{layer}/merge?allow=parcels_apart");
        self.edited(&self.client.json("POST", &path, None, &body), &[201])?;
        self.keep(layer, format!("{}-{number}", county.as_str().expect("county")));
        Ok(())
    }

    /// Those of these that still stand, and the revision at which the first was read.
    fn read_all(&self, layer: &'static str, ids: &[String]) -> Result<(&'static str, i64, Vec<Value>), (u16, String)> {
        let path = |id: &String| format!("/api/collections/{layer}/items/{}", encode(id));
        let replies: Vec<_> = ids.iter().map(|id| self.client.get(&path(id))).filter(|r| r.status == 200).collect();
        let first = replies.first().ok_or_else(|| (404, "item_not_found".to_owned()))?;
        Ok((layer, revision_of(first), replies.iter().map(|reply| reply.json()).collect()))
    }

    fn strangers(&self, dice: &mut Dice) -> Result<(&'static str, i64, Vec<Value>), (u16, String)> {
        let (layer, Read { feature, .. }) = self.read(&PARCELS, dice)?;
        let properties = &feature["properties"];
        let of = |name: &str| properties[name].as_str().expect("text").to_owned();
        let filter = format!("state={}&county_code={}&limit={}", of("state"), of("county_code"), 2 + dice.roll(2));
        let (seen, features) = self.list(layer, &filter);
        Ok((layer, seen, features))
    }
}

/// The parcel in two or three: pieces one by one where it has several, else strips of its rectangle.
fn divided(geometry: &Value, dice: &mut Dice) -> Option<Vec<Value>> {
    let pieces = geometry["coordinates"].as_array()?;
    if pieces.len() > 1 {
        let (one, rest) = pieces.split_at(1);
        return Some([one, rest].map(|of| json!({"type": "MultiPolygon", "coordinates": of})).to_vec());
    }
    let ring: Vec<(f64, f64)> =
        pieces.first()?[0].as_array()?.iter().map(|p| Some((p[0].as_f64()?, p[1].as_f64()?))).collect::<Option<_>>()?;
    let side = |of: fn(f64, f64) -> f64, at: fn(&(f64, f64)) -> f64| ring.iter().map(at).reduce(of);
    let (w, e) = (side(f64::min, |p| p.0)?, side(f64::max, |p| p.0)?);
    let (s, n) = (side(f64::min, |p| p.1)?, side(f64::max, |p| p.1)?);
    // Anything but a rectangle is left alone; the merge of neighbours has corners along its sides.
    if ring.iter().any(|(x, y)| !(*x == w || *x == e || *y == s || *y == n)) {
        return None;
    }
    let strips = 2 + dice.roll(2);
    // Cuts of as many digits as the service publishes, so that the next split finds them again.
    let cut = |at: u64| if at == strips { e } else { ((w + (e - w) * at as f64 / strips as f64) * 1e8).round() / 1e8 };
    let west = |at: u64| if at == 0 { w } else { cut(at) };
    let strip = |at: u64| {
        let (w, e) = (west(at), cut(at + 1));
        json!({"type": "Polygon", "coordinates": [[[w, s], [e, s], [e, n], [w, n], [w, s]]]})
    };
    Some((0..strips).map(strip).collect())
}
