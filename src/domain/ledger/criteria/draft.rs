//! Criteria as a table or a client gives them: members and values, nothing checked yet.

use crate::domain::text::misleads;

/// What a criterion is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Member {
    Number,
    Title,
    Kind,
    Field,
    Comparison,
    Threshold,
    Unit,
    ReferenceValue,
    ReferenceUnit,
    ReferenceSource,
    Group,
    Combination,
    Document,
    Note,
}

impl Member {
    pub const ALL: [Member; 14] = [
        Member::Number,
        Member::Title,
        Member::Kind,
        Member::Field,
        Member::Comparison,
        Member::Threshold,
        Member::Unit,
        Member::ReferenceValue,
        Member::ReferenceUnit,
        Member::ReferenceSource,
        Member::Group,
        Member::Combination,
        Member::Document,
        Member::Note,
    ];

    /// The JSON member.
    pub fn as_str(self) -> &'static str {
        match self {
            Member::Number => "number",
            Member::Title => "title",
            Member::Kind => "kind",
            Member::Field => "field",
            Member::Comparison => "comparison",
            Member::Threshold => "threshold",
            Member::Unit => "unit",
            Member::ReferenceValue => "reference_value",
            Member::ReferenceUnit => "reference_unit",
            Member::ReferenceSource => "reference_source",
            Member::Group => "group",
            Member::Combination => "combination",
            Member::Document => "document",
            Member::Note => "note",
        }
    }

    /// The heading of a table.
    pub fn title(self) -> &'static str {
        match self {
            Member::Number => "编号",
            Member::Title => "名称",
            Member::Kind => "类型",
            Member::Field => "指标",
            Member::Comparison => "比较",
            Member::Threshold => "阈值",
            Member::Unit => "单位",
            Member::ReferenceValue => "参照值",
            Member::ReferenceUnit => "参照单位",
            Member::ReferenceSource => "参照来源",
            Member::Group => "组",
            Member::Combination => "组合",
            Member::Document => "依据文号",
            Member::Note => "备注",
        }
    }

    /// Characters of its text at most.
    pub(super) fn most_chars(self) -> usize {
        match self {
            Member::Group => 40,
            Member::Title | Member::Threshold => 100,
            Member::Note => 1_000,
            _ => 200,
        }
    }
}

/// One value as it was given.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    Text(String),
    Number(f64),
    Flag(bool),
    Texts(Vec<String>),
}

/// One criterion as it was given, and its row (of a table) or place (in a list).
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub row: u64,
    values: Vec<(Member, Given)>,
}

impl Draft {
    pub fn new(row: u64) -> Self {
        Self { row, values: Vec::new() }
    }

    /// A blank text is as good as none.
    pub fn put(&mut self, member: Member, given: Given) {
        if !matches!(&given, Given::Text(text) if text.trim().is_empty()) {
            self.values.push((member, given));
        }
    }

    /// Every text of it changed by this.
    pub fn map_texts(&mut self, change: impl Fn(&str) -> String) {
        for (_, given) in &mut self.values {
            match given {
                Given::Text(text) => *text = change(text),
                Given::Texts(texts) => texts.iter_mut().for_each(|text| *text = change(text)),
                Given::Number(_) | Given::Flag(_) => {}
            }
        }
    }

    pub(super) fn get(&self, member: Member) -> Option<&Given> {
        self.values.iter().find(|(m, _)| *m == member).map(|(_, given)| given)
    }
}

/// How the source of drafts is spoken of.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// 行 of a table, 条 of a list.
    pub row: &'a str,
    /// What it calls a member.
    pub name: &'a dyn Fn(Member) -> String,
}

/// Neither too long for the member nor with controls in it.
pub(super) fn is_sound(text: &str, member: Member) -> bool {
    !text.chars().any(|c| misleads(c) && c != '\n') && text.chars().count() <= member.most_chars()
}

/// The start of what was given.
pub(super) fn shown(given: &Given) -> String {
    let text = match given {
        Given::Text(text) => text.clone(),
        Given::Number(number) => number.to_string(),
        Given::Flag(flag) => flag.to_string(),
        Given::Texts(texts) => texts.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("、"),
    };
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}
