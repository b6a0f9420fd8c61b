//! HogQL as far as batch exports take it: the SELECT list of a query over events says which columns leave.
//! A query is read (`lexer`, `parser`), type_checked (`check`), written back in one form (`print`) and, in runs,
//! worked out event by event (`evaluate`).
//! Invariant: what was accepted is accepted again from the form that it was written back in; every value
//! of a column is null or of the column's type, and no event makes a run fail.

mod evaluate;
mod functions;
mod lexer;
mod parser;
mod print;
mod typecheck;

use std::fmt;

use serde_json::json;

use super::columns::{Column, Event};
use crate::clock::Time;
use crate::store::Json;

/// The longest query.
pub const QUERY_BYTES_MAX: usize = 64 * 1024;
/// How deep expressions may be nested: parsing, judging and working them out need stack for each level.
const DEPTH_MAX: usize = 100;
/// What fits into a table of PostgreSQL, beside a few columns of its owner's.
const COLUMNS_MAX: usize = 1000;
/// PostgreSQL would cut longer names, and might so make two columns of one name.
const NAME_BYTES_MAX: usize = 63;

/// What is wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Unparsable,
    /// One of the rules on the whole query.
    Refused(&'static str),
    /// What HogQL has and batch exports have not.
    Unsupported,
    /// Something in it can't be, and this is why.
    Invalid(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unparsable => out.write_str("Failed to parse query"),
            Fault::Refused(rule) => out.write_str(rule),
            Fault::Unsupported => out.write_str("Unsupported HogQL query"),
            Fault::Invalid(reason) => write!(out, "Invalid HogQL query: {reason}"),
        }
    }
}

type Outcome<T> = Result<T, Fault>;

/// The `schema` of an export that is given this query: fields in ClickHouse's words, the values of their
/// placeholders, and the query in one form.
pub fn schema(query: &str) -> Outcome<Json> {
    let select = parser::parse(query)?;
    let columns = typecheck::columns(&select, Time(0))?;
    let mut values = print::Values::default();
    let fields: Vec<serde_json::Value> = columns
        .iter()
        .map(|column| {
            let expression = print::clickhouse(&column.value, &mut values);
            json!({"expression": expression, "alias": column.name})
        })
        .collect();
    let hogql = print::hogql(&select);
    // Functions are longer than operators, and runs read this form.
    lexer::check_length(&hogql)?;
    Ok(Json::of(&json!({"fields": fields, "values": values.into_map(), "hogql_query": hogql})))
}

/// The query of a schema.
pub fn query_of(schema: &Json) -> Option<String> {
    schema.value()["hogql_query"].as_str().map(str::to_owned)
}

/// The columns that a query chooses; `now` is what its `now()` means.
pub fn columns(query: &str, now: Time) -> Outcome<Vec<Column<Event>>> {
    let columns = typecheck::columns(&parser::parse(query)?, now)?;
    Ok(columns.into_iter().map(column).collect())
}

fn column(column: typecheck::Column) -> Column<Event> {
    let typecheck::Column { name, value } = column;
    let kind = value.kind.of_column();
    Column { name: name.into(), kind, value: Box::new(move |event| evaluate::column(&value, event)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_has_the_documented_form() {
        let query = "select event, team_id as my_team, properties.$browser as browser\nfrom events -- all\n";
        let wanted = concat!(
            r#"{"fields":[{"expression":"events.event","alias":"event"},"#,
            r#"{"expression":"events.team_id","alias":"my_team"},"#,
            r#"{"expression":"replaceRegexpAll(nullIf(nullIf(JSONExtractRaw(events.properties, %(hogql_val_0)s), ''), 'null'), '^\"|\"$', '')","alias":"browser"}],"#,
            r#""values":{"hogql_val_0":"$browser"},"#,
            r#""hogql_query":"SELECT event, team_id AS my_team, properties.$browser AS browser FROM events"}"#
        );
        assert_eq!(schema(query).unwrap().text(), wanted);
    }

    #[test]
    fn the_form_that_is_stored_says_the_same() {
        for query in [
            "SELECT event FROM events",
            "select `a b`.event AS `from`, `a b`.properties['x y'].`z`, -1.5 as minus, 'it''s\\n' as t from events `a b` where not (1 = 2 and event != 'x' or true)",
            "SELECT 1e300 * 1e3 AS big, -(event = 'a') AS negated, properties.a ?? properties.b AS c FROM events AS a",
            "SELECT if(properties.a is not null, properties.a, null), 1 ? 2 : 3 ? 4 : 5, event || '-' || distinct_id FROM events",
            "SELECT properties.order AS x, person.properties.email, NULL AS `null`, now() FROM events",
        ] {
            let once = schema(query).unwrap_or_else(|fault| panic!("{query}: {fault}"));
            let again = schema(&query_of(&once).unwrap()).unwrap();
            assert_eq!(once.text(), again.text(), "{query}");
        }
    }

    #[test]
    fn hostile_queries_are_refused_and_no_stack_overflows() {
        let deep = Fault::Invalid("The query is nested too deeply".into());
        let long = Fault::Invalid("The query is longer than 65536 bytes".into());
        let select = |expression: &str| format!("SELECT {expression} AS x FROM events");
        let nested = |open: &str, close: &str, count: usize| {
            select(&format!("{}1{}", open.repeat(count), close.repeat(count)))
        };
        for (query, wanted) in [
            (nested("(", ")", 10_000), &deep),
            (nested("not ", "", 10_000), &deep),
            (nested("- ", "", 10_000), &deep),
            (nested("toString(", ")", 5_000), &deep),
            (nested("1 ? 2 : ", "", 5_000), &deep),
            (nested("1 ?? (", ")", 5_000), &deep),
            (nested("a[", "]", 5_000), &deep),
            (select(&format!("1{}", " + 1".repeat(10_000))), &deep),
            (format!("{}SELECT 1{}", "(".repeat(10_000), ")".repeat(10_000)), &deep),
            ("(".repeat(10_000), &deep),
            (select(&format!("1{}", " + 1".repeat(250_000))), &long),
            ("SELECT ".repeat(9_000), &Fault::Unparsable),
            ("[".repeat(60_000), &Fault::Unparsable),
            (format!("SELECT {}", "[".repeat(60_000)), &Fault::Unparsable),
            (format!("SELECT {}", "case ".repeat(10_000)), &Fault::Unparsable),
            (select(&"case when ".repeat(6_000)), &Fault::Unparsable),
            (
                select(&"x".repeat(60_000)),
                &Fault::Invalid(format!("Unable to resolve field: {}", "x".repeat(100))),
            ),
            (
                select(&format!("{}(1)", "f".repeat(60_000))),
                &Fault::Invalid(format!("Unsupported function call '{}(...)'", "f".repeat(100))),
            ),
            (
                format!("SELECT event AS {} FROM events", "x".repeat(60_000)),
                &Fault::Invalid(format!(
                    "The name of column '{}' is longer than 63 bytes. Give it a shorter one with AS",
                    "x".repeat(100)
                )),
            ),
            (
                format!(
                    "SELECT {} FROM events",
                    (0..1001).map(|number| format!("1 AS a{number}")).collect::<Vec<_>>().join(", ")
                ),
                &Fault::Invalid("The query has more than 1000 columns".into()),
            ),
            (
                format!("SELECT event FROM events{}", " UNION ALL SELECT event FROM events".repeat(1_000)),
                &Fault::Refused("UNIONs are not supported"),
            ),
        ] {
            let shown: String = query.chars().take(60).collect();
            assert_eq!(schema(&query).map(|schema| schema.text().to_owned()), Err(wanted.clone()), "{shown}");
        }
        // What grows wide may grow.
        let wide = |word: &str| select(&format!("1{}", format!(" {word} 1").repeat(5_000)));
        for query in [wide("and"), wide("or"), wide("||")] {
            schema(&query).unwrap();
        }
    }

    #[test]
    fn what_is_accepted_is_accepted_again_at_every_limit() {
        let select = |expression: &str| format!("SELECT {expression} AS x FROM events");
        let deepest = select(&format!("1{}", " + 1".repeat(DEPTH_MAX - 1)));
        columns(&query_of(&schema(&deepest).unwrap()).unwrap(), Time(0)).unwrap();
        let deeper = select(&format!("1{}", " + 1".repeat(DEPTH_MAX)));
        assert!(schema(&deeper).is_err());
        // Short enough as it is sent, and too long as it is stored.
        let comparisons = vec!["1>=1"; 6_000].join(" or ");
        assert_eq!(
            schema(&select(&comparisons)).map(|_| ()),
            Err(Fault::Invalid("The query is longer than 65536 bytes".into()))
        );
    }
}
