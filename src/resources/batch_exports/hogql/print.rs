//! Queries written back: in one form of HogQL, and piece by piece in ClickHouse's words.

use serde_json::{Map, Value};

use super::lexer::escaped;
use super::parser::{Expr, Select, Source, is_keyword};
use super::typecheck::{Field, Node, Owner, Typed};

/// The query on one line.
pub(super) fn hogql(select: &Select) -> String {
    let columns: Vec<String> = select
        .columns
        .iter()
        .map(|(expr, alias)| match alias {
            Some(alias) => format!("{} AS {}", expression(expr), first_name(alias)),
            None => expression(expr),
        })
        .collect();
    let mut text = format!("SELECT {}", columns.join(", "));
    if let Some(Source::Table { name: names, alias }) = &select.source {
        text.push_str(" FROM ");
        text.push_str(&path(names));
        if let Some(alias) = alias {
            text.push_str(" AS ");
            text.push_str(&first_name(alias));
        }
    }
    if let Some(filter) = &select.filter {
        text.push_str(" WHERE ");
        text.push_str(&expression(filter));
    }
    text
}

/// An expression in HogQL.
pub(super) fn expression(expr: &Expr) -> String {
    match expr {
        Expr::Null => "NULL".into(),
        Expr::Boolean(flag) => flag.to_string(),
        Expr::Integer(number) => number.to_string(),
        Expr::Float(number) => format!("{number:?}"),
        Expr::Text(text) => escaped(text, '\''),
        Expr::Field(chain) => path(chain),
        Expr::Call { name, arguments } => {
            let arguments: Vec<String> = arguments.iter().map(expression).collect();
            format!("{name}({})", arguments.join(", "))
        }
        // Never in a query that was accepted.
        Expr::Unsupported => "?".into(),
    }
}

fn path(chain: &[String]) -> String {
    let names: Vec<String> = chain
        .iter()
        .enumerate()
        .map(|(place, text)| if place == 0 { first_name(text) } else { name(text) })
        .collect();
    names.join(".")
}

/// A name, in backticks where it could not be read otherwise.
fn name(text: &str) -> String {
    let is_plain = text.bytes().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'$'))
        && text.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if is_plain { text.to_owned() } else { escaped(text, '`') }
}

/// A name where a keyword could stand as well.
fn first_name(text: &str) -> String {
    if is_keyword(text) { escaped(text, '`') } else { name(text) }
}

/// Texts that placeholders stand for.
#[derive(Default)]
pub(super) struct Values(Map<String, Value>);

impl Values {
    fn add(&mut self, text: &str) -> String {
        let name = format!("hogql_val_{}", self.0.len());
        let placeholder = format!("%({name})s");
        self.0.insert(name, text.into());
        placeholder
    }

    pub(super) fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

/// An expression in ClickHouse's words.
pub(super) fn clickhouse(value: &Typed, values: &mut Values) -> String {
    match &value.node {
        Node::Null => "NULL".into(),
        Node::Boolean(flag) => flag.to_string(),
        Node::Integer(number) => number.to_string(),
        Node::Float(number) => format!("{number:?}"),
        Node::Text(text) => values.add(text),
        Node::Now(_) => format!("now64(6, {})", values.add("UTC")),
        Node::Field(field) => format!("events.{}", field.name()),
        Node::Property(owner, path) => property(*owner, path, values),
        Node::Cast(inside) => clickhouse(inside, values),
        Node::Call(known, arguments) => {
            let (name, last) = known.clickhouse;
            let mut printed: Vec<String> =
                arguments.iter().map(|argument| clickhouse(argument, values)).collect();
            printed.extend(last.map(|text| values.add(text)));
            format!("{name}({})", printed.join(", "))
        }
    }
}

fn property(owner: Owner, path: &[String], values: &mut Values) -> String {
    let column = Field::Properties(owner).name();
    let names: Vec<String> = path.iter().map(|name| values.add(name)).collect();
    let names = names.join(", ");
    format!(
        "replaceRegexpAll(nullIf(nullIf(JSONExtractRaw(events.{column}, {names}), ''), 'null'), '^\"|\"$', '')"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::schema;

    #[test]
    fn a_query_is_written_back_in_one_form() {
        for (query, wanted) in [
            (
                "select toString(uuid) as uuid, 'test' as test, toInt(1+1) as n from events",
                "SELECT toString(uuid) AS uuid, 'test' AS test, toInt(plus(1, 1)) AS n FROM events",
            ),
            ("SELECT event, FROM events;", "SELECT event FROM events"),
            ("((SELECT event FROM events))", "SELECT event FROM events"),
            ("SELECT e.event FROM events e", "SELECT e.event FROM events AS e"),
            (
                "SELECT 1 + 2 * 3 - 4 / 5 % 6 AS x FROM events",
                "SELECT minus(plus(1, multiply(2, 3)), modulo(divide(4, 5), 6)) AS x FROM events",
            ),
            (
                "SELECT not 1 = 2 and 3 < 4 or 5 >= 6 AS x FROM events",
                "SELECT or(and(not(equals(1, 2)), less(3, 4)), greaterOrEquals(5, 6)) AS x FROM events",
            ),
            (
                "SELECT 1 and 2 and (3 or 4) and 5 AS x FROM events",
                "SELECT and(1, 2, or(3, 4), 5) AS x FROM events",
            ),
            (
                "SELECT 1 == 1 != 2 <> 3 AS x FROM events",
                "SELECT notEquals(notEquals(equals(1, 1), 2), 3) AS x FROM events",
            ),
            (
                "SELECT -1 AS a, - (1) AS b FROM events AS event",
                "SELECT -1 AS a, minus(0, 1) AS b FROM events AS event",
            ),
            ("SELECT -1 - -2 AS a, +3 AS b FROM events", "SELECT minus(-1, -2) AS a, 3 AS b FROM events"),
            (
                "SELECT TRUE AS t, False AS f, null AS n, 1.50 AS d FROM events",
                "SELECT true AS t, false AS f, NULL AS n, 1.5 AS d FROM events",
            ),
            (
                "SELECT event is null AS a, event is not null AS b FROM events",
                "SELECT equals(event, NULL) AS a, notEquals(event, NULL) AS b FROM events",
            ),
            ("SELECT 1 ? 2 : 3 ? 4 : 5 AS x FROM events", "SELECT if(1, 2, if(3, 4, 5)) AS x FROM events"),
            ("SELECT event || '-' || 1 AS x FROM events", "SELECT concat(event, '-', 1) AS x FROM events"),
            (
                "SELECT properties.a ?? 'b' AS x FROM events",
                "SELECT ifNull(properties.a, 'b') AS x FROM events",
            ),
            (
                "SELECT properties['a'], properties.$a.b, properties['a b'].`c`, \"event\" AS \"x y\" FROM events",
                "SELECT properties.a, properties.$a.b, properties.`a b`.c, event AS `x y` FROM events",
            ),
            (
                "SELECT event AS 'it''s' FROM events WHERE event = 'it\\'s'",
                "SELECT event AS `it's` FROM events WHERE equals(event, 'it\\'s')",
            ),
        ] {
            let schema = schema(query).unwrap_or_else(|fault| panic!("{query}: {fault}"));
            assert_eq!(schema.value()["hogql_query"], wanted, "{query}");
        }
    }

    #[test]
    fn columns_are_told_in_the_words_of_clickhouse() {
        for (column, expression, alias, values) in [
            ("event", "events.event", "event", json!({})),
            ("events.timestamp", "events.timestamp", "timestamp", json!({})),
            ("person.properties", "events.person_properties", "properties", json!({})),
            ("toString(uuid)", "toString(events.uuid)", "toString(uuid)", json!({})),
            ("'a' AS b", "%(hogql_val_0)s", "b", json!({"hogql_val_0": "a"})),
            (
                "toInt('1')",
                "accurateCastOrNull(%(hogql_val_0)s, %(hogql_val_1)s)",
                "toInt('1')",
                json!({"hogql_val_0": "1", "hogql_val_1": "Int64"}),
            ),
            (
                "toFloat(1)",
                "accurateCastOrNull(1, %(hogql_val_0)s)",
                "toFloat(1)",
                json!({"hogql_val_0": "Float64"}),
            ),
            ("if(true, 1, 1.5)", "if(true, 1, 1.5)", "if(true, 1, 1.5)", json!({})),
            ("NULL", "NULL", "NULL", json!({})),
            (
                "properties.$a.b",
                "replaceRegexpAll(nullIf(nullIf(JSONExtractRaw(events.properties, %(hogql_val_0)s, %(hogql_val_1)s), ''), 'null'), '^\"|\"$', '')",
                "$a__b",
                json!({"hogql_val_0": "$a", "hogql_val_1": "b"}),
            ),
        ] {
            let schema = schema(&format!("SELECT {column} FROM events")).unwrap().value();
            let wanted = json!([{"expression": expression, "alias": alias}]);
            assert_eq!((&schema["fields"], &schema["values"]), (&wanted, &values), "{column}");
        }
    }
}
