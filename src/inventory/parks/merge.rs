//! Parks are merged: theirs end, their blocks and all that lies in them go on under the survivor.

use sqlx::PgConnection;

use super::numbers::Numbers;
use super::work::Work;
use super::{Areas, Survivor};
use crate::domain::lifecycle::EventKind;
use crate::domain::{Finding, ParkCode, Place};
use crate::error::Result;
use crate::store::park_events::{self, ParkEdit};

impl Work<'_> {
    pub async fn merge(
        &mut self,
        connection: &mut PgConnection,
        parks: &[ParkCode],
        into: &Survivor,
        revision: i64,
    ) -> Result<()> {
        let survivor = match into {
            Survivor::Standing(code) => code.clone(),
            Survivor::New(new) => new.park.code.clone(),
        };
        let merged: Vec<&ParkCode> = parks.iter().collect();
        for park in parks {
            self.file(park, EventKind::MergedInto, &[&survivor], Areas::default(), revision);
        }
        self.withdraw(connection, &merged).await?;
        match into {
            Survivor::New(new) => self.establish(connection, new, &merged, revision).await?,
            Survivor::Standing(_) => self.absorb(connection, &survivor, &merged, revision).await?,
        }
        let mut numbers = Numbers::of(park_events::used_numbers(connection, survivor.as_str()).await?);
        let own = park_events::list_blocks(connection, &[survivor.to_string()]).await?;
        let mut drawn: Vec<bool> = own.iter().map(|block| block.illustrative).collect();
        for park in parks {
            let blocks = park_events::list_blocks(connection, &[park.to_string()]).await?;
            drawn.extend(blocks.iter().map(|block| block.illustrative));
            self.hand_on(connection, &blocks, &survivor, &mut numbers).await?;
            self.end(connection, park, Some(&survivor)).await?;
        }
        if drawn.contains(&true) && drawn.contains(&false) {
            let message =
                format!("并入后园区 {survivor} 既有实测区块又有示意区块；再导入它的实测区块时，示意区块将被取代");
            self.warnings.push(Finding::warning("illustrative_mixed", Place::whole(), message));
        }
        Ok(())
    }

    /// The survivor's own side.
    async fn absorb(
        &mut self,
        connection: &mut PgConnection,
        survivor: &ParkCode,
        merged: &[&ParkCode],
        revision: i64,
    ) -> Result<()> {
        let Some(standing) = self.standing.get(survivor.as_str()).cloned() else { return Ok(()) };
        let areas = self.wanted.areas;
        if areas.approved().is_none() {
            let registered = standing.approved_area_ha.as_deref().unwrap_or("（无）");
            let message = format!("文件没有写明并入后的核准面积；园区 {survivor} 的核准面积仍为 {registered} 公顷");
            self.warnings.push(Finding::warning("approved_area_kept", Place::whole().field("areas"), message));
        }
        // Without counties of its own nobody knows which they are; then those of the others are no answer either.
        let mut counties = standing.county_codes.clone();
        if !counties.is_empty() {
            let others = merged.iter().filter_map(|code| self.standing.get(code.as_str()));
            for county in others.flat_map(|park| park.county_codes.clone()) {
                if !counties.contains(&county) {
                    counties.push(county);
                }
            }
        }
        let edit = ParkEdit { county_codes: Some(counties), approved_area: areas.approved(), ..ParkEdit::default() };
        park_events::edit_park(connection, survivor.as_str(), &edit).await?;
        self.file(survivor, EventKind::Absorbed, merged, areas, revision);
        Ok(())
    }
}
