//! The features that a check compares with, where memory does not hold them: as they stand, at a revision, on a day.

use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};

use super::conditions::{bind, conditions, parameter_count, relation};
use super::outlines::Shown;
use super::pool::begin_read_as;
use super::{as_of, control_zones, geometry_column};
use crate::domain::access::Viewer;
use crate::domain::control_zone::ZoneKind;
use crate::domain::items_query::{Bbox, ItemsQuery, Period};
use crate::domain::layer::Layer;
use crate::error::Result;
use crate::geometry::flat::FlatGeometry;

/// A feature near the shapes of a check.
#[derive(Debug, Clone, PartialEq)]
pub struct NearFeature {
    pub id: String,
    pub name: Option<String>,
    /// Drawn (示意), not surveyed.
    pub illustrative: bool,
    /// All properties as JSON, of layers whose features say themselves what they weigh.
    pub properties: Option<String>,
    pub geometry: FlatGeometry,
}

/// One state of the register, read for somebody.
pub struct NearReading<'v> {
    held: Held<'v>,
    viewer: &'v Viewer,
    moment: ItemsQuery,
    /// The revision that is read.
    pub revision: i64,
}

/// A transaction of its own, or somebody's.
enum Held<'v> {
    Own(Transaction<'static, Postgres>),
    Lent(&'v mut PgConnection),
}

impl<'v> NearReading<'v> {
    /// What this transaction sees, with what it has written itself.
    pub async fn within(connection: &'v mut PgConnection, viewer: &'v Viewer) -> Result<Self> {
        let revision = as_of::newest(connection).await?;
        Ok(Self { held: Held::Lent(connection), viewer, moment: ItemsQuery::default(), revision })
    }

    fn connection(&mut self) -> &mut PgConnection {
        match &mut self.held {
            Held::Own(transaction) => transaction,
            Held::Lent(connection) => connection,
        }
    }

    pub async fn begin(
        pool: &PgPool,
        viewer: &'v Viewer,
        revision: Option<i64>,
        period: Option<Period>,
    ) -> Result<Self> {
        let mut transaction = begin_read_as(pool, viewer).await?;
        let read = as_of::look_back(&mut transaction, revision, period).await?;
        let moment = ItemsQuery { revision, period, ..ItemsQuery::default() };
        Ok(Self { held: Held::Own(transaction), viewer, moment, revision: read })
    }

    /// The features of a layer whose boxes meet one of these; at most so many and one more.
    pub async fn features(
        &mut self,
        layer: &Layer,
        names: &[&str],
        whole: bool,
        boxes: &[Bbox],
        most: usize,
    ) -> Result<Vec<NearFeature>> {
        let (viewer, moment) = (self.viewer, self.moment.clone());
        let connection = self.connection();
        let shown = Shown::to(connection, viewer, layer, &moment).await?;
        let n = parameter_count(&shown, &moment);
        let columns: Vec<&str> = names.iter().filter_map(|name| layer.property(name)).map(|p| p.column).collect();
        let name = match columns.as_slice() {
            [] => "NULL".to_owned(),
            columns => format!("nullif(concat_ws('·', {}), '')", columns.join(", ")),
        };
        let drawn = layer.property("illustrative").filter(|_| layer.has_past());
        let drawn = drawn.map_or("false", |property| property.column);
        let properties = if whole { "(to_jsonb(sizhi_row) - 'geom')::text" } else { "NULL::text" };
        // (What is read may be a sub-select with a name of its own.)
        let sql = format!(
            "SELECT feature_id, ({name})::text AS sizhi_name, coalesce({drawn}, false) AS sizhi_drawn, {properties} AS sizhi_properties, ST_AsEWKB(geom) AS sizhi_shape FROM (SELECT * FROM {}) AS sizhi_row
             WHERE {} AND geom && ANY (SELECT ST_MakeEnvelope(w, s, e, n, 4490)
                 FROM unnest(${}::double precision[], ${}::double precision[], ${}::double precision[], ${}::double precision[]) AS b (w, s, e, n))
             LIMIT ${}",
            relation(&shown),
            conditions(&shown, &moment),
            n + 1,
            n + 2,
            n + 3,
            n + 4,
            n + 5,
        );
        let side = |at: usize| boxes.iter().map(|bbox| bbox[at]).collect::<Vec<f64>>();
        let rows: Vec<(String, Option<String>, bool, Option<String>, Option<Vec<u8>>)> =
            bind(sqlx::query_as(AssertSqlSafe(sql)), &shown, &moment)
                .bind(side(0))
                .bind(side(1))
                .bind(side(2))
                .bind(side(3))
                .bind(i64::try_from(most + 1).unwrap_or(i64::MAX))
                .fetch_all(connection)
                .await?;
        let near = rows.into_iter().filter_map(|(id, name, illustrative, properties, shape)| {
            let geometry = shape.as_deref().and_then(geometry_column::decode_shown)?;
            (!geometry.is_empty()).then_some(NearFeature { id, name, illustrative, properties, geometry })
        });
        Ok(near.collect())
    }

    /// The kinds of control lines that land should lie within, of which there is a zone, by their codes.
    pub async fn kinds_to_lie_within(&mut self) -> Result<Vec<ZoneKind>> {
        let revision = self.moment.revision;
        as_of::turn_back(self.connection(), revision).await?;
        control_zones::list_kinds_to_lie_within(self.connection()).await
    }
}
