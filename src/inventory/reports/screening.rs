//! 低效用地认定比对: every parcel before the criteria that apply to it, one pass over the ledger. What is kept is the groups' sums and, of
//! each kind of disagreement, as many parcels as may be listed.

use std::collections::{BTreeMap, BinaryHeap, HashMap};

use sqlx::PgConnection;

use super::shape::{self, Labels, Names};
use crate::domain::DivisionCode;
use crate::domain::export::Cell;
use crate::domain::layer::PropertyKind::{Boolean, Integer, Text};
use crate::domain::ledger::criteria::{Agreement, CriteriaSet, Decimal, Judge, Measure, agreement};
use crate::domain::report::{Counted, Dimension, ReportColumn, ReportQuery, ReportTable};
use crate::error::{Error, Result};
use crate::store::criteria::{self as sets, StoredSet};
use crate::store::reports::{self as numbers, Frame, Group, Grouped, Listed, Numbered, ScreenedParcel};

/// Criteria of one report: all are held while it is made.
const MAX_CRITERIA: usize = 100_000;

/// What is listed, in this order; the rest is counted alone.
const LISTED: [Agreement; 4] =
    [Agreement::CriteriaOnly, Agreement::PaperOnly, Agreement::KindDiffers, Agreement::Undecided];

const BY: [Dimension; 2] = [Dimension::County, Dimension::Park];

/// The tables asked for, made in one pass.
pub async fn tables(connection: &mut PgConnection, query: &ReportQuery, frame: &Frame) -> Result<Vec<ReportTable>> {
    let keys = numbers::screening_keys(connection, frame).await?;
    let stored = applicable(connection, &keys, query.year).await?;
    let judges = Judges::new(&stored, &keys, query.year);
    let mut tally = Tally::new(frame.limit);
    numbers::screen(connection, frame, &judges.measures, &mut |parcel| tally.take(parcel, &judges)).await?;
    let (sums, listed, matched) = tally.finish();
    let names = names(connection, &sums).await?;
    let mut made = Vec::new();
    for (id, title) in query.kind.tables() {
        if query.table.is_some_and(|wanted| wanted != *id) {
            continue;
        }
        let table = match *id {
            "groups" => groups(&sums, frame.limit, &names),
            _ => {
                let ids: Vec<String> = listed.iter().map(|one| one.parcel.id.clone()).collect();
                let numbered = numbers::numbers_of(connection, frame, &ids).await?;
                parcels(&listed, matched, &numbered, &judges, &names)
            }
        };
        made.push(ReportTable { id, title, ..table });
    }
    Ok(made)
}

/// The sets that may apply to these counties.
async fn applicable(
    connection: &mut PgConnection,
    keys: &[(String, Option<i32>)],
    year: Option<i32>,
) -> Result<Vec<StoredSet>> {
    let mut wanted: Vec<String> = Vec::new();
    for (county, own) in keys {
        let Some((code, year)) = DivisionCode::parse(county).ok().zip(year.or(*own)) else { continue };
        wanted.extend(CriteriaSet::divisions_for(&code).iter().map(|division| sets::key(division.as_str(), year)));
    }
    wanted.sort_unstable();
    wanted.dedup();
    let stored = sets::find_all(connection, &wanted).await?;
    if stored.iter().map(|one| one.set.criteria.len()).sum::<usize>() > MAX_CRITERIA {
        let detail = format!("适用的认定标准共超过 {MAX_CRITERIA} 条；请用 county 缩小范围");
        return Err(Error::invalid("criteria_too_many", detail));
    }
    Ok(stored)
}

/// Every set made ready, and which of them applies where and when.
struct Judges<'a> {
    ready: Vec<(Judge<'a>, &'a StoredSet)>,
    places: HashMap<String, HashMap<i32, usize>>,
    /// Overrides the years of the parcels.
    year: Option<i32>,
    measures: Vec<Measure>,
}

impl<'a> Judges<'a> {
    fn new(stored: &'a [StoredSet], keys: &[(String, Option<i32>)], year: Option<i32>) -> Self {
        let by_key: HashMap<(&str, i32), usize> =
            stored.iter().enumerate().map(|(at, one)| ((one.set.division.as_str(), one.set.year), at)).collect();
        let mut places: HashMap<String, HashMap<i32, usize>> = HashMap::new();
        for (county, own) in keys {
            let Some((code, year)) = DivisionCode::parse(county).ok().zip(year.or(*own)) else { continue };
            let nearest = CriteriaSet::divisions_for(&code);
            let found = nearest.iter().find_map(|division| by_key.get(&(division.as_str(), year)));
            if let Some(at) = found {
                places.entry(county.clone()).or_default().insert(year, *at);
            }
        }
        let ready: Vec<_> = stored.iter().map(|one| (Judge::new(&one.set), one)).collect();
        let used: Vec<&str> = ready.iter().flat_map(|(judge, _)| judge.fields()).collect();
        let measures = Measure::all().filter(|measure| used.contains(&measure.name())).collect();
        Self { ready, places, year, measures }
    }

    /// The year that the parcel is judged by, and the place of the set.
    fn of(&self, parcel: &ScreenedParcel) -> (Option<i32>, Option<usize>) {
        let year = self.year.or(parcel.year);
        let at = year.and_then(|year| self.places.get(&parcel.county)?.get(&year)).copied();
        (year, at)
    }
}

/// Parcels and their area, exactly.
#[derive(Debug, Clone, Copy)]
struct Sum {
    parcels: i64,
    area: Decimal,
}

impl Sum {
    const NOTHING: Sum = Sum { parcels: 0, area: Decimal::ZERO };

    fn add(&mut self, area: Decimal) {
        self.parcels += 1;
        // No register holds as much land as would not fit.
        self.area = self.area.plus(area).unwrap_or(self.area);
    }

    fn merge(&mut self, other: &Sum) {
        self.parcels += other.parcels;
        self.area = self.area.plus(other.area).unwrap_or(self.area);
    }

    fn counted(&self) -> Counted {
        Counted { parcels: self.parcels, area_m2: self.area.to_f64() }
    }
}

/// All, and then each agreement.
type Sums = [Sum; 1 + Agreement::ALL.len()];

/// A parcel that may be listed. The last one by kind and id is the first to go.
#[derive(Debug)]
struct Candidate {
    rank: usize,
    parcel: ScreenedParcel,
    year: Option<i32>,
    set: Option<usize>,
}

impl Candidate {
    fn order(&self) -> (usize, &str) {
        (self.rank, &self.parcel.id)
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

/// What is kept of the rows that pass by.
struct Tally {
    sums: BTreeMap<(String, Option<String>), Sums>,
    listed: BinaryHeap<Candidate>,
    matched: Sum,
    limit: usize,
}

impl Tally {
    fn new(limit: u32) -> Self {
        Self { sums: BTreeMap::new(), listed: BinaryHeap::new(), matched: Sum::NOTHING, limit: limit as usize }
    }

    fn take(&mut self, parcel: ScreenedParcel, judges: &Judges<'_>) {
        let (year, set) = judges.of(&parcel);
        let found = match set.and_then(|at| judges.ready.get(at)) {
            None => Agreement::NoCriteria,
            Some((judge, _)) => {
                let verdict = judge.judge(&parcel.facts);
                let kinds = verdict.kinds(judge.set);
                agreement(verdict.overall, &kinds, parcel.is_low_efficiency, parcel.kind.as_deref())
            }
        };
        let area = Decimal::of_f64(parcel.area_m2).unwrap_or(Decimal::ZERO);
        let group = self.sums.entry((parcel.county.clone(), parcel.park.clone())).or_insert([Sum::NOTHING; 7]);
        group[0].add(area);
        if let Some(at) = Agreement::ALL.iter().position(|one| *one == found) {
            group[at + 1].add(area);
        }
        let Some(rank) = LISTED.iter().position(|one| *one == found) else { return };
        self.matched.add(area);
        self.listed.push(Candidate { rank, parcel, year, set });
        if self.listed.len() > self.limit {
            self.listed.pop();
        }
    }

    fn finish(self) -> (BTreeMap<(String, Option<String>), Sums>, Vec<Candidate>, Sum) {
        (self.sums, self.listed.into_sorted_vec(), self.matched)
    }
}

async fn names(connection: &mut PgConnection, sums: &BTreeMap<(String, Option<String>), Sums>) -> Result<Names> {
    let mut counties: Vec<String> = sums.keys().map(|(county, _)| county.clone()).collect();
    let mut parks: Vec<String> = sums.keys().filter_map(|(_, park)| park.clone()).collect();
    for codes in [&mut counties, &mut parks] {
        codes.sort_unstable();
        codes.dedup();
    }
    Ok(Names {
        divisions: numbers::division_names(connection, &counties).await?,
        parks: numbers::park_names(connection, &parks).await?,
        ledger: None,
    })
}

/// The groups by county and park; land in no park stands last in its county.
fn groups(sums: &BTreeMap<(String, Option<String>), Sums>, limit: u32, names: &Names) -> ReportTable {
    let mut total = [Sum::NOTHING; 7];
    let counted = |sums: &Sums| sums.iter().map(Sum::counted).collect::<Vec<_>>();
    let mut groups: Vec<Group> = Vec::with_capacity(sums.len());
    for ((county, park), own) in sums {
        total.iter_mut().zip(own).for_each(|(total, own)| total.merge(own));
        groups.push(Group { keys: vec![Some(county.clone()), park.clone()], counted: counted(own), distinct: 0 });
    }
    groups.sort_by_cached_key(|group| {
        let mut keys = group.keys.iter().cloned();
        let (county, park) = (keys.next().flatten(), keys.next().flatten());
        (county, park.is_none(), park)
    });
    let matched = groups.len() as u64;
    groups.truncate(limit as usize);
    let total = Group { keys: vec![None, None], counted: counted(&total), distinct: 0 };
    let keys = BY.iter().flat_map(|dimension| shape::key_columns(*dimension)).collect();
    let mut values = shape::counted_columns("", "").to_vec();
    values.extend(Agreement::ALL.iter().flat_map(|one| shape::counted_columns(one.as_str(), one.label())));
    shape::table(
        keys,
        values,
        Grouped { groups, total, matched },
        |keys| shape::key_cells(&BY, keys, names),
        |group| shape::counted_cells(&group.counted),
    )
}

fn columns() -> (Vec<ReportColumn>, Labels) {
    let own = [
        ("agreement", "比对代码", Text),
        ("agreement_label", "比对结果", Text),
        ("criteria_year", "标准年度", Integer),
        ("criteria_division", "标准行政区划代码", Text),
        ("criteria_division_name", "标准行政区划", Text),
        ("is_low_efficiency", "台账是否低效", Boolean),
        ("low_efficiency_kind", "台账低效类型", Text),
        ("kinds", "标准低效类型", Text),
        ("reasons", "符合的标准", Text),
        ("missing", "缺少的指标", Text),
    ];
    let labels: Labels = vec![("agreement_label", "agreement", |code| Agreement::parse(code).map(Agreement::label))];
    (shape::columns(&[&shape::PLACE[..], &own].concat()), labels)
}

/// What is listed, judged once more for its reasons.
fn parcels(
    listed: &[Candidate],
    matched: Sum,
    numbered: &HashMap<String, Numbered>,
    judges: &Judges<'_>,
    names: &Names,
) -> ReportTable {
    let (columns, labels) = columns();
    let rows = listed.iter().map(|one| row(one, numbered, judges, names)).collect();
    shape::list(columns, &labels, Listed { rows, total: matched.counted() })
}

fn row(one: &Candidate, numbered: &HashMap<String, Numbered>, judges: &Judges<'_>, names: &Names) -> Vec<Cell> {
    let parcel = &one.parcel;
    let text = |text: Option<&str>| {
        text.filter(|text| !text.is_empty()).map_or(Cell::Missing, |text| Cell::Text(text.to_owned()))
    };
    let (number, name) = numbered.get(&parcel.id).map_or((None, None), |(number, name)| (Some(number), name.as_ref()));
    let park = parcel.park.as_deref();
    let judged = one.set.and_then(|at| judges.ready.get(at));
    let (mut kinds, mut reasons, mut missing) = (String::new(), String::new(), String::new());
    if let Some((judge, _)) = judged {
        let verdict = judge.judge(&parcel.facts);
        kinds = verdict.kinds(judge.set).join("、");
        let told = verdict.reasons(judge.set).map(|criterion| format!("{} {}", criterion.number, criterion.title));
        reasons = told.collect::<Vec<_>>().join("；");
        missing = verdict.missing(judge.set).join("、");
    }
    let stored = judged.map(|(_, stored)| *stored);
    vec![
        text(Some(&parcel.id)),
        text(number.map(String::as_str)),
        text(name.map(String::as_str)),
        text(Some(&parcel.county)),
        text(names.divisions.get(&parcel.county).map(String::as_str)),
        text(park),
        text(park.and_then(|code| names.parks.get(code)).map(String::as_str)),
        text(LISTED.get(one.rank).map(|one| one.as_str())),
        one.year.map_or(Cell::Missing, |year| Cell::Integer(i64::from(year))),
        text(stored.map(|stored| stored.set.division.as_str())),
        text(stored.map(|stored| stored.name.as_str())),
        parcel.is_low_efficiency.map_or(Cell::Missing, Cell::Boolean),
        text(parcel.kind.as_deref()),
        text(Some(&kinds)),
        text(Some(&reasons)),
        text(Some(&missing)),
        Cell::Number(parcel.area_m2),
    ]
}
