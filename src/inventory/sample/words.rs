//! Four-extents words for drawn blocks: plausible, fictional, and read back by the parser as they are.

use super::blocks::Dice;
use crate::domain::FourExtents;

const NAMES: [&str; 24] = [
    "星湖", "枫林", "金桥", "白鹭", "翠屏", "青石", "望岳", "临江", "朝阳", "迎宾", "兴业", "创新", "桃花", "石塘",
    "荷塘", "松柏", "长岭", "双溪", "云栖", "龙泉", "凤凰", "书院", "学士", "湘水",
];
const ROADS: [&str; 6] = ["大道", "路", "街", "三路", "北路", "高速"];
const OTHERS: [&str; 5] = ["河", "水库", "村", "铁路专用线", "组"];

/// Words for one block; about a quarter of the sides has an offset or a second landmark.
pub(super) fn draw(dice: &mut Dice) -> FourExtents {
    let mut side = |direction: char| Some(side(dice, direction));
    FourExtents { east: side('西'), south: side('北'), west: side('东'), north: side('南') }
}

/// `inner` is the direction from the landmark back to the block: a road east of it lies beyond, the block west of it.
fn side(dice: &mut Dice, inner: char) -> String {
    let road = format!("{}{}", dice.pick(&NAMES), dice.pick(&ROADS));
    match dice.below(8) {
        0 => format!("{road}以{inner}{}米处", 10 * (1 + dice.below(40))),
        1 => format!("{road}、{}{}", dice.pick(&NAMES), dice.pick(&OTHERS)),
        2 => format!("{}{}", dice.pick(&NAMES), dice.pick(&OTHERS)),
        _ => road,
    }
}
