//! Parcels are split and merged: one transaction, one revision, no land lost, and the register says who came from whom.

mod land;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::NaiveDate;
use geo::MultiPolygon;
use serde_json::{Map, Value, json};
use sqlx::{PgConnection, PgPool};

use self::land::{Common, Named};
use super::edit::{Edit, Mode, invalid, record_id, texts};
use super::moves::{day, text};
use super::{Deed, check_jurisdiction, finish, must_be_new, not_found, open, properties, seen};
use crate::domain::ledger::{Descent, MAX_RELATIVES, NotInherited, inherit, undividable};
use crate::domain::{DivisionCode, Finding, Ledger, Place, RecordId, Severity};
use crate::error::{Error, Result};
use crate::exchange::{ReadOptions, Vocabulary, geojson};
use crate::inventory::import::{self, FeatureRequest};
use crate::store::ledgers::{self, Line, Parent};

/// Errors of a split or a merge that the caller may insist on.
pub const ALLOWABLE: [&str; 5] =
    ["land_left_out", "land_beyond", "parcels_apart", "area_mismatch_gross", "outside_province"];

/// What a split and a merge have in common.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// Today, where nothing is said.
    pub effective_on: Option<NaiveDate>,
    pub document_no: Option<String>,
    pub reason: Option<String>,
    /// Errors that the client insists on.
    pub allow: Vec<String>,
    /// Everything but the writing.
    pub dry_run: bool,
}

/// What came, or would come, of it.
#[derive(Debug, Clone)]
pub struct Family {
    pub kind: Descent,
    pub on: NaiveDate,
    /// `None` after a dry run.
    pub revision: Option<i64>,
    pub replayed: bool,
    pub lines: Vec<Line>,
    /// What the children do not have from their parents; not told again of a request that was done before.
    pub not_inherited: Vec<NotInherited<Value>>,
    pub warnings: Vec<Finding>,
}

/// Divides one parcel into `parts`: features with number and geometry, and what differs from the parent.
pub async fn split(
    pool: &PgPool,
    deed: &Deed<'_>,
    ledger: Ledger,
    id: &str,
    parts: &[Value],
    event: &Event,
) -> Result<Family> {
    check_allow(event)?;
    if !(2..=MAX_RELATIVES).contains(&parts.len()) {
        return Err(Error::invalid("member_invalid", format!("分割后的地块（parts）应为 2 至 {MAX_RELATIVES} 个")));
    }
    let children = children_of(ledger, parts, event, deed.today)?;
    let (mut transaction, done) = super::begin(pool, deed).await?;
    if let Some(done) = done {
        return replayed(&mut transaction, ledger, Descent::Split, done.revision).await;
    }
    seen(&mut transaction, ledger, id, deed).await?;
    let parents = ledgers::lock_parents(&mut transaction, ledger, &[id.to_owned()]).await?;
    let work = Work { ledger, kind: Descent::Split, deed, event, parents: &parents };
    let family = work.carry_out(&mut transaction, children).await?;
    end(transaction, deed, family, id).await
}

/// Puts parcels together into one: a feature with number and what differs from its parents; without a geometry it has their union.
/// `seen_revision`: what the choice was made from.
pub async fn merge(
    pool: &PgPool,
    deed: &Deed<'_>,
    ledger: Ledger,
    ids: &[String],
    seen_revision: i64,
    into: &Value,
    event: &Event,
) -> Result<Family> {
    check_allow(event)?;
    let named: BTreeSet<&String> = ids.iter().collect();
    if !(2..=MAX_RELATIVES).contains(&named.len()) || named.len() != ids.len() {
        let detail = format!("要合并的地块（from）应为 2 至 {MAX_RELATIVES} 个，且不重复");
        return Err(Error::invalid("member_invalid", detail));
    }
    let children = children_of(ledger, std::slice::from_ref(into), event, deed.today)?;
    let (mut transaction, done) = super::begin(pool, deed).await?;
    if let Some(done) = done {
        return replayed(&mut transaction, ledger, Descent::Merge, done.revision).await;
    }
    let parents = ledgers::lock_parents(&mut transaction, ledger, ids).await?;
    if let Some(gone) = ids.iter().find(|id| !parents.iter().any(|p| p.id == **id)) {
        return Err(not_found(ledger, gone));
    }
    let versions = parents.iter().map(|p| (p.id.as_str(), p.standing.revision));
    super::unchanged_since(&mut transaction, versions, seen_revision, ledger).await?;
    let work = Work { ledger, kind: Descent::Merge, deed, event, parents: &parents };
    let family = work.carry_out(&mut transaction, children).await?;
    let id = family.lines.first().map(|line| line.child.clone()).unwrap_or_default();
    end(transaction, deed, family, &id).await
}

fn check_allow(event: &Event) -> Result<()> {
    match event.allow.iter().find(|code| !ALLOWABLE.contains(&code.as_str())) {
        None => Ok(()),
        Some(code) => {
            let list = ALLOWABLE.join("、");
            Err(Error::invalid("allow_not_possible", format!("不能放行“{code}”；可放行的代码：{list}")))
        }
    }
}

/// A child as the client gives it.
struct Child {
    /// Properties by name, checked.
    feature: Map<String, Value>,
    geometry: Option<Value>,
    /// The land of the parents, for a child that was given none.
    union: Option<MultiPolygon<f64>>,
}

/// The features, looked at as new records are, before anything is locked.
fn children_of(ledger: Ledger, features: &[Value], event: &Event, today: NaiveDate) -> Result<Vec<Child>> {
    let mut children = Vec::with_capacity(features.len());
    for (at, feature) in (1_u64..).zip(features) {
        let edit = Edit {
            ledger,
            id: None,
            feature: feature.clone(),
            mode: Mode::Create,
            allow: event.allow.clone(),
            crs: None,
        };
        let mut kept = properties::written(&edit, today, None, properties::read(&edit)?)?;
        for told in ["state", "held_state", "state_on"] {
            if kept.remove(told).is_some_and(|value| !value.is_null()) {
                let message = "新的地块承接原地块的状态；不同的状态请在分割、合并之后用 transitions 变更".to_owned();
                return Err(invalid(vec![Finding::error("state_by_transition", Place::row(at).field(told), message)]));
            }
        }
        let geometry = feature.get("geometry").filter(|g| !g.is_null()).cloned();
        children.push(Child { feature: kept, geometry, union: None });
    }
    Ok(children)
}

/// Who came from whom by a request that was done before.
async fn replayed(
    connection: &mut PgConnection,
    ledger: Ledger,
    kind: Descent,
    revision: Option<i64>,
) -> Result<Family> {
    let lines = match revision {
        Some(revision) => ledgers::lines_of_revision(connection, ledger, revision).await?,
        None => Vec::new(),
    };
    let on = lines.first().map(|line| line.on).ok_or_else(|| super::undone_since(revision))?;
    Ok(Family { kind, on, revision, replayed: true, lines, not_inherited: Vec::new(), warnings: Vec::new() })
}

/// Commits, or lets everything go that a dry run has tried.
async fn end(
    transaction: sqlx::Transaction<'_, sqlx::Postgres>,
    deed: &Deed<'_>,
    family: Family,
    id: &str,
) -> Result<Family> {
    if family.revision.is_none() {
        transaction.rollback().await?;
        return Ok(family);
    }
    let done = super::Done { id: id.to_owned(), created: true, revision: family.revision, replayed: false };
    finish(transaction, deed, done).await?;
    Ok(family)
}

/// One split or merge.
struct Work<'a> {
    ledger: Ledger,
    kind: Descent,
    deed: &'a Deed<'a>,
    event: &'a Event,
    parents: &'a [Parent],
}

impl Work<'_> {
    /// The parents end, the children begin.
    async fn carry_out(&self, connection: &mut PgConnection, mut children: Vec<Child>) -> Result<Family> {
        let first = self.parents.first().ok_or_else(|| not_found(self.ledger, ""))?;
        let county = DivisionCode::parse(&first.standing.county)
            .map_err(|cause| Error::internal("登记库中的县区代码不合规则", cause))?;
        check_jurisdiction(self.deed.viewer, &county)?;
        self.check_parents(connection, first).await?;
        let on = self.day()?;
        let paper = Paper {
            document_no: text(self.event.document_no.as_deref(), "document_no")?,
            reason: text(self.event.reason.as_deref(), "reason")?,
        };
        let value = |at: usize, name: &str| self.parents[at].values.get(name).filter(|v| !v.is_null()).cloned();
        let (inherited, left) = inherit(self.ledger, self.parents.len(), value);
        let not_inherited = self.not_handed_on().into_iter().chain(left).collect();
        let inherited: Map<String, Value> =
            inherited.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let ids = self.child_ids(connection, &county, &children).await?;

        let mut warnings = Vec::new();
        if let (Descent::Merge, [child]) = (self.kind, children.as_mut_slice())
            && child.geometry.is_none()
        {
            let (union, told) = self.union(connection).await?;
            child.union = Some(union);
            warnings = told;
        }

        let from: Vec<&str> = self.parents.iter().map(|p| p.id.as_str()).collect();
        let why = format!("{}{} {} → {}", self.kind.label(), self.ledger.label(), shown(&from), shown(&ids));
        let revision = open(connection, self.deed, &why).await?;
        for parent in self.parents {
            ledgers::end(connection, self.ledger, &parent.id, on, self.kind.end_reason()).await?;
        }
        warnings.extend(self.judge(connection, &county, children, &inherited).await?);
        // Since when they stand so is the parents' day; that they are is this one.
        let state_on = self.parents.iter().map(|p| p.standing.state_on).max().flatten();
        let stage = ledgers::Stage::of(self.ledger, ids.len());
        ledgers::stage_standing(connection, stage, &first.standing, state_on, on).await?;
        let land = ledgers::staged_land(connection, stage).await?;
        let (common, findings) = self.compare(land).await?;
        warnings.extend(self.settle(findings)?);
        ledgers::upsert_staged(connection, stage, ids.len()).await?;
        let lines = self.lines(common, on, revision, &paper);
        ledgers::insert_lines(connection, self.ledger, county.as_str(), &lines).await?;
        Ok(Family {
            kind: self.kind,
            on,
            revision: (!self.event.dry_run).then_some(revision),
            replayed: false,
            lines,
            not_inherited,
            warnings,
        })
    }

    /// Every parent may be divided or put together, and all of a merge are of one kind.
    async fn check_parents(&self, connection: &mut PgConnection, first: &Parent) -> Result<()> {
        let ids: Vec<String> = self.parents.iter().map(|p| p.id.clone()).collect();
        let plans = match self.ledger {
            Ledger::LowEfficiency => ledgers::plan_progress(connection, &ids).await?,
            _ => HashMap::new(),
        };
        let stuck = |p: &Parent| undividable(&p.id, &p.standing.state, plans.contains_key(&p.id));
        let findings: Vec<Finding> = self.parents.iter().filter_map(stuck).collect();
        if let Some(one) = findings.first() {
            let detail = one.message.clone();
            return Err(match one.code.as_ref() {
                "parcel_frozen" => Error::Conflict { code: "parcel_frozen", detail, findings },
                _ => Error::Conflict { code: "plan_in_use", detail, findings },
            });
        }
        for other in self.parents {
            let (a, b) = (&first.standing, &other.standing);
            if (&a.state, &a.held) != (&b.state, &b.held) {
                let label = |state: &str| self.ledger.machine().find(state).map_or("", |s| s.label);
                let detail = format!(
                    "地块 {} 的状态是“{}”，{} 的是“{}”；状态相同（冻结、闲置等的原状态也相同）的地块才能合并",
                    first.id,
                    label(&a.state),
                    other.id,
                    label(&b.state)
                );
                return Err(Error::conflict("states_differ", detail));
            }
            if a.county != b.county {
                let detail = format!(
                    "地块 {} 属于 {}，{} 属于 {}；同一县区的地块才能合并",
                    first.id, a.county, other.id, b.county
                );
                return Err(Error::conflict("counties_differ", detail));
            }
            if first.illustrative != other.illustrative {
                let detail = format!("地块 {} 与 {} 一个是示意、一个是实测，不能合并", first.id, other.id);
                return Err(Error::conflict("sources_differ", detail));
            }
        }
        Ok(())
    }

    /// The day: not before the last thing that happened to any parent, not to come.
    fn day(&self) -> Result<NaiveDate> {
        let mut on = self.event.effective_on.unwrap_or(self.deed.today);
        for parent in self.parents {
            on = day(&parent.standing, Some(on), self.deed.today)?;
        }
        Ok(on)
    }

    /// The children's ids: new, of the parents' county.
    async fn child_ids(
        &self,
        connection: &mut PgConnection,
        county: &DivisionCode,
        children: &[Child],
    ) -> Result<Vec<String>> {
        let mut ids = Vec::with_capacity(children.len());
        for (at, child) in (1_u64..).zip(children) {
            let mut feature = child.feature.clone();
            feature.entry("county_code").or_insert_with(|| json!(county.as_str()));
            let edit = Edit {
                ledger: self.ledger,
                id: None,
                feature: Value::Null,
                mode: Mode::Create,
                allow: Vec::new(),
                crs: None,
            };
            let id: RecordId = record_id(&edit, &feature)?;
            if id.division() != county {
                let detail = format!("第 {at} 个新地块的县区是 {}，应与原地块相同（{county}）", id.division());
                return Err(Error::invalid("county_invalid", detail));
            }
            let id = id.to_string();
            if ids.contains(&id) {
                return Err(Error::invalid("id_invalid", format!("两个新地块的编号都是“{id}”")));
            }
            if self.parents.iter().any(|p| p.id == id) {
                let detail = format!("新地块不能沿用原地块的编号“{id}”：分割、合并后原编号不再使用，请另编");
                return Err(Error::conflict("number_used_before", detail));
            }
            must_be_new(connection, self.ledger, &id).await?;
            ids.push(id);
        }
        Ok(ids)
    }

    /// The children judged as a file of so many rows, and staged; gives the warnings.
    async fn judge(
        &self,
        connection: &mut PgConnection,
        county: &DivisionCode,
        children: Vec<Child>,
        inherited: &Map<String, Value>,
    ) -> Result<Vec<Finding>> {
        let mut features = Vec::with_capacity(children.len());
        let mut unions = Vec::with_capacity(children.len());
        for (at, child) in (1_u64..).zip(children) {
            if child.geometry.is_none() && child.union.is_none() {
                let message = format!("第 {at} 个新地块没有图形");
                return Err(invalid(vec![Finding::error(
                    "geometry_missing",
                    Place::row(at).field("geometry"),
                    message,
                )]));
            }
            let mut properties = inherited.clone();
            if let Some(park) = self.common_park() {
                properties.insert("stated_park".into(), json!(park));
            }
            properties.extend(child.feature);
            properties.insert("county_code".into(), json!(county.as_str()));
            let mut properties = texts(&properties);
            if let Some(drawn) = self.parents.first().filter(|p| p.illustrative) {
                properties.insert("source".into(), json!(drawn.source));
            }
            features.push(json!({"type": "Feature", "properties": properties, "geometry": child.geometry}));
            unions.push(child.union);
        }
        let text = json!({"type": "FeatureCollection", "features": features}).to_string();
        let options = ReadOptions { vocabulary: Vocabulary::Ledger(self.ledger), ..ReadOptions::default() };
        let mut reading = import::off_async_threads(move || geojson::read(text.as_bytes(), &options)).await?;
        for (candidate, union) in reading.candidates.iter_mut().zip(unions) {
            if let Some(union) = union {
                candidate.geometry = Some(union);
                reading.findings.retain(|f| f.code != "geometry_missing");
            }
        }
        let mut allow = self.event.allow.clone();
        // The children stand where their parents stood, whatever their fields would tell.
        allow.push("plan_required".to_owned());
        let request = FeatureRequest {
            ledger: self.ledger,
            reading,
            absent: Vec::new(),
            inherit: ledgers::Inherit::FromAny,
            allow,
            jurisdiction: self.deed.viewer.jurisdiction.clone(),
            actor: self.deed.viewer.actor.clone(),
            today: self.deed.today,
        };
        let judged = import::judge_feature(connection, Arc::new(request)).await?;
        let findings = judged.findings.into_iter().filter(|f| f.code != "plan_required").map(|mut finding| {
            finding.message = finding.message.replace("条记录", "个新地块");
            finding
        });
        self.settle(findings.collect())
    }

    /// Refuses where an error is left; what was insisted on is a warning.
    fn settle(&self, mut findings: Vec<Finding>) -> Result<Vec<Finding>> {
        for finding in &mut findings {
            if finding.severity == Severity::Error && self.event.allow.iter().any(|code| *code == finding.code) {
                finding.severity = Severity::Warning;
            }
        }
        if findings.iter().any(|f| f.severity == Severity::Error) { Err(invalid(findings)) } else { Ok(findings) }
    }

    /// The parents by id, for comparisons.
    fn land(&self) -> Vec<Named> {
        self.parents.iter().map(|p| (p.id.clone(), p.boundary.clone())).collect()
    }

    /// The union of the parents, and what there is to say of it; they touch each other, directly or by others of them.
    async fn union(&self, connection: &mut PgConnection) -> Result<(MultiPolygon<f64>, Vec<Finding>)> {
        let parents = self.land();
        let apart = import::off_async_threads(move || land::apart(&parents)).await??;
        let mut findings = Vec::new();
        if let Some((a, b)) = apart {
            let message = format!(
                "地块 {} 与 {} 不相邻，也不经其他地块相连；请给出合并后的图形（geometry），或确认合并成互不相连的几块（allow=parcels_apart）",
                self.parents[a].id, self.parents[b].id
            );
            findings = self.settle(vec![Finding::error("parcels_apart", Place::whole().field("from"), message)])?;
        }
        let ids: Vec<String> = self.parents.iter().map(|p| p.id.clone()).collect();
        let union = ledgers::union_of(connection, self.ledger, &ids).await?;
        let parts = union.0.len();
        if findings.is_empty() && parts > self.parents.iter().map(|p| p.boundary.0.len()).max().unwrap_or(1) {
            let message = format!("合并后的图形由 {parts} 块组成：有的地块只在一点相接，或相邻的边没有对齐");
            findings.push(Finding::warning("merged_in_parts", Place::whole().field("from"), message));
        }
        Ok((union, findings))
    }

    /// The land that parents and children have in common, and what of either is left.
    async fn compare(&self, children: Vec<Named>) -> Result<(Vec<Common>, Vec<Finding>)> {
        let parents = self.land();
        import::off_async_threads(move || land::compare(&parents, &children)).await?
    }

    /// What the children do not have beside the fields: what is of the whole, and what is the parents' own.
    fn not_handed_on(&self) -> Vec<NotInherited<Value>> {
        let tell = |name: &'static str, title: &'static str, value: &dyn Fn(&Parent) -> Option<Value>| {
            let values: Vec<Option<Value>> = self.parents.iter().map(value).collect();
            values.iter().any(Option::is_some).then_some(NotInherited { name, title, values })
        };
        let park = match self.common_park() {
            Some(_) => None,
            None => tell("stated_park", "所填园区", &|p| p.stated_park.as_ref().map(|park| json!(park))),
        };
        let others = tell("attributes", "文件中的其他字段", &|p| {
            Some(p.attributes.clone()).filter(|held| held.as_object().is_some_and(|held| !held.is_empty()))
        });
        let name = tell("name", "名称", &|p| p.name.as_ref().map(|name| json!(name)));
        let stated = tell("stated_area_m2", "标注面积", &|p| p.stated_area.map(|area| json!(area)));
        [name, stated, park, others].into_iter().flatten().collect()
    }

    /// The park on paper that all parents name.
    fn common_park(&self) -> Option<&String> {
        let park = self.parents.first()?.stated_park.as_ref()?;
        self.parents.iter().all(|p| p.stated_park.as_ref() == Some(park)).then_some(park)
    }

    /// A line for every parent and child: one side has but one.
    fn lines(&self, common: Vec<Common>, on: NaiveDate, revision: i64, paper: &Paper) -> Vec<Line> {
        let line = |c: Common| Line {
            parent: c.parent,
            child: c.child,
            kind: self.kind.as_str().to_owned(),
            on,
            common_area: c.m2,
            document_no: paper.document_no.clone(),
            reason: paper.reason.clone(),
            actor: self.deed.viewer.actor.clone(),
            revision,
        };
        common.into_iter().map(line).collect()
    }
}

/// What the event rests on.
struct Paper {
    document_no: Option<String>,
    reason: Option<String>,
}

/// Ids for a sentence: the first five.
fn shown<S: AsRef<str>>(ids: &[S]) -> String {
    let named: Vec<&str> = ids.iter().take(5).map(AsRef::as_ref).collect();
    let more = if ids.len() > 5 { format!("等 {} 宗", ids.len()) } else { String::new() };
    format!("{}{more}", named.join("、"))
}
