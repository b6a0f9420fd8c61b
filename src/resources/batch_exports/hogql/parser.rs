//! From text to a tree. Operators become the functions that HogQL has for them.
//! The grammar is HogQL's as far as exports take it; of the rest, so much is recognized that the right rule
//! is named. Nothing here recurses deeper than `DEPTH_MAX`.

use super::lexer::{Token, tokens};
use super::{DEPTH_MAX, Fault, Outcome};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// A name, and what is looked for in it.
    Field(Vec<String>),
    Call {
        name: String,
        arguments: Vec<Expr>,
    },
    /// What HogQL has and exports have not.
    Unsupported,
}

/// A query, with what the rules on it ask.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Select {
    /// Each with its alias, where it has one.
    pub(super) columns: Vec<(Expr, Option<String>)>,
    pub(super) source: Option<Source>,
    pub(super) filter: Option<Expr>,
    pub(super) is_union: bool,
    pub(super) has_ctes: bool,
    pub(super) has_joins: bool,
    /// Whether it has clauses that exports have not.
    pub(super) has_more: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    Table { name: Vec<String>, alias: Option<String> },
    Subquery,
}

/// Words that no column is called unless it is quoted; after a dot they are names like others.
const RESERVED: &[&str] = &[
    "and",
    "as",
    "between",
    "by",
    "distinct",
    "else",
    "end",
    "except",
    "from",
    "group",
    "having",
    "ilike",
    "in",
    "intersect",
    "is",
    "limit",
    "like",
    "not",
    "offset",
    "on",
    "or",
    "order",
    "over",
    "prewhere",
    "qualify",
    "select",
    "settings",
    "then",
    "union",
    "using",
    "when",
    "where",
    "window",
    "with",
];
/// Words after a table that are not its alias.
const JOINS: &[&str] = &[
    "all", "any", "anti", "array", "asof", "cross", "full", "global", "inner", "join", "left", "natural",
    "outer", "right", "semi",
];
const MODIFIERS: &[&str] = &["final", "sample"];
/// What may follow the source.
const CLAUSES: &[&str] = &[
    "prewhere", "where", "group", "having", "window", "qualify", "order", "limit", "offset", "settings",
    "with",
];
const SETS: &[&str] = &["union", "intersect", "except"];

/// How tightly operators bind, from the loosest on.
mod tightness {
    pub(super) const LOOSEST: u8 = 0;
    pub(super) const TERNARY: u8 = 1;
    pub(super) const BETWEEN: u8 = 2;
    pub(super) const OR: u8 = 3;
    pub(super) const AND: u8 = 4;
    pub(super) const NOT: u8 = 5;
    pub(super) const NULLISH: u8 = 6;
    pub(super) const IS_NULL: u8 = 7;
    pub(super) const COMPARISON: u8 = 8;
    pub(super) const SUM: u8 = 9;
    pub(super) const PRODUCT: u8 = 10;
    pub(super) const NEGATION: u8 = 11;
    pub(super) const CAST: u8 = 12;
}
use tightness as precedence;

/// Signs between two operands, their tightness and their functions.
const OPERATORS: &[(&str, u8, &str)] = &[
    ("*", precedence::PRODUCT, "multiply"),
    ("/", precedence::PRODUCT, "divide"),
    ("%", precedence::PRODUCT, "modulo"),
    ("+", precedence::SUM, "plus"),
    ("-", precedence::SUM, "minus"),
    ("||", precedence::SUM, "concat"),
    ("==", precedence::COMPARISON, "equals"),
    ("=", precedence::COMPARISON, "equals"),
    ("!=", precedence::COMPARISON, "notEquals"),
    ("<>", precedence::COMPARISON, "notEquals"),
    ("<=", precedence::COMPARISON, "lessOrEquals"),
    ("<", precedence::COMPARISON, "less"),
    (">=", precedence::COMPARISON, "greaterOrEquals"),
    (">", precedence::COMPARISON, "greater"),
    ("??", precedence::NULLISH, "ifNull"),
];

/// Functions whose chains are one call.
const FLAT: &[&str] = &["and", "or", "concat"];

/// A tree with how deep it is.
struct Tree {
    expr: Expr,
    depth: usize,
}

impl Tree {
    fn leaf(expr: Expr) -> Tree {
        Tree { expr, depth: 1 }
    }

    fn unsupported() -> Tree {
        Tree::leaf(Expr::Unsupported)
    }

    fn call(name: &str, arguments: Vec<Tree>) -> Outcome<Tree> {
        let depth = 1 + arguments.iter().map(|tree| tree.depth).max().unwrap_or(0);
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        let arguments = arguments.into_iter().map(|tree| tree.expr).collect();
        Ok(Tree { expr: Expr::Call { name: name.to_owned(), arguments }, depth })
    }

    /// An operator between two operands. Chains of some grow wide instead of deep.
    fn operator(name: &str, mut left: Tree, right: Tree) -> Outcome<Tree> {
        match &mut left.expr {
            Expr::Call { name: before, arguments } if before == name && FLAT.contains(&name) => {
                arguments.push(right.expr);
                left.depth = left.depth.max(right.depth + 1);
                if left.depth > DEPTH_MAX { Err(too_deep()) } else { Ok(left) }
            }
            _ => Tree::call(name, vec![left, right]),
        }
    }
}

fn too_deep() -> Fault {
    Fault::Invalid("The query is nested too deeply".into())
}

/// The tree of a query.
pub(super) fn parse(query: &str) -> Outcome<Select> {
    let mut parser = Parser { tokens: tokens(query)?, place: 0, depth: 0 };
    let select = parser.set()?;
    parser.takes(";");
    if parser.place < parser.tokens.len() { Err(Fault::Unparsable) } else { Ok(select) }
}

struct Parser {
    tokens: Vec<Token>,
    place: usize,
    depth: usize,
}

impl Parser {
    fn ahead(&self, by: usize) -> Option<&Token> {
        self.tokens.get(self.place + by)
    }

    fn is_sign(&self, by: usize, sign: &str) -> bool {
        matches!(self.ahead(by), Some(Token::Sign(other)) if *other == sign)
    }

    fn is_word(&self, by: usize, word: &str) -> bool {
        self.is_one_of(by, &[word])
    }

    fn is_one_of(&self, by: usize, words: &[&str]) -> bool {
        matches!(self.ahead(by), Some(Token::Word(other)) if is_one_of(other, words))
    }

    /// Goes on where the sign stands here.
    fn takes(&mut self, sign: &str) -> bool {
        let found = self.is_sign(0, sign);
        self.place += usize::from(found);
        found
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let found = self.is_word(0, word);
        self.place += usize::from(found);
        found
    }

    fn needs(&mut self, sign: &str) -> Outcome<()> {
        if self.takes(sign) { Ok(()) } else { Err(Fault::Unparsable) }
    }

    fn needs_word(&mut self, word: &str) -> Outcome<()> {
        if self.takes_word(word) { Ok(()) } else { Err(Fault::Unparsable) }
    }

    /// Works one level deeper.
    fn deeper<T>(&mut self, work: impl FnOnce(&mut Parser) -> Outcome<T>) -> Outcome<T> {
        if self.depth == DEPTH_MAX {
            return Err(too_deep());
        }
        self.depth += 1;
        let done = work(self);
        self.depth -= 1;
        done
    }

    /// Goes on to one of the words, outside of all brackets, or to the end; false where brackets do not match.
    fn skip_to(&mut self, words: &[&str]) -> Outcome<()> {
        let mut open = Vec::new();
        while let Some(token) = self.ahead(0) {
            match token {
                Token::Word(word) if open.is_empty() && is_one_of(word, words) => return Ok(()),
                Token::Sign("(") => open.push(")"),
                Token::Sign("[") => open.push("]"),
                Token::Sign("{") => open.push("}"),
                Token::Sign(sign @ (")" | "]" | "}")) => match open.pop() {
                    Some(wanted) if wanted == *sign => {}
                    // The bracket of somebody further out.
                    None => return Ok(()),
                    Some(_) => return Err(Fault::Unparsable),
                },
                _ => {}
            }
            self.place += 1;
        }
        if open.is_empty() { Ok(()) } else { Err(Fault::Unparsable) }
    }

    /// Continues after the bracket that closes the one before.
    fn skip_behind(&mut self, closing: &str) -> Outcome<()> {
        self.skip_to(&[])?;
        self.needs(closing)
    }

    /// Selects with UNION and its like between them; the first one stands for all.
    fn set(&mut self) -> Outcome<Select> {
        let mut first = self.one_of_set()?;
        while self.is_one_of(0, SETS) {
            self.place += 1;
            if !self.takes_word("all") {
                self.takes_word("distinct");
            }
            self.one_of_set()?;
            first.is_union = true;
        }
        Ok(first)
    }

    fn one_of_set(&mut self) -> Outcome<Select> {
        if !self.takes("(") {
            return self.select();
        }
        let inside = self.deeper(Parser::set)?;
        self.needs(")")?;
        Ok(inside)
    }

    fn select(&mut self) -> Outcome<Select> {
        let has_ctes = self.takes_word("with");
        if has_ctes {
            self.skip_to(&["select"])?;
        }
        self.needs_word("select")?;
        let mut select = Select {
            columns: Vec::new(),
            source: None,
            filter: None,
            is_union: false,
            has_ctes,
            has_joins: false,
            has_more: self.takes_word("distinct"),
        };
        select.columns = self.columns()?;
        if self.takes_word("from") {
            select.source = Some(self.source()?);
            if self.is_one_of(0, MODIFIERS) {
                select.has_more = true;
                self.skip_to(&[JOINS, CLAUSES, SETS].concat())?;
            }
            if self.is_sign(0, ",") || self.is_one_of(0, JOINS) {
                select.has_joins = true;
                self.skip_to(&[CLAUSES, SETS].concat())?;
            }
        }
        if self.takes_word("where") {
            select.filter = Some(self.expression()?);
        }
        if self.is_one_of(0, CLAUSES) {
            select.has_more = true;
            self.skip_to(SETS)?;
        }
        Ok(select)
    }

    fn columns(&mut self) -> Outcome<Vec<(Expr, Option<String>)>> {
        let mut columns = Vec::new();
        loop {
            let expr = self.expression()?;
            let alias = if self.takes_word("as") { Some(self.alias()?) } else { None };
            columns.push((expr, alias));
            // One comma may trail.
            if !self.takes(",") || self.ahead(0).is_none() || self.is_word(0, "from") {
                return Ok(columns);
            }
        }
    }

    fn alias(&mut self) -> Outcome<String> {
        let alias = match self.ahead(0) {
            Some(Token::Word(word)) if !is_one_of(word, &["null", "true", "false"]) => word.clone(),
            Some(Token::Quoted(name) | Token::Text(name)) => name.clone(),
            _ => return Err(Fault::Unparsable),
        };
        self.place += 1;
        Ok(alias)
    }

    fn source(&mut self) -> Outcome<Source> {
        let source = if self.takes("(") {
            self.skip_behind(")")?;
            Source::Subquery
        } else if self.takes("{") {
            self.skip_behind("}")?;
            Source::Subquery
        } else {
            let mut name = vec![self.name(RESERVED)?];
            while self.takes(".") {
                name.push(self.name(&[])?);
            }
            // A function that gives a table.
            if self.takes("(") {
                self.skip_behind(")")?;
                name.push("()".into());
            }
            Source::Table { name, alias: None }
        };
        let not_aliases = [RESERVED, JOINS, MODIFIERS].concat();
        let is_alias = self.takes_word("as")
            || matches!(self.ahead(0), Some(Token::Quoted(_)))
            || matches!(self.ahead(0), Some(Token::Word(word)) if !is_one_of(word, &not_aliases));
        if !is_alias {
            return Ok(source);
        }
        let alias = self.alias()?;
        Ok(match source {
            Source::Table { name, .. } => Source::Table { name, alias: Some(alias) },
            Source::Subquery => Source::Subquery,
        })
    }

    /// A name that is none of the words, unless it is quoted.
    fn name(&mut self, except: &[&str]) -> Outcome<String> {
        let name = match self.ahead(0) {
            Some(Token::Word(word)) if !is_one_of(word, except) => word.clone(),
            Some(Token::Quoted(name)) => name.clone(),
            _ => return Err(Fault::Unparsable),
        };
        self.place += 1;
        Ok(name)
    }

    fn expression(&mut self) -> Outcome<Expr> {
        self.tree(precedence::LOOSEST).map(|tree| tree.expr)
    }

    /// An expression of operators that bind at least as tightly.
    fn tree(&mut self, least: u8) -> Outcome<Tree> {
        self.deeper(|parser| {
            let mut left = parser.operand()?;
            while let Some(longer) = parser.operator(&mut left, least)? {
                left = longer;
            }
            Ok(left)
        })
    }

    /// `left` with the operator after it; `None` where none follows that binds as tightly.
    fn operator(&mut self, left: &mut Tree, least: u8) -> Outcome<Option<Tree>> {
        let mut take = || std::mem::replace(left, Tree::unsupported());
        match self.ahead(0) {
            Some(Token::Sign("?")) if precedence::TERNARY >= least => {
                self.place += 1;
                let then = self.tree(precedence::TERNARY)?;
                self.needs(":")?;
                let other = self.tree(precedence::TERNARY)?;
                Tree::call("if", vec![take(), then, other]).map(Some)
            }
            Some(Token::Sign("::")) if precedence::CAST >= least => {
                self.place += 1;
                self.name(RESERVED)?;
                Ok(Some(Tree::unsupported()))
            }
            Some(Token::Sign("->")) if least == precedence::LOOSEST => {
                self.place += 1;
                self.tree(precedence::LOOSEST)?;
                Ok(Some(Tree::unsupported()))
            }
            Some(Token::Sign(sign)) => {
                let found =
                    OPERATORS.iter().find(|(other, tightness, _)| other == sign && *tightness >= least);
                let Some((_, tightness, name)) = found else { return Ok(None) };
                self.place += 1;
                let right = self.tree(tightness + 1)?;
                Tree::operator(name, take(), right).map(Some)
            }
            Some(Token::Word(_)) => self.word_operator(&mut take, least),
            _ => Ok(None),
        }
    }

    fn word_operator(&mut self, left: &mut dyn FnMut() -> Tree, least: u8) -> Outcome<Option<Tree>> {
        for (word, tightness) in [("and", precedence::AND), ("or", precedence::OR)] {
            if tightness >= least && self.takes_word(word) {
                let right = self.tree(tightness + 1)?;
                return Tree::operator(word, left(), right).map(Some);
            }
        }
        if precedence::IS_NULL >= least && self.takes_word("is") {
            let name = if self.takes_word("not") { "notEquals" } else { "equals" };
            self.needs_word("null")?;
            return Tree::call(name, vec![left(), Tree::leaf(Expr::Null)]).map(Some);
        }
        let negated = usize::from(self.is_word(0, "not"));
        if precedence::COMPARISON >= least && self.is_one_of(negated, &["in", "like", "ilike"]) {
            self.place += negated + 1;
            self.takes_word("cohort");
            self.tree(precedence::COMPARISON + 1)?;
            return Ok(Some(Tree::unsupported()));
        }
        if precedence::BETWEEN >= least && self.is_word(negated, "between") {
            self.place += negated + 1;
            self.tree(precedence::NOT)?;
            self.needs_word("and")?;
            self.tree(precedence::NOT)?;
            return Ok(Some(Tree::unsupported()));
        }
        Ok(None)
    }

    fn operand(&mut self) -> Outcome<Tree> {
        let Some(token) = self.ahead(0).cloned() else { return Err(Fault::Unparsable) };
        let calls = self.is_sign(1, "(");
        match token {
            Token::Text(text) => Ok(self.leaf(Expr::Text(text))),
            Token::Integer(number) => Ok(self.leaf(Expr::Integer(number))),
            Token::Float(number) => Ok(self.leaf(Expr::Float(number))),
            Token::Sign("-") => self.negation(),
            Token::Sign("+") => {
                self.place += 1;
                match self.ahead(0) {
                    Some(Token::Integer(_) | Token::Float(_)) => self.operand(),
                    _ => Err(Fault::Unparsable),
                }
            }
            Token::Sign("*") => Ok(self.leaf(Expr::Unsupported)),
            Token::Sign("(") => self.parentheses(),
            Token::Sign("[") => self.skipped("]"),
            Token::Sign("{") => self.skipped("}"),
            Token::Sign(_) => Err(Fault::Unparsable),
            Token::Word(word) if is_one_of(&word, &["case"]) && !calls => self.case(),
            Token::Word(word) if is_one_of(&word, &["not"]) && !calls => {
                self.place += 1;
                let operand = self.tree(precedence::NOT)?;
                Tree::call("not", vec![operand])
            }
            // Printed queries hold and(…), or(…) and not(…).
            Token::Word(word)
                if calls && (is_one_of(&word, &["and", "or", "not"]) || !is_one_of(&word, RESERVED)) =>
            {
                self.call(word)
            }
            Token::Word(word) if is_one_of(&word, RESERVED) => Err(Fault::Unparsable),
            Token::Word(word) if is_one_of(&word, &["null"]) => Ok(self.leaf(Expr::Null)),
            Token::Word(word) if is_one_of(&word, &["true", "false"]) => {
                Ok(self.leaf(Expr::Boolean(word.eq_ignore_ascii_case("true"))))
            }
            Token::Quoted(name) if calls => self.call(name),
            Token::Word(name) | Token::Quoted(name) => self.field(name),
        }
    }

    fn leaf(&mut self, expr: Expr) -> Tree {
        self.place += 1;
        Tree::leaf(expr)
    }

    /// Something in brackets that exports have not.
    fn skipped(&mut self, closing: &str) -> Outcome<Tree> {
        self.place += 1;
        self.skip_behind(closing)?;
        Ok(Tree::unsupported())
    }

    /// The sign of a number belongs to it; of everything else, it is a subtraction from nothing.
    fn negation(&mut self) -> Outcome<Tree> {
        self.place += 1;
        match self.ahead(0) {
            Some(Token::Integer(number)) => {
                let number = Expr::Integer(-number);
                Ok(self.leaf(number))
            }
            Some(Token::Float(number)) => {
                let number = Expr::Float(-number);
                Ok(self.leaf(number))
            }
            _ => {
                let operand = self.tree(precedence::NEGATION)?;
                Tree::call("minus", vec![Tree::leaf(Expr::Integer(0)), operand])
            }
        }
    }

    /// One expression in parentheses; several are a tuple, none are the front of a lambda.
    fn parentheses(&mut self) -> Outcome<Tree> {
        self.place += 1;
        if self.is_one_of(0, &["select", "with"]) {
            self.skip_behind(")")?;
            return Ok(Tree::unsupported());
        }
        if self.takes(")") {
            return if self.is_sign(0, "->") { Ok(Tree::unsupported()) } else { Err(Fault::Unparsable) };
        }
        let inside = self.tree(precedence::LOOSEST)?;
        if self.takes(")") {
            return Ok(inside);
        }
        while self.takes(",") && !self.is_sign(0, ")") {
            self.tree(precedence::LOOSEST)?;
        }
        self.needs(")")?;
        Ok(Tree::unsupported())
    }

    fn case(&mut self) -> Outcome<Tree> {
        let mut open = 0usize;
        while let Some(token) = self.ahead(0) {
            match token {
                Token::Word(word) if is_one_of(word, &["case"]) => open += 1,
                Token::Word(word) if is_one_of(word, &["end"]) => open -= 1,
                _ => {}
            }
            self.place += 1;
            if open == 0 {
                return Ok(Tree::unsupported());
            }
        }
        Err(Fault::Unparsable)
    }

    fn call(&mut self, name: String) -> Outcome<Tree> {
        self.place += 2;
        let is_distinct = self.takes_word("distinct");
        let mut arguments = Vec::new();
        while !self.takes(")") {
            arguments.push(self.tree(precedence::LOOSEST)?);
            if !self.takes(",") {
                self.needs(")")?;
                break;
            }
        }
        if self.takes("(") {
            self.skip_behind(")")?;
            return Ok(Tree::unsupported());
        }
        if self.takes_word("over") {
            if self.takes("(") {
                self.skip_behind(")")?;
            } else {
                self.name(RESERVED)?;
            }
            return Ok(Tree::unsupported());
        }
        if self.is_sign(0, "[") {
            return self.skipped("]");
        }
        if self.takes(".") {
            self.name(&[])?;
            return Ok(Tree::unsupported());
        }
        if is_distinct { Ok(Tree::unsupported()) } else { Tree::call(&name, arguments) }
    }

    /// A name, and what is looked for in it with dots and brackets.
    fn field(&mut self, first: String) -> Outcome<Tree> {
        self.place += 1;
        let mut chain = vec![first];
        loop {
            if self.takes(".") {
                if self.takes("*") {
                    return Ok(Tree::unsupported());
                }
                chain.push(self.name(&[])?);
            } else if self.takes("[") {
                let inside = self.tree(precedence::LOOSEST)?;
                self.needs("]")?;
                let Expr::Text(name) = inside.expr else { return Ok(Tree::unsupported()) };
                chain.push(name);
            } else {
                return Ok(Tree::leaf(Expr::Field(chain)));
            }
        }
    }
}

/// Whether a name has to be quoted where an expression or an alias may begin.
pub(super) fn is_keyword(word: &str) -> bool {
    is_one_of(word, RESERVED) || is_one_of(word, &["case", "false", "null", "true"])
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|other| word.eq_ignore_ascii_case(other))
}
