//! The check between the words of the four extents and the measured boundary (domain.md §2): do the numbers of blocks
//! agree, do the areas add up, does the paper's area agree with the computed one? Findings, never corrections.

use super::area::{Hectares, SquareMetres};
use super::finding::{Finding, Place, Severity};
use super::four_extents::{ExtentsText, ExtentsWarning};

/// Stated and computed area may differ by this share (domain.md §2: flag above 1 %).
const AREA_TOLERANCE: f64 = 0.01;
/// Beyond this share words and boundary cannot mean the same land.
const AREA_CONTRADICTION: f64 = 0.10;

/// One block as measured.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredBlock {
    pub name: Option<String>,
    /// Polygons of the block's boundary.
    pub parts: usize,
    pub computed_area: SquareMetres,
    pub stated_area: Option<Hectares>,
}

/// What the findings add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to compare: no words or no boundary.
    NotCheckable,
    Consistent,
    /// Something is worth a look.
    Doubtful,
    /// Words and boundary contradict each other.
    Inconsistent,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::NotCheckable => "not_checkable",
            Verdict::Consistent => "consistent",
            Verdict::Doubtful => "doubtful",
            Verdict::Inconsistent => "inconsistent",
        }
    }

    /// 无法核对, 一致, 存疑, 不一致.
    pub fn label(self) -> &'static str {
        match self {
            Verdict::NotCheckable => "无法核对",
            Verdict::Consistent => "一致",
            Verdict::Doubtful => "存疑",
            Verdict::Inconsistent => "不一致",
        }
    }
}

/// Compares words, measured blocks and the approved area of the park.
pub fn check(words: &ExtentsText, measured: &[MeasuredBlock], approved: Option<Hectares>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = words.warnings.iter().map(of_warning).collect();
    if !measured.is_empty() && !words.blocks.is_empty() && words.blocks.len() != measured.len() {
        let parts: usize = measured.iter().map(|b| b.parts).sum();
        // A text may count the polygons of one registered block as blocks of their own.
        let severity = if words.blocks.len() == parts { Severity::Warning } else { Severity::Error };
        findings.push(Finding::new(
            severity,
            "extents_block_count_mismatch",
            Place::whole(),
            format!(
                "四至文字写了 {} 个区块，登记的边界有 {} 个区块（{parts} 个多边形）",
                words.blocks.len(),
                measured.len()
            ),
        ));
    }
    findings.extend(compare_blocks(words, measured));
    findings.extend(measured.iter().enumerate().filter_map(|(i, block)| {
        let stated = block.stated_area?;
        let name = block.name.clone().unwrap_or_else(|| format!("第 {} 个区块", i + 1));
        compare(
            "stated_vs_computed_area",
            &format!("{name}的公告面积"),
            stated,
            "图形椭球面积",
            block.computed_area.to_hectares(),
        )
    }));
    let computed = measured.iter().map(|b| b.computed_area.value()).sum::<f64>();
    if let (Some(approved), Some(computed), false) = (approved, SquareMetres::new(computed), measured.is_empty()) {
        findings.extend(compare(
            "approved_vs_computed_area",
            "园区核准面积",
            approved,
            "各区块椭球面积之和",
            computed.to_hectares(),
        ));
    }
    let stated: Option<Vec<f64>> = measured.iter().map(|b| b.stated_area.map(Hectares::value)).collect();
    if let (Some(approved), Some(sum)) =
        (approved, stated.filter(|s| !s.is_empty()).and_then(|s| Hectares::new(s.iter().sum())))
    {
        findings.extend(compare("approved_vs_stated_area", "园区核准面积", approved, "各区块公告面积之和", sum));
    }
    findings
}

/// What the findings of [`check`] add up to.
pub fn verdict(words: &ExtentsText, measured: &[MeasuredBlock], findings: &[Finding]) -> Verdict {
    let no_words = words.blocks.iter().all(|b| b.extents.is_empty());
    if no_words || measured.is_empty() {
        return Verdict::NotCheckable;
    }
    match findings.iter().map(|f| f.severity).max() {
        Some(Severity::Error) => Verdict::Inconsistent,
        Some(Severity::Warning) => Verdict::Doubtful,
        _ => Verdict::Consistent,
    }
}

fn of_warning(warning: &ExtentsWarning) -> Finding {
    let code = match warning {
        ExtentsWarning::Missing { .. } => "extents_missing_direction",
        ExtentsWarning::Duplicate { .. } => "extents_duplicate_direction",
        ExtentsWarning::NoDirections => "extents_no_directions",
        ExtentsWarning::AreaSumMismatch(_) => "extents_area_sum_mismatch",
    };
    Finding::warning(code, Place::whole(), warning.message())
}

/// Areas that the text gives per block against the register's computed ones, where both list the same blocks.
fn compare_blocks(words: &ExtentsText, measured: &[MeasuredBlock]) -> Vec<Finding> {
    if words.blocks.len() != measured.len() {
        return Vec::new();
    }
    let compare_one = |(i, (said, block)): (usize, (&super::four_extents::BlockExtents, &MeasuredBlock))| {
        let name = said.name.clone().unwrap_or_else(|| format!("第 {} 个区块", i + 1));
        compare(
            "words_vs_computed_area",
            &format!("四至文字中{name}的面积"),
            said.area?,
            "图形椭球面积",
            block.computed_area.to_hectares(),
        )
    };
    words.blocks.iter().zip(measured).enumerate().filter_map(compare_one).collect()
}

fn compare(code: &'static str, what: &str, paper: Hectares, against: &str, other: Hectares) -> Option<Finding> {
    if other.value() <= 0.0 {
        return None;
    }
    let difference = paper.value() - other.value();
    let share = difference / other.value();
    if share.abs() <= AREA_TOLERANCE {
        return None;
    }
    let severity = if share.abs() > AREA_CONTRADICTION { Severity::Error } else { Severity::Warning };
    Some(Finding::new(
        severity,
        code,
        Place::whole(),
        format!(
            "{what} {:.2} 公顷，{against} {:.2} 公顷，相差 {difference:+.2} 公顷（{:+.2}%）",
            paper.value(),
            other.value(),
            share * 100.0
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::four_extents::parse;

    fn measured(hectares: f64, stated: Option<f64>) -> MeasuredBlock {
        MeasuredBlock {
            name: None,
            parts: 1,
            computed_area: Hectares::new(hectares).expect("finite").to_square_metres(),
            stated_area: stated.and_then(Hectares::new),
        }
    }

    fn codes(text: &str, blocks: &[MeasuredBlock], approved: Option<f64>) -> (Vec<String>, Verdict) {
        let words = parse(text);
        let findings = check(&words, blocks, approved.and_then(Hectares::new));
        let verdict = verdict(&words, blocks, &findings);
        (findings.into_iter().map(|f| f.code.into_owned()).collect(), verdict)
    }

    #[test]
    fn findings_and_verdicts() {
        let sides = "东至甲路，南至乙路，西至丙河，北至丁村";
        let two = format!("区块一：面积3公顷，{sides}。区块二：面积2公顷，{sides}。");
        let none: &[&str] = &[];
        let cases: [(&str, String, Vec<MeasuredBlock>, Option<f64>, &[&str], Verdict); 11] = [
            (
                "all agree",
                two.clone(),
                vec![measured(3.02, Some(3.0)), measured(2.0, Some(2.0))],
                Some(5.0),
                none,
                Verdict::Consistent,
            ),
            (
                "one block missing",
                two.clone(),
                vec![measured(5.0, None)],
                None,
                &["extents_block_count_mismatch"],
                Verdict::Inconsistent,
            ),
            (
                "two polygons in one block",
                two.clone(),
                vec![MeasuredBlock { parts: 2, ..measured(5.0, None) }],
                None,
                &["extents_block_count_mismatch"],
                Verdict::Doubtful,
            ),
            (
                "words 4 % off",
                two.clone(),
                vec![measured(3.12, None), measured(2.0, None)],
                None,
                &["words_vs_computed_area"],
                Verdict::Doubtful,
            ),
            (
                "stated 20 % off",
                sides.into(),
                vec![measured(3.0, Some(3.6))],
                None,
                &["stated_vs_computed_area"],
                Verdict::Inconsistent,
            ),
            (
                "approved off both",
                sides.into(),
                vec![measured(3.0, Some(3.0))],
                Some(3.1),
                &["approved_vs_computed_area", "approved_vs_stated_area"],
                Verdict::Doubtful,
            ),
            (
                "a side missing",
                "东至甲路，南至乙路，西至丙河".into(),
                vec![measured(3.0, None)],
                None,
                &["extents_missing_direction"],
                Verdict::Doubtful,
            ),
            (
                "no words",
                String::new(),
                vec![measured(3.0, None)],
                None,
                &["extents_no_directions"],
                Verdict::NotCheckable,
            ),
            (
                "a side twice",
                "东至甲路，东至戊路，南至乙路，西至丙河，北至丁村".into(),
                vec![measured(3.0, None)],
                None,
                &["extents_duplicate_direction"],
                Verdict::Doubtful,
            ),
            (
                "a wrong sum",
                format!("总面积6公顷。{two}"),
                vec![measured(3.0, None), measured(2.0, None)],
                None,
                &["extents_area_sum_mismatch"],
                Verdict::Doubtful,
            ),
            ("no boundary", sides.into(), vec![], Some(3.0), none, Verdict::NotCheckable),
        ];
        for (name, text, blocks, approved, expected, verdict) in cases {
            let (found, found_verdict) = codes(&text, &blocks, approved);
            assert_eq!(found, expected, "{name}");
            assert_eq!(found_verdict, verdict, "{name}");
        }
    }

    #[test]
    fn the_difference_is_told_in_hectares_and_percent() {
        let words = parse("");
        let findings = check(&words, &[measured(100.0, Some(103.0))], None);
        assert_eq!(
            findings[1].message,
            "第 1 个区块的公告面积 103.00 公顷，图形椭球面积 100.00 公顷，相差 +3.00 公顷（+3.00%）"
        );
    }
}
