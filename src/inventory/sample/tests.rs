//! The sample against what is known of Hunan. PostGIS judges the same blocks in `tests/it/sample.rs`.

use std::collections::BTreeMap;

use super::*;
use crate::domain::DivisionLevel;
use crate::domain::four_extents::parse;
use crate::geometry::{area, overlap, validity};

fn sample() -> Sample {
    build().expect("fixtures are sound")
}

#[test]
fn counts_are_those_of_the_sources() {
    let sample = sample();
    let count = |level| sample.divisions.iter().filter(|d| d.level == level).count();
    assert_eq!(
        [count(DivisionLevel::Province), count(DivisionLevel::Prefecture), count(DivisionLevel::County)],
        [1, 14, 122]
    );
    assert_eq!([count(DivisionLevel::Statistical), count(DivisionLevel::Superseded)], [12, 1]);
    assert!(sample.divisions.iter().all(|d| (d.maps_to.is_some()) == matches!(d.level, DivisionLevel::Statistical | DivisionLevel::Superseded)));
    assert_eq!(sample.parks.len(), 129);
    assert_eq!(sample.parks.iter().filter(|p| p.is_national()).count(), 20);
    let hectares: f64 = sample.parks.iter().filter_map(|p| p.approved_area).map(|a| a.value()).sum();
    assert!((hectares - 71_177.01).abs() < 1e-6, "domain.md §3: 71,177.01 ha, found {hectares}");
    assert_eq!((sample.directory.entries.len(), sample.events.len()), (129, 7));
    assert_eq!(sample.parks.iter().filter(|p| p.approved_on.is_none()).count(), 0);
}

#[test]
fn prefecture_outlines_are_valid_and_as_large_as_the_province() {
    let sample = sample();
    let outlines: Vec<_> = sample.divisions.iter().filter_map(|d| d.outline.as_ref().map(|o| (d, o))).collect();
    assert_eq!(outlines.len(), 14);
    let square_kilometres: f64 = outlines.iter().map(|(_, o)| area::ellipsoidal(o).value() / 1e6).sum();
    // Published area of Hunan: 211,800 km². The outline is generalised.
    assert!((square_kilometres / 211_800.0 - 1.0).abs() < 0.015, "{square_kilometres} km²");
    for (division, outline) in outlines {
        assert!(validity::is_valid(outline), "{}", division.name);
        assert_eq!(division.source.contains("已修复"), division.name == "怀化市", "{}", division.source);
    }
}

#[test]
fn each_park_has_its_approved_area_to_the_digit() {
    let sample = sample();
    let mut by_park: BTreeMap<&str, (f64, i64)> = BTreeMap::new();
    for block in &sample.blocks {
        let entry = by_park.entry(block.id.park().as_str()).or_default();
        entry.0 += block.area.value();
        entry.1 += (block.stated_area.expect("stated").value() * 100.0).round() as i64;
    }
    for park in &sample.parks {
        let approved = park.approved_area.expect("approved").value();
        let (computed, stated) = by_park[park.code.as_str()];
        assert!((computed / 10_000.0 / approved - 1.0).abs() < 1e-9, "{}: {computed} m² for {approved} ha", park.name);
        assert_eq!(stated, (approved * 100.0).round() as i64, "{}", park.name);
    }
}

#[test]
fn blocks_are_valid_apart_and_their_words_read_back() {
    let sample = sample();
    assert_eq!(sample.blocks.len(), 280);
    for block in &sample.blocks {
        assert!(validity::is_valid(&block.boundary), "{}", block.id);
        assert!(block.illustrative && block.source.contains("示意"));
        let text = block.four_extents_text.as_deref().expect("words");
        let parsed = parse(text);
        assert_eq!(parsed.warnings, [], "{text}");
        assert_eq!(parsed.blocks[0].extents, block.four_extents, "{text}");
        assert_eq!(parsed.blocks[0].area, block.stated_area, "{text}");
    }
    assert!(sample.blocks.iter().any(|b| b.boundary.0.len() > 1), "a block in two pieces");
    assert!(sample.blocks.iter().any(|b| !b.boundary.0[0].interiors().is_empty()), "a block with a hole");
    let boundaries: Vec<_> = sample.blocks.iter().map(|b| &b.boundary).collect();
    assert_eq!(overlap::pairs(&boundaries, 1).list, []);
}

#[test]
fn the_same_drawing_every_time() {
    assert_eq!(sample().blocks, sample().blocks);
}

#[test]
fn grid_blocks_are_valid_and_apart() {
    let blocks = grid_blocks(2_500, &sample().parks);
    assert_eq!(blocks.len(), 2_500);
    assert!(blocks.iter().all(|b| validity::is_valid(&b.boundary)));
    assert_eq!(overlap::pairs(&blocks.iter().map(|b| &b.boundary).collect::<Vec<_>>(), 1).list, []);
}
