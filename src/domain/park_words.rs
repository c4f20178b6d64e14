//! A park's words of the four extents (四至文字), put together from its blocks' own.
//!
//! Texts are parsed block by block and joined afterwards: a name such as 一号地块 is no header to the parser, so the
//! joined text alone could not be taken apart again. Never: a word that comes from geometry.

use crate::domain::Block;
use crate::domain::four_extents::{self, BlockExtents, Direction, ExtentsText, ExtentsWarning};

/// The text of a park and what it says, block by block.
#[derive(Debug, Default, PartialEq)]
pub struct ParkWords {
    pub text: String,
    pub parsed: ExtentsText,
}

/// Joins the words of the blocks in their order. A text that names its blocks stays as it is; one that does not gets
/// its block's name and stated area, so that a reader can tell whose words they are.
pub fn of_blocks(blocks: &[Block]) -> ParkWords {
    let mut words = ParkWords::default();
    let mut whole_texts: Vec<&str> = Vec::new();
    for block in blocks {
        let text = block.four_extents_text.as_deref().map(str::trim).filter(|t| !t.is_empty());
        let said = match text {
            Some(text) => four_extents::parse(text),
            None => four_extents::parse(&block.four_extents.print()),
        };
        let names_blocks = said.blocks.first().is_some_and(|b| b.name.is_some());
        match text {
            Some(text) if names_blocks => {
                // Files often repeat the text of the whole park in every record.
                if said.blocks.len() > 1 && whole_texts.contains(&text) {
                    continue;
                }
                whole_texts.push(text);
                append(&mut words, text, said);
            }
            _ => match composed(block, &said) {
                Some(composed) => append(&mut words, &four_extents::print(&composed), composed),
                None => append(&mut words, text.unwrap_or_default(), said),
            },
        }
    }
    if words.parsed.blocks.iter().all(|b| b.extents.is_empty()) {
        words.parsed.warnings.retain(|w| matches!(w, ExtentsWarning::AreaSumMismatch(_)));
        words.parsed.warnings.insert(0, ExtentsWarning::NoDirections);
    }
    words
}

/// The words of a text without a header, as a block of its own; `None` where no side is named.
fn composed(block: &Block, said: &ExtentsText) -> Option<ExtentsText> {
    let parsed = said.blocks.first();
    let stored = Some(&block.four_extents).filter(|e| !e.is_empty());
    let extents = stored.or(parsed.map(|b| &b.extents)).filter(|e| !e.is_empty())?;
    let area = parsed.and_then(|b| b.area).or(block.stated_area);
    Some(ExtentsText {
        total_area: said.total_area,
        blocks: vec![BlockExtents { name: block.name.clone(), area, extents: extents.clone() }],
        warnings: said.warnings.clone(),
    })
}

fn append(words: &mut ParkWords, text: &str, said: ExtentsText) {
    let before = words.parsed.blocks.len();
    // A text without any side says so once; among others, its blocks each lack all four.
    let silent = said.warnings.contains(&ExtentsWarning::NoDirections);
    words.parsed.warnings.extend(said.warnings.iter().filter_map(|w| moved(*w, before)));
    if silent {
        let each = |block| Direction::ALL.map(|direction| ExtentsWarning::Missing { block, direction });
        words.parsed.warnings.extend((before..before + said.blocks.len()).flat_map(each));
    }
    words.parsed.total_area = words.parsed.total_area.or(said.total_area);
    words.parsed.blocks.extend(said.blocks);
    if !words.text.is_empty() && !words.text.ends_with(['。', '；', ';', '.']) {
        words.text.push('。');
    }
    words.text.push_str(text);
}

/// The warning with its block's place among all blocks.
fn moved(warning: ExtentsWarning, by: usize) -> Option<ExtentsWarning> {
    match warning {
        ExtentsWarning::Missing { block, direction } => Some(ExtentsWarning::Missing { block: block + by, direction }),
        ExtentsWarning::Duplicate { block, direction } => {
            Some(ExtentsWarning::Duplicate { block: block + by, direction })
        }
        ExtentsWarning::NoDirections => None,
        ExtentsWarning::AreaSumMismatch(_) => Some(warning),
    }
}

#[cfg(test)]
mod tests {
    use geo::MultiPolygon;

    use super::*;
    use crate::domain::{BlockId, FourExtents, Hectares, SquareMetres};

    const SIDES: &str = "东至甲路，南至乙路，西至丙河，北至丁村";

    fn block(name: Option<&str>, text: Option<&str>, sides: FourExtents, stated: Option<f64>) -> Block {
        Block {
            id: BlockId::parse("G431176-1").expect("id"),
            name: name.map(str::to_owned),
            boundary: MultiPolygon(Vec::new()),
            area: SquareMetres::ZERO,
            stated_area: stated.and_then(Hectares::new),
            four_extents: sides,
            four_extents_text: text.map(str::to_owned),
            illustrative: false,
            source: "test".to_owned(),
            source_crs: None,
            attributes: Vec::new(),
        }
    }

    fn from_text(name: Option<&str>, text: &str, stated: Option<f64>) -> Block {
        block(name, Some(text), FourExtents::default(), stated)
    }

    fn names(words: &ParkWords) -> Vec<Option<&str>> {
        words.parsed.blocks.iter().map(|b| b.name.as_deref()).collect()
    }

    #[test]
    fn texts_that_name_their_blocks_are_joined_as_they_are() {
        let one = format!("区块一：面积3公顷，{SIDES}。");
        let two = format!("区块二：面积2公顷，{SIDES}。");
        let words = of_blocks(&[from_text(None, &one, None), from_text(None, &two, None)]);
        assert_eq!(words.text, format!("{one}{two}"));
        assert_eq!(words.parsed, four_extents::parse(&words.text));
        assert_eq!(names(&words), [Some("区块一"), Some("区块二")]);
    }

    #[test]
    fn a_text_without_a_header_gets_its_blocks_name_and_stated_area() {
        let blocks = [from_text(Some("一号地块"), SIDES, Some(3.0)), from_text(Some("二号地块"), SIDES, None)];
        let words = of_blocks(&blocks);
        assert_eq!(words.text, format!("一号地块：面积3公顷，{SIDES}。二号地块：{SIDES}。"));
        assert_eq!(names(&words), [Some("一号地块"), Some("二号地块")]);
        assert_eq!(words.parsed.warnings, []);
        let stated_in_words = of_blocks(&[from_text(None, &format!("面积5公顷，{SIDES}"), Some(3.0))]);
        assert_eq!(stated_in_words.text, format!("面积5公顷，{SIDES}。"), "the words' own area stands");
    }

    #[test]
    fn the_text_of_the_whole_park_in_every_record_counts_once() {
        let whole = format!("区块一：{SIDES}。区块二：{SIDES}。");
        let words = of_blocks(&[from_text(None, &whole, None), from_text(None, &whole, None)]);
        assert_eq!((words.text.as_str(), words.parsed.blocks.len()), (whole.as_str(), 2));
    }

    #[test]
    fn warnings_name_the_block_among_all() {
        let sides = FourExtents { east: Some("甲路".into()), ..FourExtents::default() };
        let blocks =
            [from_text(None, SIDES, None), block(None, None, sides, None), from_text(None, "区块三：面积1公顷", None)];
        let found = of_blocks(&blocks).parsed.warnings;
        let missing = |block, directions: &[Direction]| -> Vec<ExtentsWarning> {
            directions.iter().map(|&direction| ExtentsWarning::Missing { block, direction }).collect()
        };
        assert_eq!(found, [missing(1, &Direction::ALL[1..]), missing(2, &Direction::ALL)].concat());
    }

    #[test]
    fn no_words_at_all_are_said_once() {
        let silent = block(None, None, FourExtents::default(), Some(1.0));
        for blocks in [vec![], vec![silent.clone(), silent], vec![from_text(None, "详见附图", None)]] {
            let words = of_blocks(&blocks);
            assert_eq!(words.parsed.warnings, [ExtentsWarning::NoDirections]);
            assert_eq!(words.parsed.blocks, []);
        }
        assert_eq!(of_blocks(&[from_text(None, "详见附图", None)]).text, "详见附图");
    }
}
