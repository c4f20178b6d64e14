//! Texts of notices → blocks with four sides. The grammar is domain.md §2; what the real notices write beyond it is
//! commented where it is taken.
//!
//! Linear in the text but for short look-aheads; never fails, never panics: an odd text gives warnings.

use super::marks::Marked;
use super::{BlockExtents, Direction, ExtentsText, ExtentsWarning};
use crate::domain::area::{Hectares, round_decimal};

/// Sums of block areas may miss the total by less than this (half the last digit that notices print).
const SUM_TOLERANCE_HA: f64 = 0.005;
/// Longest name of a block that is named, not numbered (核心区, 徐家片区).
const LONGEST_NAME: usize = 12;

/// Parses a text of four extents, with or without blocks and areas.
pub fn parse(text: &str) -> ExtentsText {
    let marked = Marked::new(text);
    let headers = find_headers(&marked);
    let mut parsed = ExtentsText::default();
    let mut named_any_side = false;
    let head_end = headers.first().map_or(marked.len(), |h| h.start);
    let head_sides = find_sides(&marked, 0, head_end, 0);
    if headers.is_empty() || !head_sides.is_empty() {
        // Without a header the text is one block, and an area before the sides is the block's.
        if !head_sides.is_empty() {
            let (block, total) = read_block(&marked, None, 0, head_end, &head_sides, &mut parsed);
            named_any_side = true;
            parsed.total_area = total;
            parsed.blocks.push(block);
        }
    } else {
        parsed.total_area = find_area(&marked, 0, head_end).map(|a| a.hectares);
    }
    for (i, header) in headers.iter().enumerate() {
        let end = headers.get(i + 1).map_or(marked.len(), |next| next.start);
        let sides = find_sides(&marked, header.end, end, header.end);
        named_any_side |= !sides.is_empty();
        let (block, total) = read_block(&marked, Some(header), header.end, end, &sides, &mut parsed);
        parsed.total_area = parsed.total_area.or(total);
        parsed.blocks.push(block);
    }
    if !named_any_side {
        parsed.warnings = vec![ExtentsWarning::NoDirections];
    }
    parsed.warnings.extend(sum_mismatch(&parsed));
    parsed
}

/// A block's title: where it starts and ends, its name, an area inside its brackets.
struct Header {
    start: usize,
    end: usize,
    name: String,
    area: Option<Hectares>,
}

/// Headers stand at the start of the text or behind a sentence end or semicolon; behind a colon or a line break only
/// where what follows leaves no doubt.
fn find_headers(marked: &Marked) -> Vec<Header> {
    let mut headers = Vec::new();
    let mut at = 0;
    while at < marked.len() {
        let here = marked.skip_blanks(at);
        let before = at.checked_sub(1).map(|i| marked.form[i]);
        let firm = matches!(before, None | Some('。' | ';'));
        let loose = matches!(before, Some(':' | '\n'));
        let found = (firm || loose)
            .then(|| numbered_header(marked, here, firm).or_else(|| firm.then(|| named_header(marked, here)).flatten()))
            .flatten()
            .filter(|h| !marked.bracketed[h.start]);
        match found {
            Some(header) => {
                at = header.end.max(at + 1);
                headers.push(header);
            }
            None => at += 1,
        }
    }
    headers
}

/// `区块一`, `区块12`, `区块一（科技园）`; not `区块一、区块二合计…` and not `区块二与区块三之间`.
fn numbered_header(marked: &Marked, start: usize, firm: bool) -> Option<Header> {
    if !marked.starts_with(start, "区块") {
        return None;
    }
    let is_number = |c: &char| c.is_ascii_digit() || "一二三四五六七八九十百零〇两".contains(*c);
    let mut digits = marked.form[start + 2..].iter().take(6).take_while(|c| is_number(c)).count();
    // 区块二四至范围: this 四 belongs to 四至.
    if digits > 1 && marked.starts_with(start + 1 + digits, "四至") {
        digits -= 1;
    }
    if digits == 0 {
        return None;
    }
    let number_end = start + 2 + digits;
    let mut end = number_end;
    if marked.form.get(end) == Some(&'(') && marked.bracketed[end] {
        end += marked.bracketed[end..].iter().take_while(|inside| **inside).count();
    }
    let next = marked.form.get(marked.skip_blanks(end)).copied();
    if matches!(next, Some('、' | '和' | '与' | '及' | '或' | '以' | '至' | '的')) {
        return None;
    }
    let opens_block = matches!(next, Some(':' | ',' | '(') | None)
        || ["面积", "规划面积", "四至"].iter().any(|word| marked.starts_with(marked.skip_blanks(end), word));
    if !firm && !opens_block {
        return None;
    }
    // 区块一（212.36公顷）: the bracket holds the area, not a name.
    let area = find_area(marked, number_end, end);
    let name_end = if area.is_some() { number_end } else { end };
    Some(Header { start, end, name: marked.value(start, name_end), area: area.map(|a| a.hectares) })
}

/// `核心区：`, `徐家片区：`: a short name that ends in 区 or 区域, and a colon.
fn named_header(marked: &Marked, start: usize) -> Option<Header> {
    let rest = marked.form.get(start..)?;
    let mut length = 0;
    for (i, c) in rest.iter().enumerate().take(LONGEST_NAME + 12) {
        match c {
            ':' => break,
            ',' | ';' | '。' | '、' | '\n' if !marked.bracketed[start + i] => return None,
            _ => length += 1,
        }
    }
    if rest.get(length) != Some(&':') || length == 0 {
        return None;
    }
    let name = &rest[..length];
    let bare = name.iter().position(|c| *c == '(').map_or(name, |open| &name[..open]);
    let ends_in_area = bare.ends_with(&['区']) || bare.ends_with(&['区', '域']);
    (ends_in_area && bare.len() <= LONGEST_NAME).then(|| Header {
        start,
        end: start + length + 1,
        name: marked.value(start, start + length),
        area: None,
    })
}

/// One side as written: the directions it names, where its token starts and where its value begins.
struct Side {
    directions: Vec<Direction>,
    start: usize,
    value_start: usize,
}

/// Direction tokens in a stretch. `free` is a place where a token may start without a mark before it (behind a header).
fn find_sides(marked: &Marked, from: usize, to: usize, free: usize) -> Vec<Side> {
    let mut sides: Vec<Side> = Vec::new();
    let mut at = from;
    while at < to {
        let may_start = !marked.bracketed[at]
            && (at == free || at == from || opens_token(marked, at))
            // 东至东至大道: a token that begins where the last one ended is a place name.
            && sides.last().is_none_or(|last| at > last.value_start);
        match may_start.then(|| token(marked, at)).flatten() {
            Some(side) if side.value_start <= to => {
                at = side.value_start;
                sides.push(side);
            }
            _ => at += 1,
        }
    }
    sides
}

fn opens_token(marked: &Marked, at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|i| marked.form[i]) else { return true };
    matches!(before, ',' | ';' | '。' | '、' | ':') || before.is_whitespace()
        // Written without a mark: 四至范围为东至…, 面积212.36公顷东至….
        || ["四至", "范围", "四至为", "范围为", "公顷", "平方公里", "平方千米", "平方米"].iter().any(|word| marked.ends_with(at, word))
}

/// `东至`, `东、南至`, `东侧为`, `东：`, `东—`; blanks behind it belong to it.
fn token(marked: &Marked, start: usize) -> Option<Side> {
    let mut directions = vec![Direction::from_char(*marked.form.get(start)?)?];
    let mut at = start + 1;
    while marked.form.get(at) == Some(&'、') {
        let Some(next) = marked.form.get(at + 1).and_then(|c| Direction::from_char(*c)) else { break };
        if directions.len() == 4 {
            return None;
        }
        directions.push(next);
        at += 2;
    }
    at = marked.skip_blanks(at);
    let after_verb = verb(marked, at)?;
    Some(Side { directions, start, value_start: marked.skip_blanks(after_verb) })
}

/// Where the verb, colon or dash at `at` ends.
fn verb(marked: &Marked, at: usize) -> Option<usize> {
    let side_word = matches!(marked.form.get(at), Some('侧' | '面' | '边'));
    let at = if side_word { marked.skip_blanks(at + 1) } else { at };
    if marked.starts_with(at, "毗邻") {
        return Some(at + 2);
    }
    match marked.form.get(at)? {
        '至' | '临' | '邻' | '接' | '靠' | '抵' | '达' | '起' | '到' | ':' => Some(at + 1),
        '为' if side_word => Some(at + 1),
        '-' => {
            // One dash or the double Chinese one.
            let run = marked.form[at..].iter().take_while(|c| **c == '-').count();
            Some(at + run)
        }
        _ => None,
    }
}

/// Builds a block from its stretch, and the total area if its trailing sentence states one.
fn read_block(
    marked: &Marked,
    header: Option<&Header>,
    from: usize,
    to: usize,
    sides: &[Side],
    parsed: &mut ExtentsText,
) -> (BlockExtents, Option<Hectares>) {
    let mut block = BlockExtents { name: header.map(|h| h.name.clone()), ..BlockExtents::default() };
    let index = parsed.blocks.len();
    let mut behind = from;
    for (i, side) in sides.iter().enumerate() {
        let next = sides.get(i + 1).map_or(to, |s| s.start);
        let end = value_end(marked, side.value_start, next);
        behind = end;
        let value = marked.value(side.value_start, end);
        if value.is_empty() {
            continue;
        }
        for &direction in &side.directions {
            match block.extents.slot(direction) {
                Some(known) => {
                    known.push('、');
                    known.push_str(&value);
                    parsed.warnings.push(ExtentsWarning::Duplicate { block: index, direction });
                }
                empty => *empty = Some(value.clone()),
            }
        }
    }
    for direction in Direction::ALL {
        if block.extents.get(direction).is_none() {
            parsed.warnings.push(ExtentsWarning::Missing { block: index, direction });
        }
    }
    let first_side = sides.first().map_or(to, |s| s.start);
    let before = find_area(marked, from, first_side);
    // An area behind the sides is the block's, unless it calls itself the total.
    let (mut after, mut total) = (None, None);
    if let Some(found) = (!sides.is_empty()).then(|| find_area(marked, behind, to)).flatten() {
        let is_total =
            ["总面积", "合计", "共计", "总计"].iter().any(|word| contains(marked, behind, found.start, word));
        if is_total { total = Some(found.hectares) } else { after = Some(found.hectares) }
    }
    block.area = header.and_then(|h| h.area).or(before.map(|a| a.hectares)).or(after);
    (block, total)
}

/// A value ends at the sentence end or where an area is told, outside brackets.
fn value_end(marked: &Marked, from: usize, to: usize) -> usize {
    for at in from..to {
        if marked.bracketed[at] {
            continue;
        }
        if marked.form[at] == '。' {
            return at;
        }
        if matches!(marked.form[at], ',' | ';') {
            let next = marked.skip_blanks(at + 1);
            if ["面积", "规划面积", "总面积", "总规划面积", "用地面积", "核准面积", "合计", "共计"]
                .iter()
                .any(|word| marked.starts_with(next, word))
            {
                return at;
            }
        }
    }
    to
}

fn contains(marked: &Marked, from: usize, to: usize, word: &str) -> bool {
    (from..to).any(|at| marked.starts_with(at, word))
}

struct AreaFound {
    start: usize,
    hectares: Hectares,
}

/// The first number with a unit of area in a stretch, in hectares with four decimals.
fn find_area(marked: &Marked, from: usize, to: usize) -> Option<AreaFound> {
    let mut at = from;
    while at < to {
        if !marked.form[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let (end, number) = number(marked, at, to);
        let unit_at = marked.skip_blanks(end);
        let factor = UNITS.iter().find(|(name, _)| marked.starts_with(unit_at, name)).map(|(_, factor)| *factor);
        if let (Some(number), Some(factor)) = (number, factor)
            && let Some(hectares) = Hectares::new(round_decimal(number * factor, 4)).filter(|h| h.value() > 0.0)
        {
            return Some(AreaFound { start: at, hectares });
        }
        at = end.max(at + 1);
    }
    None
}

/// Units and their hectares; longer names first.
const UNITS: [(&str, f64); 11] = [
    ("万平方米", 1.0),
    ("平方公里", 100.0),
    ("平方千米", 100.0),
    ("平方米", 1e-4),
    ("公顷", 1.0),
    ("万亩", 10_000.0 / 15.0),
    ("亩", 1.0 / 15.0),
    ("km²", 100.0),
    ("km2", 100.0),
    ("hm²", 1.0),
    ("㎡", 1e-4),
];

/// A decimal number with optional thousands commas; the end of its characters.
fn number(marked: &Marked, start: usize, to: usize) -> (usize, Option<f64>) {
    let form = &marked.form;
    let digits = |at: usize| form[at.min(to)..to].iter().take_while(|c| c.is_ascii_digit()).count();
    let mut end = start + digits(start);
    if (1..=3).contains(&(end - start)) {
        while end < to && form[end] == ',' && digits(end + 1) == 3 {
            end += 4;
        }
    }
    if end < to && form[end] == '.' && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    let text: String = form[start..end].iter().filter(|c| **c != ',').collect();
    (end, text.parse().ok().filter(|n: &f64| n.is_finite()))
}

fn sum_mismatch(parsed: &ExtentsText) -> Option<ExtentsWarning> {
    let total = parsed.total_area?.value();
    let areas: Option<Vec<f64>> = parsed.blocks.iter().map(|b| b.area.map(Hectares::value)).collect();
    let areas = areas.filter(|a| !a.is_empty())?;
    let difference = round_decimal((areas.iter().sum::<f64>() - total).abs(), 4);
    (difference >= SUM_TOLERANCE_HA).then(|| Hectares::new(difference).map(ExtentsWarning::AreaSumMismatch)).flatten()
}
