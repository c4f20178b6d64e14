//! Characters as the parser sees them: one form per mark, brackets paired. Values are always cut from the original.

/// A text with, for each character, its form for matching and whether it stands inside brackets.
pub(super) struct Marked {
    pub original: Vec<char>,
    /// 東→东, full width→half width, every dash→`-`, every bracket→`(` `)`, sentence ends→`。`.
    pub form: Vec<char>,
    pub bracketed: Vec<bool>,
}

impl Marked {
    pub fn new(text: &str) -> Self {
        let original: Vec<char> = text.chars().collect();
        let mut form: Vec<char> = original.iter().map(|&c| plain(c)).collect();
        // A half-width full stop ends a sentence unless it is a decimal point or part of a Latin name.
        for i in 0..form.len() {
            if form[i] == '.' && !form.get(i + 1).is_some_and(char::is_ascii_alphanumeric) {
                form[i] = '。';
            }
        }
        let bracketed = brackets(&form);
        Self { original, form, bracketed }
    }

    pub fn len(&self) -> usize {
        self.form.len()
    }

    /// The original characters of a range, without line breaks, without marks and blanks at both ends.
    pub fn value(&self, from: usize, to: usize) -> String {
        let (mut from, mut to) = (from, to.min(self.len()));
        while from < to && is_trimmed(self.form[from]) {
            from += 1;
        }
        while from < to && is_trimmed(self.form[to - 1]) {
            to -= 1;
        }
        self.original[from..to].iter().filter(|c| !matches!(c, '\n' | '\r')).collect()
    }

    /// True where `word` stands at `at`.
    pub fn starts_with(&self, at: usize, word: &str) -> bool {
        word.chars().enumerate().all(|(i, c)| self.form.get(at + i) == Some(&c))
    }

    /// True where the text before `at` ends with `word`.
    pub fn ends_with(&self, at: usize, word: &str) -> bool {
        let length = word.chars().count();
        at >= length && self.starts_with(at - length, word)
    }

    pub fn skip_blanks(&self, mut at: usize) -> usize {
        while self.form.get(at).is_some_and(|c| c.is_whitespace()) {
            at += 1;
        }
        at
    }
}

fn plain(c: char) -> char {
    match c {
        '東' => '东',
        '。' | '｡' => '。',
        '、' | '､' => '、',
        '（' | '【' | '〔' | '［' | '[' | '｛' | '《' => '(',
        '）' | '】' | '〕' | '］' | ']' | '｝' | '》' => ')',
        '—' | '–' | '―' | '‐' | '‑' | '−' | '─' => '-',
        '\u{3000}' | '\u{FEFF}' | '\u{200B}' => ' ',
        c @ '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        c => c,
    }
}

fn is_trimmed(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ';' | '。' | '、' | ':')
}

/// Which characters stand inside a closed pair of brackets. An opening bracket that is never closed hides nothing.
fn brackets(form: &[char]) -> Vec<bool> {
    let mut inside = vec![false; form.len()];
    let mut open = Vec::new();
    for (i, c) in form.iter().enumerate() {
        match c {
            '(' => open.push(i),
            ')' => {
                // Only the outermost pair paints, so that each character is painted once.
                if let Some(start) = open.pop()
                    && open.is_empty()
                {
                    inside[start..=i].fill(true);
                }
            }
            _ => {}
        }
    }
    // Pairs inside a bracket that was never closed still count.
    if !open.is_empty() {
        let mut depth: Vec<usize> = Vec::new();
        let dangling: std::collections::HashSet<usize> = open.into_iter().collect();
        for (i, c) in form.iter().enumerate() {
            match c {
                '(' if !dangling.contains(&i) => depth.push(i),
                ')' => {
                    if let Some(start) = depth.pop()
                        && depth.is_empty()
                    {
                        inside[start..=i].fill(true);
                    }
                }
                _ => {}
            }
        }
    }
    inside
}
