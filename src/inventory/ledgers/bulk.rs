//! One move for many records: a verdict for each, all or nothing unless the caller says otherwise.

use std::collections::HashSet;

use sqlx::{PgConnection, PgPool};

use super::moves::{Beside, MoveRequest, Wish};
use super::{Deed, Done, begin, finish, open, unchanged_since};
use crate::domain::{Finding, Ledger, Place};
use crate::error::{Error, Result};
use crate::store::ledgers::{self, Move};

/// Records of one request.
pub const MAX_SELECTED: usize = 10_000;

/// Findings of a refusal; every verdict is told by a dry run.
const NAMED: usize = 1_000;

/// The records that are to move.
#[derive(Debug, Clone)]
pub struct Selection {
    pub ids: Vec<String>,
    /// The revision of the answer that the choice was made from.
    pub seen_revision: i64,
    /// Move those that may; else one refusal refuses all.
    pub skip_refused: bool,
    /// The verdicts alone.
    pub dry_run: bool,
}

/// What becomes of one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub id: String,
    /// Code of the state that it was in; `None` where it does not stand.
    pub from: Option<String>,
    /// Why it does not move.
    pub refused: Option<Finding>,
}

/// What became, or would become, of all of them, in the order asked.
#[derive(Debug, Clone)]
pub struct Verdicts {
    pub to: &'static str,
    /// `None`: nothing was written.
    pub revision: Option<i64>,
    pub replayed: bool,
    pub list: Vec<Verdict>,
}

/// Moves the records into one state, on one day, by one paper.
pub async fn transition_many(
    pool: &PgPool,
    deed: &Deed<'_>,
    ledger: Ledger,
    selection: &Selection,
    wanted: &MoveRequest,
) -> Result<Verdicts> {
    check(selection)?;
    let wish = Wish::of(ledger, deed, wanted)?;
    let (mut transaction, done) = begin(pool, deed).await?;
    if let Some(done) = done {
        return replayed(&mut transaction, ledger, &wish, done.revision).await;
    }
    let standing = ledgers::lock_states(&mut transaction, ledger, &selection.ids).await?;
    let seen = selection.ids.iter().filter_map(|id| Some((id.as_str(), standing.get(id)?.revision)));
    unchanged_since(&mut transaction, seen, selection.seen_revision, ledger).await?;
    let beside = Beside::load(&mut transaction, ledger, &selection.ids).await?;
    let (mut moves, mut list) = (Vec::new(), Vec::with_capacity(selection.ids.len()));
    for (row, id) in (1_u64..).zip(&selection.ids) {
        let judged = match standing.get(id) {
            None => Err(Finding::error(
                "item_not_found",
                Place::whole(),
                format!("没有{}“{}”，或它已经终止", ledger.label(), shorten(id)),
            )),
            Some(standing) => wish.judge(id, standing, &beside),
        };
        let from = standing.get(id).map(|s| s.state.clone());
        let refused = match judged {
            Ok(one) => {
                moves.push(one);
                None
            }
            Err(mut finding) => {
                finding.place.row = Some(row);
                finding.message = format!("第 {row} 条（{}）：{}", shorten(id), finding.message);
                Some(finding)
            }
        };
        list.push(Verdict { id: id.clone(), from, refused });
    }
    let to = wish.to.code;
    if selection.dry_run {
        transaction.rollback().await?;
        return Ok(Verdicts { to, revision: None, replayed: false, list });
    }
    refuse_all(selection, &list)?;
    let mut revision = None;
    if !moves.is_empty() {
        let why = format!("{} {} 条：→ {}", ledger.label(), moves.len(), wish.to.label);
        revision = Some(open(&mut transaction, deed, &why).await?);
        ledgers::move_all(&mut transaction, ledger, &moves).await?;
    }
    let id = moves.first().map(|m: &Move| m.id.clone()).unwrap_or_default();
    finish(transaction, deed, Done { id, created: false, revision, replayed: false }).await?;
    Ok(Verdicts { to, revision, replayed: false, list })
}

fn check(selection: &Selection) -> Result<()> {
    let count = selection.ids.len();
    if !(1..=MAX_SELECTED).contains(&count) {
        return Err(Error::invalid(
            "member_invalid",
            format!("成员 ids 应有 1 至 {MAX_SELECTED} 个标识，而不是 {count} 个"),
        ));
    }
    let mut met = HashSet::new();
    match selection.ids.iter().find(|id| !met.insert(id.as_str())) {
        None => Ok(()),
        Some(twice) => Err(Error::invalid("member_invalid", format!("成员 ids 中“{}”出现了两次", shorten(twice)))),
    }
}

/// Without `skip_refused` one record that may not move keeps all.
fn refuse_all(selection: &Selection, list: &[Verdict]) -> Result<()> {
    let refused: Vec<&Finding> = list.iter().filter_map(|v| v.refused.as_ref()).collect();
    let Some(first) = refused.first().filter(|_| !selection.skip_refused) else { return Ok(()) };
    let detail = format!(
        "{} 条中有 {} 条不能变更，全部没有变更；{}。只变更其余的请加 skip_refused，先看结果请加 dry_run",
        list.len(),
        refused.len(),
        first.message
    );
    let unnamed = refused.len().saturating_sub(NAMED);
    let mut findings: Vec<Finding> = refused.into_iter().take(NAMED).cloned().collect();
    if unnamed > 0 {
        let message = format!("另有 {unnamed} 条不能变更，没有逐条列出；加 dry_run 可以看到每一条");
        findings.push(Finding::error("too_many_findings", Place::whole(), message));
    }
    Err(Error::Conflict { code: "transitions_refused", detail, findings })
}

/// What a request that was done before has moved.
async fn replayed(
    connection: &mut PgConnection,
    ledger: Ledger,
    wish: &Wish,
    revision: Option<i64>,
) -> Result<Verdicts> {
    let moved = match revision {
        Some(revision) => ledgers::moves_of_revision(connection, ledger, revision).await?,
        None => Vec::new(),
    };
    if revision.is_some() && moved.is_empty() {
        return Err(super::undone_since(revision));
    }
    let list = moved.into_iter().map(|(id, from)| Verdict { id, from: Some(from), refused: None }).collect();
    Ok(Verdicts { to: wish.to.code, revision, replayed: true, list })
}

fn shorten(id: &str) -> String {
    id.chars().filter(|c| !c.is_control()).take(80).collect()
}
