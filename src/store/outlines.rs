//! What a viewer is shown of a layer's shapes, in SQL: the relation that a statement reads, with outlines in the place of shapes where the
//! viewer must not have the vertices. The whole question goes by them (boxes, filters, counts, facets), or a vertex could be found by
//! asking again and again.
//!
//! An outline depends on the shapes around it, so all that the question's moment shows is read and generalised; what comes of it is kept
//! by a digest of what went in. Never: a statement for a viewer over `as_of::relation` itself (`tests/it/architecture.rs` looks).

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use chrono::NaiveDate;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, PgConnection, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::conditions::{bind, conditions};
use super::{as_of, geometry_column};
use crate::domain::access::Viewer;
use crate::domain::detail::outline_mark;
use crate::domain::generalisation::Generalisation;
use crate::domain::items_query::{ItemsQuery, Period};
use crate::domain::layer::Layer;
use crate::error::{Error, Result};
use crate::geometry::flat::FlatGeometry;
use crate::geometry::generalise;

/// Features whose outlines the database's questions go by: more are too many to read for one question (reliability.md G5).
const MOST_FEATURES: i64 = 50_000;
/// Bytes of their shapes.
const MOST_BYTES: i64 = 32 * 1024 * 1024;
/// Bytes of outlines that are kept.
const KEPT_BYTES: usize = 96 * 1024 * 1024;
/// An outline has fewer vertices than its shape, and 64 bytes more: what may be reckoned can be kept, and is not reckoned again by each.
const _: () = assert!(MOST_BYTES as usize + 64 * MOST_FEATURES as usize <= KEPT_BYTES);
/// Questions that wait for their turn to read a layer and generalise it, each with a connection of the pool.
const WAITING: usize = 8;
static QUEUE: LazyLock<Queue> = LazyLock::new(|| Queue::of(WAITING));

/// A layer at a moment as a viewer is shown it.
#[derive(Debug, Clone)]
pub(super) struct Shown<'l> {
    pub layer: &'l Layer,
    revision: Option<i64>,
    outlines: Option<Arc<Outlines>>,
}

/// The outlines of a layer at a moment, one for each life of a feature.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outlines {
    ids: Vec<String>,
    from: Vec<Option<NaiveDate>>,
    /// As EWKB; `None` of what has none.
    shapes: Vec<Option<Vec<u8>>>,
}

/// What the outlines of a moment are of: the same for everybody, whatever else a question asks.
fn moment_of(query: &ItemsQuery) -> ItemsQuery {
    ItemsQuery { period: query.period, revision: query.revision, ..ItemsQuery::default() }
}

impl<'l> Shown<'l> {
    /// As it was surveyed: for those who see all, and for questions in which shapes play no part.
    pub fn surveyed(layer: &'l Layer, revision: Option<i64>) -> Self {
        Self { layer, revision, outlines: None }
    }

    /// As this viewer is shown it at the moment of the query, which the transaction has been settled on (`as_of::look_back`).
    pub async fn to(
        connection: &mut PgConnection,
        viewer: &Viewer,
        layer: &'l Layer,
        query: &ItemsQuery,
    ) -> Result<Self> {
        let surveyed = Self::surveyed(layer, query.revision);
        let Some(rule) = layer.generalisation_for(viewer) else { return Ok(surveyed) };
        let outlines = drawn(connection, &surveyed, &moment_of(query), rule).await?;
        // A plan for whatever outlines takes them for ten, and would look through all of them for each row.
        sqlx::query("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)").execute(connection).await?;
        Ok(Self { outlines: Some(outlines), ..surveyed })
    }

    /// What stands behind FROM. Its parameters, where it has any, are numbered from `first` + 1 on.
    pub fn relation(&self, first: usize) -> String {
        let surveyed = as_of::relation(self.layer, self.revision);
        if self.outlines.is_none() {
            return surveyed;
        }
        // Named one by one: there is no way to the surveyed shape.
        let columns: Vec<String> = ["feature_id", "valid_from", "valid_to"]
            .into_iter()
            .chain(self.layer.properties.iter().map(|property| property.column))
            .map(|column| format!("surveyed.{column}"))
            .collect();
        // OFFSET 0 twice: bytes become a shape once, and conditions on it are asked of what was joined, not of each pair before.
        format!(
            "(SELECT {}, drawn.geom FROM (SELECT * FROM {surveyed}) AS surveyed
              LEFT JOIN (SELECT outline_of, outline_from, outline::geometry AS geom
                         FROM unnest(${}::text[], ${}::date[], ${}::bytea[]) AS o (outline_of, outline_from, outline) OFFSET 0) AS drawn
              ON drawn.outline_of = surveyed.feature_id AND drawn.outline_from IS NOT DISTINCT FROM surveyed.valid_from OFFSET 0) AS outlined",
            columns.join(", "),
            first + 1,
            first + 2,
            first + 3
        )
    }

    /// How many parameters the relation has.
    pub fn parameters(&self) -> usize {
        if self.outlines.is_some() { 3 } else { 0 }
    }

    /// Binds them.
    pub fn bind<'q, O>(&'q self, sql: QueryAs<'q, Postgres, O, PgArguments>) -> QueryAs<'q, Postgres, O, PgArguments> {
        match &self.outlines {
            None => sql,
            Some(outlines) => sql.bind(&outlines.ids).bind(&outlines.from).bind(&outlines.shapes),
        }
    }

    /// What a file says of each of the outlines, where the viewer is shown such.
    pub fn mark(&self) -> Option<String> {
        self.layer.generalisation.as_ref().filter(|_| self.outlines.is_some()).map(outline_mark)
    }

    /// The finest decimals of a degree that the viewer may have, where the layer says so.
    pub fn decimals(&self) -> Option<u8> {
        self.layer.generalisation.as_ref().filter(|_| self.outlines.is_some()).map(|rule| rule.decimals)
    }

    /// The outlines, where the viewer is shown such.
    pub fn outlines(&self) -> Option<&Outlines> {
        self.outlines.as_deref()
    }
}

/// A feature to be generalised: id, first day, EWKB.
type Row = (String, Option<NaiveDate>, Option<Vec<u8>>);

impl Outlines {
    fn of(rows: Vec<Row>, rule: &Generalisation) -> Self {
        let decoded: Vec<Option<FlatGeometry>> =
            rows.iter().map(|(.., bytes)| geometry_column::decode_shown(bytes.as_deref()?)).collect();
        let shaped: Vec<usize> =
            (0..rows.len()).filter(|at| decoded[*at].as_ref().is_some_and(|s| !s.is_empty())).collect();
        let shapes: Vec<&FlatGeometry> = shaped.iter().filter_map(|at| decoded[*at].as_ref()).collect();
        let wanted: Vec<usize> = (0..shapes.len()).collect();
        let mut drawn: Vec<Option<Vec<u8>>> = vec![None; rows.len()];
        for (at, outline) in shaped.iter().zip(generalise::generalise(&shapes, &wanted, rule)) {
            drawn[*at] = outline.as_ref().map(geometry_column::encode_flat);
        }
        let mut outlines = Self::default();
        let mut places: HashMap<(String, Option<NaiveDate>), usize> = HashMap::with_capacity(rows.len());
        for ((id, from, _), outline) in rows.into_iter().zip(drawn) {
            // Two features of one id (an operator's table may hold them) cannot be told apart: neither is shown the other's shape.
            if let Some(twin) = places.insert((id.clone(), from), outlines.ids.len()) {
                outlines.shapes[twin] = None;
                places.insert((id, from), twin);
                continue;
            }
            outlines.ids.push(id);
            outlines.from.push(from);
            outlines.shapes.push(outline);
        }
        outlines
    }

    fn bytes(&self) -> usize {
        let shapes: usize = self.shapes.iter().flatten().map(Vec::len).sum();
        let ids: usize = self.ids.iter().map(String::len).sum();
        shapes + ids + 64 * self.ids.len()
    }

    /// Each feature with its outline as EWKB.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.ids.iter().map(String::as_str).zip(self.shapes.iter().map(Option::as_deref))
    }
}

/// Reads what the moment shows and generalises it, unless that was done lately.
async fn drawn(
    connection: &mut PgConnection,
    surveyed: &Shown<'_>,
    moment: &ItemsQuery,
    rule: &Generalisation,
) -> Result<Arc<Outlines>> {
    let of_rule = (rule.tolerance_m.to_bits(), rule.decimals);
    let known_as = moment_key(connection, surveyed.layer, moment, of_rule).await?;
    if let Some(known) = known_as.as_ref().and_then(Memo::find_moment) {
        return Ok(known);
    }
    let rows = format!(
        "SELECT feature_id COLLATE \"C\" AS id, valid_from, ST_AsEWKB(geom) AS shape FROM {} WHERE {}",
        surveyed.relation(0),
        conditions(surveyed, moment)
    );
    let digest = format!(
        "SELECT count(*), coalesce(sum(octet_length(shape)), 0)::bigint,
                sha256(coalesce(string_agg(sha256(convert_to(concat_ws('/', id, valid_from), 'UTF8') || '\\x00'::bytea || coalesce(shape, '')), ''::bytea
                                           ORDER BY id, valid_from, shape), ''))
         FROM ({rows}) rows"
    );
    let (features, bytes, digest): (i64, i64, Vec<u8>) =
        bind(sqlx::query_as(AssertSqlSafe(digest)), surveyed, moment).fetch_one(&mut *connection).await?;
    if features > MOST_FEATURES || bytes > MOST_BYTES {
        let detail = format!(
            "图层“{}”的图形过多，公众的这种查询无法概括（至多 {MOST_FEATURES} 个要素、{} MB）；请只用 bbox 和属性等值条件，或登录后查询",
            surveyed.layer.title.zh,
            MOST_BYTES >> 20
        );
        return Err(Error::invalid("outlines_too_many", detail));
    }
    let key = Key { digest, rule: of_rule };
    if let Some(moment) = known_as {
        Memo::note(moment, key.clone());
    }
    if let Some(known) = Memo::find(&key) {
        return Ok(known);
    }
    let turn = QUEUE.turn().await?;
    if let Some(known) = Memo::find(&key) {
        return Ok(known);
    }
    let rows: Vec<Row> =
        bind(sqlx::query_as(AssertSqlSafe(rows)), surveyed, moment).fetch_all(&mut *connection).await?;
    let rule = *rule;
    // Kept there, not here: whoever goes away meanwhile has not had it reckoned for nothing. The turn ends with the work, not with them.
    let reckoned = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        Memo::keep(key, Outlines::of(rows, &rule))
    });
    reckoned.await.map_err(|cause| Error::internal("图形没能概括", cause))
}

/// One layer is read and generalised at a time: the memory of one, and processors are left for others.
#[derive(Debug)]
struct Queue {
    turn: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Queue {
    fn of(waiting: usize) -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), waiting: Semaphore::new(waiting) }
    }

    /// Waits for the turn; where too many do already, there is none now.
    async fn turn(&self) -> Result<OwnedSemaphorePermit> {
        let busy = || {
            let detail = "正在概括其他图层的图形，请稍后再试".to_owned();
            Error::Unavailable { code: "outlines_busy", detail, cause: None }
        };
        let _waiting = self.waiting.try_acquire().map_err(|_| busy())?;
        Arc::clone(&self.turn).acquire_owned().await.map_err(|_| busy())
    }
}

/// A rule as a key: the bits of its tolerance, its decimals.
type RuleKey = (u64, u8);

/// What was generalised: by what, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    digest: Vec<u8>,
    rule: RuleKey,
}

/// A moment of the register: what a layer shows then follows from the revision and all before it, which its hash stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Moment {
    layer: &'static str,
    revision: i64,
    hash: Vec<u8>,
    period: Option<Period>,
    rule: RuleKey,
}

/// The moment that is read; `None` of an operator's table, and of a register without revisions.
async fn moment_key(
    connection: &mut PgConnection,
    layer: &Layer,
    moment: &ItemsQuery,
    rule: RuleKey,
) -> Result<Option<Moment>> {
    if !layer.has_past() {
        return Ok(None);
    }
    let sql = "SELECT number, hash FROM revision WHERE number <= coalesce($1, number) AND hash IS NOT NULL ORDER BY number DESC LIMIT 1";
    let found: Option<(i64, Vec<u8>)> = sqlx::query_as(sql).bind(moment.revision).fetch_optional(connection).await?;
    let (layer, period) = (layer.id, moment.period);
    Ok(found.map(|(revision, hash)| Moment { layer, revision, hash, period, rule }))
}

/// Moments whose outlines are known by their digest; they are few bytes each.
const KEPT_MOMENTS: usize = 2_000;

/// Outlines of the last questions. One for the whole process: what they are depends on nothing but the key.
#[derive(Debug, Default)]
struct Memo {
    known: HashMap<Key, (Arc<Outlines>, u64)>,
    moments: HashMap<Moment, Key>,
    bytes: usize,
    /// Counts the questions.
    asked: u64,
}

static MEMO: LazyLock<Mutex<Memo>> = LazyLock::new(Mutex::default);

impl Memo {
    fn find(key: &Key) -> Option<Arc<Outlines>> {
        MEMO.lock().unwrap_or_else(PoisonError::into_inner).find_in(key)
    }

    fn find_moment(moment: &Moment) -> Option<Arc<Outlines>> {
        let mut memo = MEMO.lock().unwrap_or_else(PoisonError::into_inner);
        let key = memo.moments.get(moment)?.clone();
        memo.find_in(&key)
    }

    fn note(moment: Moment, key: Key) {
        let mut memo = MEMO.lock().unwrap_or_else(PoisonError::into_inner);
        if memo.moments.len() >= KEPT_MOMENTS {
            memo.moments.clear();
        }
        memo.moments.insert(moment, key);
    }

    fn keep(key: Key, outlines: Outlines) -> Arc<Outlines> {
        MEMO.lock().unwrap_or_else(PoisonError::into_inner).keep_in(key, outlines, KEPT_BYTES)
    }

    fn find_in(&mut self, key: &Key) -> Option<Arc<Outlines>> {
        self.asked += 1;
        let (outlines, last) = self.known.get_mut(key)?;
        *last = self.asked;
        Some(Arc::clone(outlines))
    }

    fn keep_in(&mut self, key: Key, outlines: Outlines, room: usize) -> Arc<Outlines> {
        let outlines = Arc::new(outlines);
        let bytes = outlines.bytes();
        if bytes > room {
            return outlines;
        }
        // What was asked for longest ago makes room; there are few.
        while self.bytes + bytes > room {
            let oldest = self.known.iter().min_by_key(|(_, (_, last))| *last).map(|(key, _)| key.clone());
            let Some((gone, _)) = oldest.and_then(|key| self.known.remove(&key)) else { break };
            self.bytes -= gone.bytes();
        }
        self.asked += 1;
        if let Some((before, _)) = self.known.insert(key, (Arc::clone(&outlines), self.asked)) {
            self.bytes -= before.bytes();
        }
        self.bytes += bytes;
        outlines
    }
}

#[cfg(test)]
mod tests {
    use geo::wkt;

    use super::*;

    fn of_bytes(size: usize) -> Outlines {
        Outlines { ids: vec!["a".to_owned()], from: vec![None], shapes: vec![Some(vec![0; size - 65])] }
    }

    fn key(number: u8) -> Key {
        Key { digest: vec![number], rule: (0, 4) }
    }

    #[tokio::test]
    async fn who_finds_too_many_waiting_is_told_so_and_the_others_have_their_turns() {
        let queue = Arc::new(Queue::of(2));
        let first = queue.turn().await.expect("nobody before");
        let wait = || {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.turn().await.map(drop) })
        };
        let waiting = [wait(), wait()];
        while queue.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(queue.turn().await.map(drop).map_err(|e| e.code()), Err("outlines_busy"));
        drop(first);
        for one in waiting {
            assert!(one.await.expect("joined").is_ok());
        }
        assert!(queue.turn().await.is_ok());
    }

    #[test]
    fn what_was_asked_for_longest_ago_makes_room() {
        let mut memo = Memo::default();
        for number in 1..=3 {
            memo.keep_in(key(number), of_bytes(100), 350);
        }
        assert!(memo.find_in(&key(1)).is_some());
        memo.keep_in(key(4), of_bytes(100), 350);
        let held: Vec<u8> = (1..=4).filter(|number| memo.known.contains_key(&key(*number))).collect();
        assert_eq!((held, memo.bytes), (vec![1, 3, 4], 300));
        memo.keep_in(key(4), of_bytes(150), 350);
        assert_eq!(
            (memo.known.len(), memo.bytes),
            (2, 250),
            "the room of what is replaced is reckoned too late, never too early"
        );
        assert_eq!(memo.keep_in(key(5), of_bytes(400), 350).bytes(), 400);
        assert!(memo.find_in(&key(5)).is_none(), "more than there is room for is not kept");
    }

    #[test]
    fn a_twin_is_not_shown_the_shape_of_the_other() {
        let square = geometry_column::encode(&wkt!(MULTIPOLYGON(((112. 28.,113. 28.,113. 29.,112. 28.)))));
        let rows = ["a", "b", "a"].map(|id| (id.to_owned(), None, Some(square.clone())));
        let outlines = Outlines::of(rows.to_vec(), &Generalisation { tolerance_m: 10.0, decimals: 4 });
        let shown: Vec<(&str, bool)> = outlines.iter().map(|(id, shape)| (id, shape.is_some())).collect();
        assert_eq!(shown, [("a", false), ("b", true)]);
    }
}
