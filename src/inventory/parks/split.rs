//! A park is divided: every block goes to exactly one park, whole or in parts that together are what it was.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::land::{self, Part};
use super::numbers::Numbers;
use super::work::{Line, Work};
use super::{Portion, Share, checks};
use crate::domain::lifecycle::EventKind;
use crate::domain::{Block, Finding, ParkCode, Place, Severity};
use crate::error::{Error, Result};
use crate::inventory::import;
use crate::store::blocks;
use crate::store::park_events::{self, ParkEdit, StandingBlock};

/// Parts that one request draws at most.
const MOST_PARTS: usize = 500;

/// Who gets what, judged.
pub(super) struct Division {
    /// Of each share the blocks that go over as they are.
    whole: Vec<Vec<StandingBlock>>,
    /// Parts with the block that each is of, all shares together.
    parts: Vec<(String, Block, f64)>,
    /// Blocks that end in parts.
    divided: Vec<String>,
}

impl Work<'_> {
    /// Judges who gets what; nothing is written.
    pub async fn divide(
        &mut self,
        connection: &mut PgConnection,
        park: &ParkCode,
        shares: &[Share],
    ) -> Result<Division> {
        let blocks = park_events::list_blocks(connection, &[park.to_string()]).await?;
        let (whole, drawn) = allot(park, shares, &blocks)?;
        let used = park_events::used_numbers(connection, park.as_str()).await?;
        let mut made: Vec<Made> = Vec::new();
        for ((share, whole), drawn) in shares.iter().zip(&whole).zip(&drawn).filter(|(_, drawn)| !drawn.is_empty()) {
            let mut numbers = Numbers::of(used.iter().cloned());
            match &share.park {
                // The land of a number goes on under it, by its first part; whoever wants it otherwise says so.
                None => drawn.iter().for_each(|part| numbers.release(&part.of.number)),
                // A park to come has the numbers of the blocks that it gets whole.
                Some(_) => numbers = Numbers::of(whole.iter().map(|block| block.number.clone())),
            }
            made.extend(self.draw(share, park, drawn, &mut numbers).await?);
        }
        let mut parts = Vec::with_capacity(made.len());
        let mut of_blocks: BTreeMap<String, Vec<Made>> = BTreeMap::new();
        for made in made {
            of_blocks.entry(made.from.clone()).or_default().push(made);
        }
        let divided: Vec<String> = of_blocks.keys().cloned().collect();
        for (from, list) in of_blocks {
            let common = self.compare(connection, &from, &list).await?;
            let drawn = blocks.iter().any(|block| block.id == from && block.illustrative);
            parts.extend(list.into_iter().zip(common).map(|(Made { mut block, .. }, m2)| {
                if drawn {
                    block.illustrative = true;
                    block.source = format!("示意：区块 {from} 的一部分");
                }
                (from.clone(), block, m2)
            }));
        }
        Ok(Division { whole, parts, divided })
    }

    /// The parts that a share is drawn, as blocks of its park.
    async fn draw(
        &mut self,
        share: &Share,
        divided: &ParkCode,
        drawn: &[Drawn<'_>],
        numbers: &mut Numbers,
    ) -> Result<Vec<Made>> {
        let park = share.park.as_ref().map_or(divided, |new| &new.park.code);
        let mut features = Vec::with_capacity(drawn.len());
        for part in drawn {
            let wrong = |code, message| checks::refused(vec![Finding::error(code, place_of(part.at), message)]);
            let mut feature = part.feature.clone();
            if let Some(properties) = properties_of(&mut feature) {
                let said = match properties.get("number") {
                    None | Some(Value::Null) => None,
                    Some(Value::String(text)) => Some(text.trim().to_owned()).filter(|number| !number.is_empty()),
                    Some(Value::Number(number)) => Some(number.to_string()),
                    Some(_) => {
                        let message = format!("分给园区 {park} 的部分：区块编号（number）应为文字或数");
                        return Err(wrong("id_invalid", message));
                    }
                };
                let number = match said {
                    Some(number) if numbers.take(&number) => number,
                    Some(number) => {
                        return Err(wrong("id_duplicate", format!("区块编号“{number}”在园区 {park} 已经用过")));
                    }
                    None => numbers.give(&part.of.number),
                };
                properties.insert("number".to_owned(), json!(number));
            }
            features.push(feature);
        }
        let text = json!({"type": "FeatureCollection", "features": features}).to_string();
        let (made, mut findings) = import::judge_given_blocks(text, park, self.deed.viewer, &self.wanted.allow).await?;
        for finding in &mut findings {
            // Judged alone, the parts are records 1, 2 …; whoever sent them finds them in the list of their park.
            let row = finding.place.row.and_then(|row| usize::try_from(row).ok());
            if let Some(part) = row.and_then(|row| drawn.get(row.checked_sub(1)?)) {
                finding.place.row = place_of(part.at).row;
            }
            finding.message = format!("分给园区 {park} 的部分（记录按所画的次序计）：{}", finding.message);
        }
        if findings.iter().any(|f| f.severity == Severity::Error) || made.len() != drawn.len() {
            return Err(checks::refused(findings));
        }
        self.warnings.extend(findings);
        let made = drawn.iter().zip(made);
        Ok(made.map(|(part, block)| Made { from: part.of.id.clone(), place: place_of(part.at), block }).collect())
    }

    /// Nothing of the block is lost, and nothing comes in.
    async fn compare(&self, connection: &mut PgConnection, from: &str, list: &[Made]) -> Result<Vec<f64>> {
        let Some(boundary) = park_events::boundary(connection, from).await? else {
            return Err(Error::not_found("block_not_found", format!("没有区块 {from}")));
        };
        let part = |made: &Made| Part {
            id: made.block.id.to_string(),
            place: made.place.clone(),
            boundary: made.block.boundary.clone(),
        };
        let parts: Vec<Part> = list.iter().map(part).collect();
        let name = from.to_owned();
        let (common, findings) = import::off_async_threads(move || land::compare(&name, &boundary, &parts)).await?;
        if findings.is_empty() { Ok(common) } else { Err(checks::refused(findings)) }
    }

    /// Writes what was judged.
    pub async fn split(
        &mut self,
        connection: &mut PgConnection,
        park: &ParkCode,
        shares: &[Share],
        division: Division,
        revision: i64,
    ) -> Result<()> {
        let heirs: Vec<&ParkCode> =
            shares.iter().map(|share| share.park.as_ref().map_or(park, |new| &new.park.code)).collect();
        self.file(park, EventKind::Split, &heirs, self.wanted.areas, revision);
        let keeps = shares.iter().any(|share| share.park.is_none());
        if !keeps {
            self.withdraw(connection, &[park]).await?;
        }
        for (share, whole) in shares.iter().zip(&division.whole) {
            let Some(new) = &share.park else { continue };
            self.establish(connection, new, &[park], revision).await?;
            self.hand_on(connection, whole, &new.park.code, &mut Numbers::default()).await?;
        }
        blocks::end_blocks(connection, &division.divided, self.on).await?;
        for (from, block, m2) in division.parts {
            park_events::begin_block(connection, &block, self.on).await?;
            self.lines.push(Line { park: park.to_string(), parent: from, child: block.id.to_string(), m2 });
        }
        if !keeps {
            return self.end(connection, park, None).await;
        }
        let approved_area = self.wanted.areas.approved();
        if approved_area.is_none() {
            let message = format!("文件没有写明拆分后园区 {park} 的核准面积，登记的核准面积不变");
            self.warnings.push(Finding::warning("approved_area_kept", Place::whole().field("areas"), message));
        }
        let edit = ParkEdit { approved_area, ..ParkEdit::default() };
        park_events::edit_park(connection, park.as_str(), &edit).await?;
        Ok(())
    }
}

fn place_of(at: usize) -> Place {
    Place::row(at as u64 + 1).field("blocks")
}

fn properties_of(feature: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
    let feature = feature.as_object_mut()?;
    let properties = feature.entry("properties").or_insert_with(|| json!({}));
    if properties.is_null() {
        *properties = json!({});
    }
    properties.as_object_mut()
}

/// A part as the request draws it.
struct Drawn<'a> {
    /// The block that it is of.
    of: StandingBlock,
    feature: &'a Value,
    /// Its place in the list of the park that gets it, from 0.
    at: usize,
}

/// A part as a block of the park that gets it.
struct Made {
    from: String,
    place: Place,
    block: Block,
}

/// Of each share its whole blocks and its parts; every block goes to one park, or is divided.
fn allot<'a>(
    park: &ParkCode,
    shares: &'a [Share],
    blocks: &[StandingBlock],
) -> Result<(Vec<Vec<StandingBlock>>, Vec<Vec<Drawn<'a>>>)> {
    let find = |name: &str| blocks.iter().find(|block| block.id == name || block.number == name);
    let mut findings = Vec::new();
    // Whole and in parts, by block.
    let mut taken: HashMap<&str, (usize, usize)> = HashMap::new();
    let (mut whole, mut drawn) = (Vec::new(), Vec::new());
    let mut parts = 0;
    for share in shares {
        let who = share.park.as_ref().map_or(park, |new| &new.park.code);
        let (mut own_whole, mut own_drawn): (Vec<StandingBlock>, Vec<Drawn>) = (Vec::new(), Vec::new());
        for (at, portion) in share.blocks.iter().enumerate() {
            let name = match portion {
                Portion::Whole(name) | Portion::Part { from: name, .. } => name,
            };
            let Some(block) = find(name) else {
                let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
                let message = format!("分给园区 {who} 的区块“{shown}”：园区 {park} 现在没有这个区块");
                findings.push(Finding::error("block_not_found", place_of(at), message));
                continue;
            };
            let count = taken.entry(&block.id).or_default();
            match portion {
                Portion::Whole(_) => {
                    count.0 += 1;
                    own_whole.push(block.clone());
                }
                Portion::Part { feature, .. } => {
                    count.1 += 1;
                    parts += 1;
                    own_drawn.push(Drawn { of: block.clone(), feature, at });
                }
            }
        }
        if share.blocks.is_empty() && !blocks.is_empty() {
            let message = format!("拆分没有分给园区 {who} 任何区块");
            findings.push(Finding::error("share_empty", Place::whole().field("blocks"), message));
        }
        whole.push(own_whole);
        drawn.push(own_drawn);
    }
    let place = || Place::whole().field("blocks");
    for block in blocks {
        let id = &block.id;
        findings.push(match taken.get(id.as_str()).copied().unwrap_or_default() {
            (1, 0) | (0, 1..) => continue,
            (0, 0) => Finding::error("block_left_out", place(), format!("区块 {id} 没有分给任何园区")),
            _ => {
                let message = format!("区块 {id} 分了不止一次；一个区块整块归一个园区，或全部画成若干部分");
                Finding::error("block_twice", place(), message)
            }
        });
    }
    if parts > MOST_PARTS {
        return Err(Error::invalid("member_invalid", format!("一次拆分最多画 {MOST_PARTS} 个部分")));
    }
    if findings.is_empty() { Ok((whole, drawn)) } else { Err(checks::refused(findings)) }
}
