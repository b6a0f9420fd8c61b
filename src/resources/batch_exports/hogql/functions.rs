//! The functions that a query may call: their names, arguments and types. What each one does stands in
//! `evaluate`.

use super::typecheck::{Kind, Typed, cast};
use super::{Fault, Outcome};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    ToText,
    ToInteger,
    ToFloat,
    ToDate,
    ToMoment,
    StartOfHour,
    StartOfDay,
    Lower,
    Upper,
    Length,
    Trim,
    Substring,
    Concat,
    Coalesce,
    NullIf,
    If,
    Plus,
    Minus,
    Multiply,
    Divide,
    Modulo,
    Equals,
    NotEquals,
    Less,
    LessOrEquals,
    Greater,
    GreaterOrEquals,
    And,
    Or,
    Not,
    JsonText,
    JsonRaw,
    Now,
}
use Function::*;

/// What an argument may be; null may stand anywhere.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Anything,
    Text,
    Number,
    Time,
    TextOrTime,
    TextOrNumberOrTime,
    /// A name, or a place counted from 1.
    TextOrInteger,
}

impl Takes {
    fn admits(self, kind: Kind) -> bool {
        let is_text = matches!(kind, Kind::Text | Kind::Json);
        let is_number = matches!(kind, Kind::Integer | Kind::Float | Kind::Boolean);
        match self {
            _ if kind == Kind::Null => true,
            Takes::Anything => true,
            Takes::Text => is_text,
            Takes::Number => is_number,
            Takes::Time => kind.is_time(),
            Takes::TextOrTime => is_text || kind.is_time(),
            Takes::TextOrNumberOrTime => is_text || is_number || kind.is_time(),
            Takes::TextOrInteger => is_text || kind == Kind::Integer,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Takes::Anything => "anything",
            Takes::Text => "text",
            Takes::Number => "a number",
            Takes::Time => "a date or time",
            Takes::TextOrTime => "text, or a date or time",
            Takes::TextOrNumberOrTime => "text, a number, or a date or time",
            Takes::TextOrInteger => "text or an integer",
        }
    }
}

/// The type of the result.
#[derive(Clone, Copy)]
enum Gives {
    This(Kind),
    /// The type that all arguments from this one on have in common.
    Common(usize),
    First,
    /// Whole where all arguments are.
    Arithmetic,
}

/// A function as it is known.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) function: Function,
    /// ClickHouse's name, and the text that it wants as last argument.
    pub(super) clickhouse: (&'static str, Option<&'static str>),
    /// Whether capitals make no difference.
    any_case: bool,
    /// What is taken; the last one stands for all that follow.
    takes: &'static [Takes],
    least: usize,
    most: Option<usize>,
    gives: Gives,
}

const fn known(name: &'static str, function: Function, takes: &'static [Takes], gives: Gives) -> Known {
    let count = takes.len();
    Known {
        name,
        function,
        clickhouse: (name, None),
        any_case: false,
        takes,
        least: count,
        most: Some(count),
        gives,
    }
}

impl Known {
    const fn any_case(mut self) -> Known {
        self.any_case = true;
        self
    }

    const fn from(mut self, least: usize) -> Known {
        self.least = least;
        self
    }

    const fn or_more(mut self) -> Known {
        self.most = None;
        self
    }

    const fn in_clickhouse(mut self, name: &'static str, last: &'static str) -> Known {
        self.clickhouse = (name, Some(last));
        self
    }
}

const NUMBERS: &[Takes] = &[Takes::Number, Takes::Number];
const PAIR: &[Takes] = &[Takes::Anything, Takes::Anything];
const BOOLEAN: Gives = Gives::This(Kind::Boolean);
const TEXT: Gives = Gives::This(Kind::Text);

const ALL: &[Known] = &[
    known("toString", ToText, &[Takes::Anything], TEXT),
    known("toInt", ToInteger, &[Takes::TextOrNumberOrTime], Gives::This(Kind::Integer))
        .in_clickhouse("accurateCastOrNull", "Int64"),
    known("toFloat", ToFloat, &[Takes::TextOrNumberOrTime], Gives::This(Kind::Float))
        .in_clickhouse("accurateCastOrNull", "Float64"),
    known("toDate", ToDate, &[Takes::TextOrTime], Gives::This(Kind::Date)),
    known("toDateTime", ToMoment, &[Takes::TextOrNumberOrTime], Gives::This(Kind::Moment)),
    known("toStartOfHour", StartOfHour, &[Takes::Time], Gives::This(Kind::Seconds)),
    known("toStartOfDay", StartOfDay, &[Takes::Time], Gives::This(Kind::Seconds)),
    known("lower", Lower, &[Takes::Text], TEXT).any_case(),
    known("upper", Upper, &[Takes::Text], TEXT).any_case(),
    known("length", Length, &[Takes::Text], Gives::This(Kind::Integer)).any_case(),
    known("trim", Trim, &[Takes::Text], TEXT).any_case(),
    known("substring", Substring, &[Takes::Text, Takes::Number, Takes::Number], TEXT).from(2).any_case(),
    known("concat", Concat, PAIR, TEXT).or_more().any_case(),
    known("coalesce", Coalesce, &[Takes::Anything], Gives::Common(0)).or_more().any_case(),
    known("ifNull", Coalesce, PAIR, Gives::Common(0)).any_case(),
    known("nullIf", NullIf, PAIR, Gives::First).any_case(),
    known("if", If, &[Takes::Number, Takes::Anything, Takes::Anything], Gives::Common(1)).any_case(),
    known("plus", Plus, NUMBERS, Gives::Arithmetic),
    known("minus", Minus, NUMBERS, Gives::Arithmetic),
    known("multiply", Multiply, NUMBERS, Gives::Arithmetic),
    known("divide", Divide, NUMBERS, Gives::This(Kind::Float)),
    known("modulo", Modulo, NUMBERS, Gives::Arithmetic),
    known("equals", Equals, PAIR, BOOLEAN),
    known("notEquals", NotEquals, PAIR, BOOLEAN),
    known("less", Less, PAIR, BOOLEAN),
    known("lessOrEquals", LessOrEquals, PAIR, BOOLEAN),
    known("greater", Greater, PAIR, BOOLEAN),
    known("greaterOrEquals", GreaterOrEquals, PAIR, BOOLEAN),
    known("and", And, NUMBERS, BOOLEAN).or_more().any_case(),
    known("or", Or, NUMBERS, BOOLEAN).or_more().any_case(),
    known("not", Not, &[Takes::Number], BOOLEAN).any_case(),
    known("JSONExtractString", JsonText, &[Takes::Text, Takes::TextOrInteger], TEXT).from(1).or_more(),
    known("JSONExtractRaw", JsonRaw, &[Takes::Text, Takes::TextOrInteger], TEXT).from(1).or_more(),
    known("now", Now, &[], Gives::This(Kind::Moment)).any_case(),
];

/// The function of this name.
pub(super) fn named(name: &str) -> Outcome<&'static Known> {
    let is_it =
        |known: &&Known| known.name == name || (known.any_case && known.name.eq_ignore_ascii_case(name));
    ALL.iter().find(is_it).ok_or_else(|| {
        let meant =
            ALL.iter().find(|known| known.name.eq_ignore_ascii_case(name.trim_end_matches(char::is_numeric)));
        let meant = meant.map(|known| format!(". Perhaps you meant '{}(...)'?", known.name));
        let shown = shortened(name);
        Fault::Invalid(format!("Unsupported function call '{shown}(...)'{}", meant.unwrap_or_default()))
    })
}

/// So much of a name as an error needs.
pub(super) fn shortened(name: &str) -> String {
    const CHARS_MAX: usize = 100;
    name.chars().take(CHARS_MAX).collect()
}

impl Known {
    /// Judges the arguments, gives those that need one type that type, and says what comes out.
    pub(super) fn type_check(&self, arguments: &mut Vec<Typed>) -> Outcome<Kind> {
        let invalid = |reason: String| Err(Fault::Invalid(reason));
        let (name, found) = (self.name, arguments.len());
        if found < self.least || self.most.is_some_and(|most| found > most) {
            let (word, count) = match self.most {
                Some(most) if most == self.least => ("", most),
                Some(most) if found > most => ("at most ", most),
                _ => ("at least ", self.least),
            };
            let plural = if count == 1 { "" } else { "s" };
            return invalid(format!(
                "Function '{name}' expects {word}{count} argument{plural}, found {found}"
            ));
        }
        for (place, argument) in arguments.iter().enumerate() {
            let Some(takes) = self.takes.get(place).or(self.takes.last()) else { break };
            if !takes.admits(argument.kind) {
                let (wanted, number, got) = (takes.describe(), place + 1, argument.kind.describe());
                return invalid(format!(
                    "Function '{name}' needs {wanted}, and its argument {number} is {got}"
                ));
            }
        }
        let compares = matches!(
            self.function,
            Equals | NotEquals | Less | LessOrEquals | Greater | GreaterOrEquals | NullIf
        );
        if let ([left, right], true) = (arguments.as_slice(), compares)
            && !left.kind.compares_with(right.kind)
        {
            let (left, right) = (left.kind.describe(), right.kind.describe());
            return invalid(format!("Function '{name}' can't compare {left} with {right}"));
        }
        let kinds = |from: usize| arguments.iter().skip(from).map(|argument| argument.kind);
        Ok(match self.gives {
            Gives::This(kind) if self.function == ToMoment => {
                // Times and numbers are whole seconds; texts may say more.
                let is_text = kinds(0).all(|kind| matches!(kind, Kind::Text | Kind::Json));
                if is_text { kind } else { Kind::Seconds }
            }
            Gives::This(kind) => kind,
            Gives::First => kinds(0).next().unwrap_or(Kind::Null),
            Gives::Arithmetic if kinds(0).any(|kind| kind == Kind::Float) => Kind::Float,
            Gives::Arithmetic => Kind::Integer,
            Gives::Common(from) => {
                let common = kinds(from).try_fold(Kind::Null, Kind::common);
                let Some(common) = common else {
                    let types: Vec<&str> = kinds(from).map(Kind::describe).collect();
                    let types = shortened(&types.join(", "));
                    return invalid(format!("Function '{name}' needs values of one type, not {types}"));
                };
                let cast_all = arguments.drain(from..).map(|value| cast(value, common)).collect::<Vec<_>>();
                arguments.extend(cast_all);
                common
            }
        })
    }
}
