//! Rules on a query, and what its names and functions mean.

use std::collections::HashSet;

use super::functions::{self, Function, Known};
use super::parser::{Expr, Select, Source};
use super::{COLUMNS_MAX, Fault, NAME_BYTES_MAX, Outcome, print};
use crate::clock::Time;
use crate::resources::batch_exports::columns::Type;
use functions::shortened;

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Never anything but null.
    Null,
    Uuid,
    Text,
    Json,
    Integer,
    Float,
    Boolean,
    /// To the microsecond.
    Moment,
    /// A time in whole seconds.
    Seconds,
    /// The beginning of a day.
    Date,
}

impl Kind {
    pub(super) fn is_time(self) -> bool {
        matches!(self, Kind::Moment | Kind::Seconds | Kind::Date)
    }

    fn is_number(self) -> bool {
        matches!(self, Kind::Integer | Kind::Float | Kind::Boolean)
    }

    fn is_text(self) -> bool {
        matches!(self, Kind::Text | Kind::Json)
    }

    /// As errors tell it.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Uuid => "a UUID",
            Kind::Text => "text",
            Kind::Json => "JSON",
            Kind::Integer => "an integer",
            Kind::Float => "a float",
            Kind::Boolean => "a boolean",
            Kind::Moment | Kind::Seconds => "a time",
            Kind::Date => "a date",
        }
    }

    /// The type that holds values of both.
    pub(super) fn common(self, other: Kind) -> Option<Kind> {
        let both = |is: fn(Kind) -> bool| is(self) && is(other);
        let either = |kind: Kind| self == kind || other == kind;
        match (self, other) {
            _ if self == other => Some(self),
            (Kind::Null, kind) | (kind, Kind::Null) => Some(kind),
            _ if both(Kind::is_text) => Some(Kind::Text),
            _ if both(Kind::is_number) => Some(if either(Kind::Float) { Kind::Float } else { Kind::Integer }),
            _ if both(Kind::is_time) => Some(if either(Kind::Moment) { Kind::Moment } else { Kind::Seconds }),
            _ => None,
        }
    }

    /// Whether one can be less than the other. Texts are read as what they are compared with.
    pub(super) fn compares_with(self, other: Kind) -> bool {
        let reads = |kind: Kind| kind == Kind::Uuid || kind.is_time();
        self.common(other).is_some() || (self.is_text() && reads(other)) || (reads(self) && other.is_text())
    }

    /// The column's type of such values.
    pub(super) fn of_column(self) -> Type {
        match self {
            Kind::Uuid => Type::Uuid,
            Kind::Null | Kind::Text => Type::Text,
            Kind::Json => Type::Json,
            Kind::Integer => Type::BigInteger,
            Kind::Float => Type::Float,
            Kind::Boolean => Type::Boolean,
            Kind::Moment | Kind::Seconds | Kind::Date => Type::Time,
        }
    }
}

/// Whose properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Event,
    Person,
}

/// What every event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Uuid,
    Event,
    Timestamp,
    DistinctId,
    PersonId,
    TeamId,
    ElementsChain,
    CreatedAt,
    Properties(Owner),
}

impl Field {
    /// By the names in queries.
    const ALL: [(&'static str, Field, Kind); 9] = [
        ("uuid", Field::Uuid, Kind::Uuid),
        ("event", Field::Event, Kind::Text),
        ("timestamp", Field::Timestamp, Kind::Moment),
        ("distinct_id", Field::DistinctId, Kind::Text),
        ("person_id", Field::PersonId, Kind::Uuid),
        ("team_id", Field::TeamId, Kind::Integer),
        ("elements_chain", Field::ElementsChain, Kind::Text),
        ("created_at", Field::CreatedAt, Kind::Moment),
        ("properties", Field::Properties(Owner::Event), Kind::Json),
    ];

    /// The column's name in ClickHouse.
    pub(super) fn name(self) -> &'static str {
        let found = Field::ALL.iter().find(|(_, field, _)| *field == self);
        found.map_or("person_properties", |(name, _, _)| name)
    }
}

/// An expression that makes sense.
pub(super) struct Typed {
    pub(super) kind: Kind,
    pub(super) node: Node,
}

pub(super) enum Node {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Now(Time),
    Field(Field),
    /// A property, or something inside of it.
    Property(Owner, Vec<String>),
    Call(&'static Known, Vec<Typed>),
    /// The value as the outer kind.
    Cast(Box<Typed>),
}

/// A column with its name.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) value: Typed,
}

/// The same value as another kind that holds it.
pub(super) fn cast(value: Typed, kind: Kind) -> Typed {
    if value.kind == kind { value } else { Typed { kind, node: Node::Cast(Box::new(value)) } }
}

/// The columns of a query that keeps the rules.
pub(super) fn columns(select: &Select, now: Time) -> Outcome<Vec<Column>> {
    check_whole(select)?;
    let alias = match &select.source {
        Some(Source::Table { alias, .. }) => alias.as_deref(),
        _ => None,
    };
    let meaning = Resolver { alias, now };
    if select.columns.len() > COLUMNS_MAX {
        return Err(Fault::Invalid(format!("The query has more than {COLUMNS_MAX} columns")));
    }
    let mut names = HashSet::new();
    let mut columns = Vec::with_capacity(select.columns.len());
    for (expr, alias) in &select.columns {
        let value = meaning.of(expr)?;
        let name = alias.clone().unwrap_or_else(|| name_of(&value, expr));
        check_name(&name)?;
        if !names.insert(name.clone()) {
            return Err(Fault::Invalid(format!("Cannot redefine an alias with the name: {name}")));
        }
        columns.push(Column { name, value });
    }
    // The rows are chosen by the interval and by names of events, not here; but it has to make sense.
    if let Some(filter) = &select.filter {
        meaning.of(filter)?;
    }
    Ok(columns)
}

fn check_whole(select: &Select) -> Outcome<()> {
    if select.is_union {
        return Err(Fault::Refused("UNIONs are not supported"));
    }
    let Some(source) = &select.source else { return Err(Fault::Refused("Query must SELECT FROM events")) };
    let Source::Table { name, .. } = source else {
        return Err(Fault::Refused("Subqueries or CTEs are not supported"));
    };
    if select.has_ctes {
        return Err(Fault::Refused("Subqueries or CTEs are not supported"));
    }
    if name.len() != 1 || name[0] != "events" {
        return Err(Fault::Refused("Query must only SELECT FROM events"));
    }
    if select.has_joins {
        return Err(Fault::Refused("JOINs are not supported"));
    }
    if select.has_more { Err(Fault::Unsupported) } else { Ok(()) }
}

/// The name of a column without an alias: a field's own, a property's path, else the expression's text.
fn name_of(value: &Typed, expr: &Expr) -> String {
    match (&value.node, expr) {
        (Node::Property(_, path), _) => path.join("__"),
        (Node::Field(_), Expr::Field(chain)) => chain.last().cloned().unwrap_or_default(),
        _ => print::expression(expr),
    }
}

fn check_name(name: &str) -> Outcome<()> {
    let invalid = |reason: String| Err(Fault::Invalid(reason));
    if name.trim().is_empty() || name.contains(char::is_control) {
        return invalid("The name of a column can't be empty or hold control characters".into());
    }
    if name.len() > NAME_BYTES_MAX {
        let shown = shortened(name);
        return invalid(format!(
            "The name of column '{shown}' is longer than {NAME_BYTES_MAX} bytes. Give it a shorter one with AS"
        ));
    }
    Ok(())
}

/// What names mean in a query.
struct Resolver<'a> {
    /// The table's.
    alias: Option<&'a str>,
    now: Time,
}

impl Resolver<'_> {
    fn of(&self, expr: &Expr) -> Outcome<Typed> {
        let typed = |kind, node| Ok(Typed { kind, node });
        match expr {
            Expr::Null => typed(Kind::Null, Node::Null),
            Expr::Boolean(flag) => typed(Kind::Boolean, Node::Boolean(*flag)),
            Expr::Integer(number) => typed(Kind::Integer, Node::Integer(*number)),
            Expr::Float(number) => typed(Kind::Float, Node::Float(*number)),
            Expr::Text(text) => typed(Kind::Text, Node::Text(text.clone())),
            Expr::Field(chain) => self.field(chain),
            Expr::Call { name, arguments } => {
                let known = functions::named(name)?;
                let mut arguments =
                    arguments.iter().map(|argument| self.of(argument)).collect::<Outcome<Vec<Typed>>>()?;
                let kind = known.type_check(&mut arguments)?;
                if known.function == Function::Now {
                    return typed(kind, Node::Now(self.now));
                }
                typed(kind, Node::Call(known, arguments))
            }
            Expr::Unsupported => Err(Fault::Unsupported),
        }
    }

    fn field(&self, chain: &[String]) -> Outcome<Typed> {
        let unknown = || Fault::Invalid(format!("Unable to resolve field: {}", shortened(&chain.join("."))));
        let (first, rest) = chain.split_first().ok_or_else(unknown)?;
        let is_table = first == "events" || Some(first.as_str()) == self.alias;
        let own = if is_table && !rest.is_empty() { rest } else { chain };
        let (first, rest) = own.split_first().ok_or_else(unknown)?;
        let (owner, path) = match (first.as_str(), rest) {
            ("properties", path) => (Owner::Event, path),
            ("person", [second, path @ ..]) if second == "properties" => (Owner::Person, path),
            (name, []) => {
                let found = Field::ALL.iter().find(|(other, _, _)| *other == name);
                let (_, field, kind) = found.ok_or_else(unknown)?;
                return Ok(Typed { kind: *kind, node: Node::Field(*field) });
            }
            _ => return Err(unknown()),
        };
        Ok(match path {
            [] => Typed { kind: Kind::Json, node: Node::Field(Field::Properties(owner)) },
            path => Typed { kind: Kind::Text, node: Node::Property(owner, path.to_vec()) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema;

    fn result_of(query: &str) -> String {
        match schema(query) {
            Ok(schema) => schema.text().to_owned(),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn a_query_that_breaks_a_rule_is_told_which() {
        const UNPARSABLE: &str = "Failed to parse query";
        const UNION: &str = "UNIONs are not supported";
        const NO_FROM: &str = "Query must SELECT FROM events";
        const OTHER: &str = "Query must only SELECT FROM events";
        const JOIN: &str = "JOINs are not supported";
        const SUBQUERY: &str = "Subqueries or CTEs are not supported";
        const UNSUPPORTED: &str = "Unsupported HogQL query";
        for (query, wanted) in [
            ("", UNPARSABLE),
            ("   -- nothing", UNPARSABLE),
            ("SELECT", UNPARSABLE),
            ("SELECT event,, FROM events", UNPARSABLE),
            ("SELECT FROM events", UNPARSABLE),
            ("SELECT event FROM", UNPARSABLE),
            ("SELECT event FROM events WHERE", UNPARSABLE),
            ("SELECT event FROM events WHERE (1", UNPARSABLE),
            ("SELECT event event2 FROM events", UNPARSABLE),
            ("SELECT event AS FROM events", UNPARSABLE),
            ("SELECT event AS null FROM events", UNPARSABLE),
            ("SELECT event FROM events; SELECT event FROM events", UNPARSABLE),
            ("SELECT 1 + FROM events", UNPARSABLE),
            ("SELECT (event FROM events", UNPARSABLE),
            ("SELECT event) FROM events", UNPARSABLE),
            ("SELECT properties. FROM events", UNPARSABLE),
            ("SELECT properties[] FROM events", UNPARSABLE),
            ("DELETE FROM events", UNPARSABLE),
            ("SELECT event FROM events UNION ALL SELECT event FROM events", UNION),
            ("(SELECT event FROM events) UNION ALL (SELECT nothing FROM persons)", UNION),
            ("SELECT * FROM events UNION DISTINCT SELECT 1", UNION),
            ("SELECT event FROM events GROUP BY event UNION ALL SELECT event FROM events", UNION),
            ("SELECT event FROM events UNION ALL", UNPARSABLE),
            ("SELECT 1", NO_FROM),
            ("SELECT nothing, ", NO_FROM),
            ("SELECT id FROM persons", OTHER),
            ("SELECT event FROM other.events", OTHER),
            ("SELECT event FROM Events", OTHER),
            ("SELECT number FROM numbers(10)", OTHER),
            ("SELECT 1 FROM persons JOIN events ON 1", OTHER),
            ("SELECT e.event FROM events e JOIN persons p ON e.person_id = p.id", JOIN),
            ("SELECT event FROM events LEFT OUTER JOIN persons ON true WHERE 1", JOIN),
            ("SELECT event FROM events, persons", JOIN),
            ("SELECT event FROM events CROSS JOIN persons GROUP BY event", JOIN),
            ("SELECT event FROM events ARRAY JOIN [1, 2] AS x", JOIN),
            ("SELECT event FROM (SELECT event FROM events)", SUBQUERY),
            ("SELECT event FROM (SELECT event FROM events) AS e WHERE 1", SUBQUERY),
            ("WITH x AS (SELECT event FROM events) SELECT event FROM x", SUBQUERY),
            ("SELECT * FROM events", UNSUPPORTED),
            ("SELECT events.* FROM events", UNSUPPORTED),
            ("SELECT DISTINCT event FROM events", UNSUPPORTED),
            ("SELECT event FROM events GROUP BY event", UNSUPPORTED),
            ("SELECT event FROM events WHERE 1 ORDER BY event", UNSUPPORTED),
            ("SELECT event FROM events LIMIT 10", UNSUPPORTED),
            ("SELECT event FROM events FINAL", UNSUPPORTED),
            ("SELECT event FROM events SAMPLE 0.1 WHERE 1", UNSUPPORTED),
            ("SELECT (SELECT 1) FROM events", UNSUPPORTED),
            ("SELECT (1, 2) FROM events", UNSUPPORTED),
            ("SELECT [1] FROM events", UNSUPPORTED),
            ("SELECT {x} FROM events", UNSUPPORTED),
            ("SELECT CASE WHEN 1 THEN 2 END FROM events", UNSUPPORTED),
            ("SELECT event IN ('a') FROM events", UNSUPPORTED),
            ("SELECT event NOT LIKE 'a' FROM events", UNSUPPORTED),
            ("SELECT 1 BETWEEN 0 AND 2 FROM events", UNSUPPORTED),
            ("SELECT x -> 1 FROM events", UNSUPPORTED),
            ("SELECT event::Int FROM events", UNSUPPORTED),
            ("SELECT rank() OVER (PARTITION BY event) FROM events", UNSUPPORTED),
            ("SELECT quantile(0.5)(1) FROM events", UNSUPPORTED),
            ("SELECT properties.a[1] FROM events", UNSUPPORTED),
            ("SELECT event FROM events WHERE event IN ('a', 'b')", UNSUPPORTED),
        ] {
            assert_eq!(result_of(query), wanted, "{query}");
        }
    }

    #[test]
    fn names_and_arguments_are_told_with_the_reason() {
        for (query, reason) in [
            ("unknown_field", "Unable to resolve field: unknown_field"),
            ("event.a", "Unable to resolve field: event.a"),
            ("person.name", "Unable to resolve field: person.name"),
            ("other.event", "Unable to resolve field: other.event"),
            ("Event", "Unable to resolve field: Event"),
            ("toInt32(1)", "Unsupported function call 'toInt32(...)'. Perhaps you meant 'toInt(...)'?"),
            ("TOSTRING(1)", "Unsupported function call 'TOSTRING(...)'. Perhaps you meant 'toString(...)'?"),
            ("count()", "Unsupported function call 'count(...)'"),
            ("toString()", "Function 'toString' expects 1 argument, found 0"),
            ("toString(1, 2)", "Function 'toString' expects 1 argument, found 2"),
            ("if(1, 2)", "Function 'if' expects 3 arguments, found 2"),
            ("concat('a')", "Function 'concat' expects at least 2 arguments, found 1"),
            ("coalesce()", "Function 'coalesce' expects at least 1 argument, found 0"),
            ("substring(event)", "Function 'substring' expects at least 2 arguments, found 1"),
            ("substring(event, 1, 2, 3)", "Function 'substring' expects at most 3 arguments, found 4"),
            ("now(1)", "Function 'now' expects 0 arguments, found 1"),
            ("event + 1", "Function 'plus' needs a number, and its argument 1 is text"),
            ("1 * timestamp", "Function 'multiply' needs a number, and its argument 2 is a time"),
            ("lower(1)", "Function 'lower' needs text, and its argument 1 is an integer"),
            ("not event", "Function 'not' needs a number, and its argument 1 is text"),
            ("true and 1 and uuid", "Function 'and' needs a number, and its argument 3 is a UUID"),
            (
                "toInt(uuid)",
                "Function 'toInt' needs text, a number, or a date or time, and its argument 1 is a UUID",
            ),
            (
                "toStartOfHour(event)",
                "Function 'toStartOfHour' needs a date or time, and its argument 1 is text",
            ),
            ("event = 1", "Function 'equals' can't compare text with an integer"),
            ("timestamp > 1.5", "Function 'greater' can't compare a time with a float"),
            ("coalesce(event, 1)", "Function 'coalesce' needs values of one type, not text, an integer"),
            ("if(true, timestamp, uuid)", "Function 'if' needs values of one type, not a time, a UUID"),
            ("event, events.event", "Cannot redefine an alias with the name: event"),
            ("event AS a, uuid AS a", "Cannot redefine an alias with the name: a"),
            ("event AS ``", "The name of a column can't be empty or hold control characters"),
            ("event AS 'a\\n'", "The name of a column can't be empty or hold control characters"),
        ] {
            let wanted = format!("Invalid HogQL query: {reason}");
            assert_eq!(result_of(&format!("SELECT {query} FROM events")), wanted, "{query}");
        }
        let filter = result_of("SELECT event FROM events WHERE nothing = 1");
        assert_eq!(filter, "Invalid HogQL query: Unable to resolve field: nothing");
    }
}
