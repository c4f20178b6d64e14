//! CQL2 text in pieces.

use super::{Fault, Parsed};
use crate::domain::filter::At;

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A name or a keyword, as it was written.
    Word(String),
    /// A name between double quotes.
    Quoted(String),
    /// Between single quotes, without its escapes.
    Text(String),
    /// An unsigned number, as it was written.
    Number(String),
    Mark(&'static str),
    End,
}

impl Token {
    /// For messages.
    pub fn shown(&self) -> String {
        match self {
            Token::Word(word) => format!("“{}”", short(word)),
            Token::Quoted(name) => format!("\"{}\"", short(name)),
            Token::Text(text) => format!("'{}'", short(text)),
            Token::Number(number) => short(number),
            Token::Mark(mark) => format!("“{mark}”"),
            Token::End => "结尾".to_owned(),
        }
    }
}

/// The start of a client's text, for quoting it back.
pub fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Longer ones before those that they begin with.
const MARKS: [&str; 18] =
    ["<>", "<=", ">=", "<", ">", "=", "+", "-", "*", "/", "%", "^", "(", ")", "[", "]", ",", "!="];

/// All pieces with the place of each, and the end.
pub fn tokens(source: &str) -> Parsed<Vec<(At, Token)>> {
    let chars: Vec<char> = source.chars().collect();
    let mut reader = Reader { chars: &chars, at: 0 };
    let mut tokens = Vec::new();
    loop {
        while reader.peek(0).is_some_and(char::is_whitespace) {
            reader.at += 1;
        }
        let at = reader.place();
        let token = reader.token(at)?;
        let ends = token == Token::End;
        tokens.push((at, token));
        if ends {
            return Ok(tokens);
        }
    }
}

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn place(&self) -> At {
        // A filter has at most 8 kB.
        At(u32::try_from(self.at).unwrap_or(u32::MAX))
    }

    fn token(&mut self, at: At) -> Parsed<Token> {
        let Some(first) = self.peek(0) else { return Ok(Token::End) };
        match first {
            '\'' => self.text(at).map(Token::Text),
            '"' => self.quoted(at).map(Token::Quoted),
            _ if starts_name(first) => Ok(Token::Word(self.take_while(|c| starts_name(c) || continues_name(c)))),
            _ if first.is_ascii_digit() || first == '.' && self.peek(1).is_some_and(|c| c.is_ascii_digit()) => {
                Ok(Token::Number(self.number()))
            }
            _ => self.mark(at, first),
        }
    }

    fn mark(&mut self, at: At, first: char) -> Parsed<Token> {
        let found = MARKS.into_iter().find(|mark| mark.chars().enumerate().all(|(i, c)| self.peek(i) == Some(c)));
        match found {
            Some("!=") => Err(Fault::new(at, "不等号应写 <>")),
            Some(mark) => {
                self.at += mark.len();
                Ok(Token::Mark(mark))
            }
            None => {
                let shown = if first.is_control() { format!("U+{:04X}", u32::from(first)) } else { first.to_string() };
                Err(Fault::new(at, format!("不认识字符“{shown}”；文字用单引号，例如 name='长沙'")))
            }
        }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let from = self.at;
        while self.peek(0).is_some_and(&wanted) {
            self.at += 1;
        }
        self.chars[from..self.at].iter().collect()
    }

    /// `12`, `1.5`, `.5`, `5.`, `1e3`, `1.5E-3`. An `e` without digits begins a word.
    fn number(&mut self) -> String {
        let mut number = self.take_while(|c| c.is_ascii_digit());
        if self.peek(0) == Some('.') {
            self.at += 1;
            number.push('.');
            number.push_str(&self.take_while(|c| c.is_ascii_digit()));
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let signed = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self.peek(1 + signed).is_some_and(|c| c.is_ascii_digit()) {
                number.extend(&self.chars[self.at..=self.at + signed]);
                self.at += 1 + signed;
                number.push_str(&self.take_while(|c| c.is_ascii_digit()));
            }
        }
        number
    }

    /// A quote inside is written `''` or `\'`; any other backslash stands for itself (BNF `escapeQuote`).
    fn text(&mut self, at: At) -> Parsed<String> {
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek(0) {
            let next = self.peek(1);
            match (c, next) {
                ('\'' | '\\', Some('\'')) => {
                    text.push('\'');
                    self.at += 2;
                }
                ('\'', _) => {
                    self.at += 1;
                    return Ok(text);
                }
                _ => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
        Err(Fault::new(at, "文字缺少结尾的单引号"))
    }

    fn quoted(&mut self, at: At) -> Parsed<String> {
        self.at += 1;
        let mut name = String::new();
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match (c, self.peek(0)) {
                ('"', Some('"')) => {
                    name.push('"');
                    self.at += 1;
                }
                ('"', _) => return Ok(name),
                _ => name.push(c),
            }
        }
        Err(Fault::new(at, "属性名缺少结尾的双引号"))
    }
}

/// BNF `identifierStart`.
pub fn starts_name(c: char) -> bool {
    matches!(c, ':' | '_' | 'A'..='Z' | 'a'..='z'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}'
        | '\u{37F}'..='\u{1FFE}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}'
        | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
        // Full-width brackets, commas and quotes are typed by mistake and are no names.
        && !matches!(c, '，' | '（' | '）' | '；' | '：' | '＝' | '＜' | '＞' | '＇' | '＂' | '、' | '。' | '「'..='』' | '\u{FF01}')
}

/// BNF `identifierPart`, beyond a start.
pub fn continues_name(c: char) -> bool {
    matches!(c, '.' | '0'..='9' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}
