use chrono::NaiveDate;

use super::*;
use crate::domain::lifecycle::DecimalHectares;

fn day(text: &str) -> NaiveDate {
    text.parse().expect("day")
}

fn ha(text: &str) -> DecimalHectares {
    DecimalHectares::parse(text).expect("area")
}

#[test]
fn every_state_against_every_state() {
    // Rows: from; columns: to, in the order of ALL. 1 = allowed.
    let table = [
        (State::Proposed, [0, 1, 0, 0, 0, 1]),
        (State::JointReview, [1, 0, 1, 0, 1, 1]),
        (State::PublicNotice, [0, 1, 0, 1, 1, 1]),
        (State::Approved, [0; 6]),
        (State::Rejected, [0; 6]),
        (State::Withdrawn, [0; 6]),
    ];
    for (from, row) in table {
        for (to, allowed) in State::ALL.into_iter().zip(row) {
            assert_eq!(may_follow(from, to), allowed == 1, "{from:?} → {to:?}");
            assert_eq!(check_move(from, to).is_none(), allowed == 1);
        }
        assert_eq!(State::parse(from.as_str()), Some(from));
        assert_eq!(State::parse(from.label()), Some(from));
        assert_eq!(State::ALL[from as usize], from, "the table is in the order of the variants");
    }
}

#[test]
fn a_notice_runs_five_working_days_from_the_day_after() {
    // Counted by hand on the wall calendar of 2024 and 2025.
    let calendar = Calendar::new([
        (day("2024-10-01"), false),
        (day("2024-10-02"), false),
        (day("2024-10-03"), false),
        (day("2024-10-04"), false),
        (day("2024-10-07"), false),
        (day("2024-09-29"), true),
        (day("2024-10-12"), true),
    ]);
    let table = [
        // Friday: Monday to Friday of the next week.
        ("2024-06-28", "2024-07-05"),
        // Wednesday: Thursday, Friday, Monday, Tuesday, Wednesday.
        ("2024-10-30", "2024-11-06"),
        // Friday before a Sunday that is worked: Sunday 29, Monday 30, then the holiday, Tuesday 8, Wednesday 9, Thursday 10.
        ("2024-09-27", "2024-10-10"),
        // Published on a holiday: 8, 9, 10, 11 and Saturday 12, which is worked.
        ("2024-10-05", "2024-10-12"),
        // Published on a Saturday.
        ("2024-06-29", "2024-07-05"),
    ];
    for (from, until) in table {
        assert_eq!(calendar.notice_until(day(from)), Some(day(until)), "from {from}");
    }
    assert_eq!(calendar.unknown_years(day("2024-12-30"), day("2025-01-06")), [2025].into());
    assert_eq!(Calendar::default().notice_until(NaiveDate::MAX), None);
}

#[test]
fn the_kind_is_what_the_areas_say() {
    let areas =
        |out: &str, added: &str| StatedAreas { before: ha("10"), out: ha(out), added: ha(added), after: ha("10") };
    assert_eq!(areas("1", "0").kind(), Some(EventKind::Adjusted));
    assert_eq!(areas("0", "1").kind(), Some(EventKind::Extended));
    assert_eq!(areas("1", "1").kind(), Some(EventKind::AdjustedAndExtended));
    assert_eq!(areas("0", "0").kind(), None);
}

#[test]
fn a_wrong_digit_is_named() {
    let park = ParkCode::parse("G431177").expect("code");
    let areas = StatedAreas { before: ha("2161.12"), out: ha("326.82"), added: ha("278.80"), after: ha("2113.10") };
    let blocks = [ha("196.23"), ha("153.15"), ha("1763.72")];
    assert_eq!(areas.check(&park, &blocks), []);
    let codes = |areas: StatedAreas, blocks: &[DecimalHectares]| {
        areas.check(&park, blocks).into_iter().map(|f| f.code.into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(codes(StatedAreas { added: ha("278.81"), ..areas }, &blocks), ["event_area_arithmetic"]);
    assert_eq!(codes(areas, &[ha("196.23"), ha("153.15"), ha("1763.71")]), ["event_blocks_sum"]);
    let nothing = StatedAreas { before: ha("1"), out: ha("0"), added: ha("0"), after: ha("1") };
    assert_eq!(codes(nothing, &[ha("1")]), ["change_of_nothing"]);
    let more = StatedAreas { before: ha("1"), out: ha("2"), added: ha("2"), after: ha("1") };
    assert_eq!(codes(more, &[ha("1")]), ["area_out_exceeds_before"]);
}

#[test]
fn days_of_a_year_are_read_and_slips_are_told() {
    let good = "day,is_working,name,source\n2027-01-01,false,元旦,国办通知\n2027-02-06,true,春节调休上班,国办通知\n";
    let days = parse_calendar(good).expect("good");
    assert_eq!(
        days.iter().map(|d| (d.day, d.is_working)).collect::<Vec<_>>(),
        [(day("2027-01-01"), false), (day("2027-02-06"), true)]
    );
    let bad = "day,is_working,name,source\n2027-01-02,false,元旦,x\n2027-13-01,false,元旦,x\n2027-01-01,maybe,元旦,x\n2027-01-04,false,,x\n";
    let rows: Vec<_> = parse_calendar(bad).expect_err("bad").iter().map(|f| f.place.row).collect();
    assert_eq!(rows, [Some(2), Some(3), Some(4), Some(5)]);
}
