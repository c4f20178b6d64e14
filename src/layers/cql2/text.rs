//! CQL2 text → tree: one grammar for conditions and values, since a bracket may open either; the checker sorts them out.

use super::budget::Budget;
use super::shapes;
use super::tokens::{Token, short, tokens};
use super::{Fault, Parsed, wkt};
use crate::domain::filter::{
    ArrayRelation, At, Comparison, End, Expression, Function, Node, Operator, Read, SpatialRelation, TemporalRelation,
};

/// Words that are no property's name unless quoted.
pub const RESERVED: [&str; 10] = ["and", "or", "not", "like", "between", "in", "is", "null", "true", "false"];

pub fn parse(source: &str) -> Parsed<Read> {
    let mut parser = Parser { tokens: tokens(source)?, next: 0, budget: Budget::default() };
    if parser.peek() == &Token::End {
        return Err(Fault::new(At(0), "是空的"));
    }
    let read = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(read),
        _ => Err(parser.unexpected("and、or 或结尾")),
    }
}

pub(super) struct Parser {
    tokens: Vec<(At, Token)>,
    next: usize,
    pub budget: Budget,
}

impl Parser {
    pub fn peek(&self) -> &Token {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> &Token {
        self.tokens.get(self.next + by).map_or(&Token::End, |(_, token)| token)
    }

    pub fn at(&self) -> At {
        // The end is always there.
        self.tokens.get(self.next).or(self.tokens.last()).map_or(At(0), |(at, _)| *at)
    }

    pub fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    pub fn unexpected(&self, wanted: &str) -> Fault {
        Fault::new(self.at(), format!("应为{wanted}，不是{}", self.peek().shown()))
    }

    pub fn take(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Token::Mark(found) if *found == mark);
        self.next += usize::from(found);
        found
    }

    pub fn expect(&mut self, mark: &str) -> Parsed<()> {
        if self.take(mark) { Ok(()) } else { Err(self.unexpected(&format!("“{mark}”"))) }
    }

    pub fn is_mark(&self, mark: &str) -> bool {
        matches!(self.peek(), Token::Mark(found) if *found == mark)
    }

    fn is_word(&self, by: usize, word: &str) -> bool {
        matches!(self.ahead(by), Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(0, word);
        self.next += usize::from(found);
        found
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.take_word(word) { Ok(()) } else { Err(self.unexpected(&word.to_uppercase())) }
    }

    fn make(&mut self, at: At, node: Node<String>) -> Parsed<Read> {
        self.budget.operator(at)?;
        Ok(Expression::new(at, node))
    }

    /// The whole of it, or what stands between brackets and commas.
    fn expression(&mut self) -> Parsed<Read> {
        let at = self.at();
        let first = self.conjunction()?;
        if !self.is_word(0, "or") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take_word("or") {
            self.budget.operator(at)?;
            parts.push(self.conjunction()?);
        }
        Ok(Expression::new(at, Node::Or(parts)))
    }

    fn conjunction(&mut self) -> Parsed<Read> {
        let at = self.at();
        let first = self.negation()?;
        if !self.is_word(0, "and") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take_word("and") {
            self.budget.operator(at)?;
            parts.push(self.negation()?);
        }
        Ok(Expression::new(at, Node::And(parts)))
    }

    fn negation(&mut self) -> Parsed<Read> {
        let at = self.at();
        if !self.take_word("not") {
            return self.predicate();
        }
        self.budget.enter(at)?;
        let one = self.negation()?;
        self.budget.leave();
        self.make(at, Node::Not(Box::new(one)))
    }

    fn predicate(&mut self) -> Parsed<Read> {
        let at = self.at();
        let left = self.sum()?;
        if let Token::Mark(mark) = *self.peek()
            && let Some(comparison) = Comparison::parse(mark)
        {
            self.next += 1;
            let right = self.sum()?;
            return self.make(at, Node::Compare(comparison, Box::new([left, right])));
        }
        if self.is_word(0, "is") {
            return self.null_test(at, left);
        }
        let negated = self.is_word(0, "not");
        let keyword = usize::from(negated);
        let node = if self.is_word(keyword, "like") {
            self.next += keyword + 1;
            Node::Like(Box::new([left, self.sum()?]))
        } else if self.is_word(keyword, "between") {
            self.next += keyword + 1;
            let low = self.sum()?;
            self.expect_word("and")?;
            Node::Between(Box::new([left, low, self.sum()?]))
        } else if self.is_word(keyword, "in") {
            self.next += keyword + 1;
            self.expect("(")?;
            Node::In(Box::new(left), self.list(")")?)
        } else {
            return Ok(left);
        };
        let found = self.make(at, node)?;
        if negated { self.make(at, Node::Not(Box::new(found))) } else { Ok(found) }
    }

    fn null_test(&mut self, at: At, value: Read) -> Parsed<Read> {
        self.next += 1;
        let negated = self.take_word("not");
        self.expect_word("null")?;
        let found = self.make(at, Node::IsNull(Box::new(value)))?;
        if negated { self.make(at, Node::Not(Box::new(found))) } else { Ok(found) }
    }

    fn sum(&mut self) -> Parsed<Read> {
        let at = self.at();
        let mut left = self.product()?;
        while let Token::Mark(mark @ ("+" | "-")) = *self.peek() {
            self.next += 1;
            let right = self.product()?;
            let operator = if mark == "+" { Operator::Add } else { Operator::Subtract };
            left = self.make(at, Node::Arithmetic(operator, Box::new([left, right])))?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Parsed<Read> {
        let at = self.at();
        let mut left = self.power()?;
        loop {
            let operator = match *self.peek() {
                Token::Mark("*") => Operator::Multiply,
                Token::Mark("/") => Operator::Divide,
                Token::Mark("%") => Operator::Modulo,
                _ if self.is_word(0, "div") => Operator::IntegerDivide,
                _ => return Ok(left),
            };
            self.next += 1;
            let right = self.power()?;
            left = self.make(at, Node::Arithmetic(operator, Box::new([left, right])))?;
        }
    }

    /// `a^b^c` is `a^(b^c)`.
    fn power(&mut self) -> Parsed<Read> {
        let at = self.at();
        let base = self.operand()?;
        if !self.take("^") {
            return Ok(base);
        }
        self.budget.enter(at)?;
        let exponent = self.power()?;
        self.budget.leave();
        self.make(at, Node::Arithmetic(Operator::Power, Box::new([base, exponent])))
    }

    fn operand(&mut self) -> Parsed<Read> {
        let at = self.at();
        match self.peek().clone() {
            Token::Text(text) => {
                self.next += 1;
                Ok(Expression::new(at, Node::Text(text)))
            }
            Token::Quoted(name) => {
                self.next += 1;
                Ok(Expression::new(at, Node::Property(name)))
            }
            Token::Number(number) => {
                self.next += 1;
                number_of(at, &number)
            }
            Token::Mark("-" | "+") => self.signed(at),
            Token::Mark("(") => {
                self.next += 1;
                self.brackets(at)
            }
            Token::Mark("[") => {
                self.next += 1;
                self.list("]").map(|list| Expression::new(at, Node::List(list)))
            }
            Token::Word(word) => self.word(at, &word),
            Token::Mark(_) | Token::End => Err(self.unexpected("属性名、值或条件")),
        }
    }

    /// The sign of a number is the number's own; that of anything else multiplies it by −1.
    fn signed(&mut self, at: At) -> Parsed<Read> {
        let negative = self.is_mark("-");
        self.next += 1;
        if let Token::Number(number) = self.peek().clone() {
            self.next += 1;
            return number_of(at, &if negative { format!("-{number}") } else { number });
        }
        self.budget.enter(at)?;
        let operand = self.operand()?;
        self.budget.leave();
        if !negative {
            return Ok(operand);
        }
        let minus_one = Expression::new(at, Node::Integer(-1));
        self.make(at, Node::Arithmetic(Operator::Multiply, Box::new([minus_one, operand])))
    }

    /// One expression in brackets is itself; none or several are a list.
    fn brackets(&mut self, at: At) -> Parsed<Read> {
        let mut list = self.list(")")?;
        match list.len() {
            1 => Ok(list.remove(0)),
            _ => Ok(Expression::new(at, Node::List(list))),
        }
    }

    /// Up to the closing mark, which is taken.
    fn list(&mut self, close: &str) -> Parsed<Vec<Read>> {
        self.budget.enter(self.at())?;
        let mut list = Vec::new();
        if !self.take(close) {
            loop {
                list.push(self.expression()?);
                if self.take(close) {
                    break;
                }
                if !self.take(",") {
                    return Err(self.unexpected(&format!("“,”或“{close}”")));
                }
            }
        }
        self.budget.leave();
        Ok(list)
    }

    fn word(&mut self, at: At, word: &str) -> Parsed<Read> {
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "true" | "false" => {
                self.next += 1;
                return Ok(Expression::new(at, Node::Boolean(lower == "true")));
            }
            reserved if RESERVED.contains(&reserved) => {
                return Err(self.unexpected("属性名、值或条件（与关键字同名的属性要加双引号）"));
            }
            _ => {}
        }
        // `POINT Z (…)`: the height is read and set aside.
        let has_height = usize::from(wkt::is_kind(&lower) && self.is_word(1, "z"));
        if !matches!(self.ahead(1 + has_height), Token::Mark("(")) {
            self.next += 1;
            return Ok(Expression::new(at, Node::Property(word.to_owned())));
        }
        self.next += 2 + has_height;
        self.budget.enter(at)?;
        let called = self.called(at, &lower)?;
        self.budget.leave();
        Ok(called)
    }

    /// What is written like a call; the opening bracket is taken.
    fn called(&mut self, at: At, name: &str) -> Parsed<Read> {
        if wkt::is_kind(name) {
            let geometry = wkt::geometry(self, name)?;
            return Ok(Expression::new(at, Node::Geometry(geometry)));
        }
        match name {
            "bbox" => return wkt::bbox(self, at).map(|bbox| Expression::new(at, Node::Box(bbox))),
            "date" | "timestamp" => return self.instant(at, name),
            "interval" => {
                let from = self.end()?;
                self.expect(",")?;
                let to = self.end()?;
                self.expect(")")?;
                return self.make(at, Node::Interval(Box::new([from, to])));
            }
            _ => {}
        }
        if let Some(relation) = SpatialRelation::parse(name) {
            let pair = Box::new(self.two(Self::expression)?);
            return self.make(at, Node::Spatial(relation, pair));
        }
        if let Some(relation) = TemporalRelation::parse(name) {
            let pair = Box::new(self.two(Self::expression)?);
            return self.make(at, Node::Temporal(relation, pair));
        }
        if let Some(relation) = ArrayRelation::parse(name) {
            let pair = Box::new(self.two(Self::array_operand)?);
            return self.make(at, Node::Array(relation, pair));
        }
        let Some(function) = Function::parse(name) else { return Err(unknown_function(at, name)) };
        let arguments = self.list(")")?;
        self.make(at, Node::Call(function, arguments))
    }

    fn two(&mut self, mut operand: impl FnMut(&mut Self) -> Parsed<Read>) -> Parsed<[Read; 2]> {
        let first = operand(self)?;
        self.expect(",")?;
        let second = operand(self)?;
        self.expect(")")?;
        Ok([first, second])
    }

    /// Here brackets are a list, even around one value.
    fn array_operand(&mut self) -> Parsed<Read> {
        let at = self.at();
        if self.is_list_of_operand() {
            self.next += 1;
            return self.list(")").map(|list| Expression::new(at, Node::List(list)));
        }
        self.expression()
    }

    /// Whether the bracket that opens here closes right before the end of the operand: `('a')`, not `(1) + 2`.
    fn is_list_of_operand(&self) -> bool {
        if !self.is_mark("(") {
            return false;
        }
        let mut open = 0_usize;
        for (i, (_, token)) in self.tokens.iter().enumerate().skip(self.next) {
            match token {
                Token::Mark("(" | "[") => open += 1,
                Token::Mark(")" | "]") => open = open.saturating_sub(1),
                _ => {}
            }
            if open == 0 {
                let ends = |token: &Token| matches!(token, Token::Mark("," | ")") | Token::End);
                return i > self.next && self.tokens.get(i + 1).is_none_or(|(_, token)| ends(token));
            }
        }
        // It never closes: the list says so.
        true
    }

    fn instant(&mut self, at: At, name: &str) -> Parsed<Read> {
        let place = self.at();
        let Token::Text(text) = self.advance() else {
            self.next -= 1;
            return Err(self.unexpected("单引号中的日期或时刻"));
        };
        self.expect(")")?;
        let node = if name == "date" { shapes::date(place, &text)? } else { shapes::timestamp(place, &text)? };
        Ok(Expression::new(at, node))
    }

    fn end(&mut self) -> Parsed<End<String>> {
        let at = self.at();
        let ends = matches!(self.ahead(1), Token::Mark("," | ")") | Token::End);
        if let (Token::Text(text), true) = (self.peek().clone(), ends) {
            self.next += 1;
            return shapes::end_of_text(at, &text);
        }
        self.sum().map(End::At)
    }
}

pub(super) fn unknown_function(at: At, name: &str) -> Fault {
    let known: Vec<&str> = Function::ALL.iter().map(|f| f.as_str()).collect();
    Fault::new(at, format!("没有函数“{}”；可用的函数：{}", short(name), known.join("、")))
}

fn number_of(at: At, number: &str) -> Parsed<Read> {
    if let Ok(whole) = number.parse::<i64>() {
        return Ok(Expression::new(at, Node::Integer(whole)));
    }
    match number.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Expression::new(at, Node::Number(number))),
        _ => Err(Fault::new(at, format!("数 {} 太大", short(number)))),
    }
}
