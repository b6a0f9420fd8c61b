//! The table that is delivered to: its columns, and the statements that make and fill it. Identifiers are
//! always quoted.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::background::exports::job::{Job, Outcome, Stop};
use crate::resources::batch_exports::Model;
use crate::resources::batch_exports::columns::Type;
use crate::resources::batch_exports::destination::Kind;

/// Whose SQL is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Redshift,
}

impl Dialect {
    pub(super) fn of(job: &Job) -> Dialect {
        if job.plan.destination.kind == Kind::Redshift { Dialect::Redshift } else { Dialect::Postgres }
    }

    pub(super) fn port(self) -> u16 {
        match self {
            Dialect::Postgres => 5432,
            Dialect::Redshift => 5439,
        }
    }
}

/// The type of a column in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SqlType {
    Text,
    /// So many characters; in Redshift, so many bytes.
    Varchar(usize),
    Jsonb,
    Super,
    Bigint,
    Integer,
    Double,
    Boolean,
    Time,
}

impl SqlType {
    fn sql(self) -> Cow<'static, str> {
        match self {
            SqlType::Text => "TEXT".into(),
            SqlType::Varchar(length) => format!("VARCHAR({length})").into(),
            SqlType::Jsonb => "JSONB".into(),
            SqlType::Super => "SUPER".into(),
            SqlType::Bigint => "BIGINT".into(),
            SqlType::Integer => "INTEGER".into(),
            SqlType::Double => "DOUBLE PRECISION".into(),
            SqlType::Boolean => "BOOLEAN".into(),
            SqlType::Time => "TIMESTAMP WITH TIME ZONE".into(),
        }
    }
}

/// The longest texts of the default columns of events.
const NAME_LENGTH: usize = 200;
/// The longest texts that Redshift can hold at all.
const REDSHIFT_LENGTH: usize = 65_535;
/// Columns of these names hold JSON also where a query chose them.
const JSON_NAMES: &[&str] = &["properties", "set", "set_once", "person_properties"];
/// This one stays a text in Redshift.
const ELEMENTS: &str = "elements";

const KEY: [&str; 2] = ["team_id", "distinct_id"];
/// A row with a higher one of either replaces another; the first one decides which is the newest.
const VERSIONS: [&str; 2] = ["person_distinct_id_version", "person_version"];

pub(super) struct Column {
    name: String,
    pub(super) kind: SqlType,
}

pub(super) struct Table {
    pub(super) dialect: Dialect,
    schema: String,
    name: String,
    pub(super) columns: Vec<Column>,
    /// Persons are put there first.
    stage: Option<String>,
}

/// The schema and the table that a configuration names.
pub(in crate::background::exports) fn schema_and_table(config: &Map<String, Value>) -> (&str, &str) {
    let text = |name: &str| config.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    (text("schema").unwrap_or("public"), text("table_name").unwrap_or("events"))
}

impl Table {
    pub(super) fn of(job: &Job, columns: &[(&str, Type)]) -> Outcome<Table> {
        if let Some((name, _)) =
            job.config().iter().find(|(_, value)| value.as_str().is_some_and(|text| text.contains('\0')))
        {
            return Err(Stop::Fatal(format!("ValueError: '{name}' holds a character that no name can have")));
        }
        let dialect = Dialect::of(job);
        let chosen_by_query = job.plan.schema.is_some();
        let short_texts = job.plan.model == Model::Events && !chosen_by_query;
        let takes_super =
            job.text("properties_data_type").is_some_and(|name| name.eq_ignore_ascii_case("super"));
        let column = |&(name, kind): &(&str, Type)| Column {
            name: name.to_owned(),
            kind: sql_type(dialect, short_texts, takes_super, name, kind),
        };
        let (schema, name) = schema_and_table(job.config());
        let end: String = job.run.end.to_string().chars().take("2021-01-01T10:00:00".len()).collect();
        let stage = format!("stage_{name}_{}", end.replace('T', "_").replace(':', "-"));
        Ok(Table {
            dialect,
            schema: schema.to_owned(),
            name: name.to_owned(),
            columns: columns.iter().map(column).collect(),
            stage: (job.plan.model == Model::Persons).then_some(stage),
        })
    }

    fn target(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// The table that rows are put into.
    fn first(&self) -> String {
        self.stage.as_deref().map_or_else(|| self.target(), quoted)
    }

    fn names(&self) -> String {
        self.columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
    }

    /// Gives a row where the table is there.
    pub(super) fn find(&self) -> String {
        format!(
            "SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = {} AND c.relname = {}",
            literal(&self.schema),
            literal(&self.name)
        )
    }

    pub(super) fn make(&self) -> String {
        let column = |column: &Column| format!("{} {}", quoted(&column.name), column.kind.sql());
        let mut parts: Vec<String> = self.columns.iter().map(column).collect();
        if self.stage.is_some() {
            parts.push(format!("PRIMARY KEY ({})", KEY.map(quoted).join(", ")));
        }
        format!("CREATE TABLE IF NOT EXISTS {} ({})", self.target(), parts.join(", "))
    }

    /// The staging table has the types that the table really has.
    pub(super) fn make_stage(&self) -> Option<String> {
        let stage = quoted(self.stage.as_ref()?);
        let (names, target) = (self.names(), self.target());
        Some(format!("CREATE TEMPORARY TABLE {stage} AS SELECT {names} FROM {target} WHERE 1 = 0"))
    }

    pub(super) fn copy(&self) -> String {
        format!("COPY {} ({}) FROM STDIN", self.first(), self.names())
    }

    /// The front of a statement that rows in brackets follow.
    pub(super) fn insert(&self) -> String {
        format!("INSERT INTO {} ({}) VALUES ", self.first(), self.names())
    }

    /// The statements that bring rows from the staging table into the table, where they are new or newer,
    /// and remove it.
    pub(super) fn merge(&self) -> Vec<String> {
        let Some(stage) = self.stage.as_deref().map(quoted) else { return Vec::new() };
        let (target, names) = (self.target(), self.names());
        let [key, versions] = [KEY.map(quoted), VERSIONS.map(quoted)];
        let keys = key.join(", ");
        // The same distinct id comes twice where its person changes during the run.
        let newest = format!(
            "SELECT {names} FROM (SELECT {names}, ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY {} DESC, {} DESC) AS place FROM {stage}) AS numbered WHERE place = 1 ORDER BY {keys}",
            versions[0], versions[1]
        );
        let all = |joint: &str, one: &dyn Fn(&String) -> String, of: &[String]| {
            of.iter().map(one).collect::<Vec<_>>().join(joint)
        };
        let drop = format!("DROP TABLE {stage}");
        match self.dialect {
            Dialect::Postgres => {
                let others = self.columns.iter().filter(|column| !KEY.contains(&&*column.name));
                let others: Vec<String> = others.map(|column| quoted(&column.name)).collect();
                let set = all(", ", &|name| format!("{name} = EXCLUDED.{name}"), &others);
                let is_newer = all(" OR ", &|name| format!("EXCLUDED.{name} > old.{name}"), &versions);
                let merge = format!(
                    "INSERT INTO {target} AS old ({names}) {newest} ON CONFLICT ({keys}) DO UPDATE SET {set} WHERE {is_newer}"
                );
                vec![merge, drop]
            }
            Dialect::Redshift => {
                let is_same = all(" AND ", &|name| format!("{target}.{name} = {stage}.{name}"), &key);
                let is_newer = all(" OR ", &|name| format!("{stage}.{name} > {target}.{name}"), &versions);
                vec![
                    format!("DELETE FROM {stage} USING {target} WHERE {is_same} AND NOT ({is_newer})"),
                    format!("DELETE FROM {target} USING {stage} WHERE {is_same}"),
                    format!("INSERT INTO {target} ({names}) {newest}"),
                    drop,
                ]
            }
        }
    }
}

fn sql_type(dialect: Dialect, short_texts: bool, takes_super: bool, name: &str, kind: Type) -> SqlType {
    let is_json = kind == Type::Json || (kind == Type::Text && JSON_NAMES.contains(&name));
    match kind {
        _ if is_json => match dialect {
            Dialect::Postgres => SqlType::Jsonb,
            Dialect::Redshift if takes_super && name != ELEMENTS => SqlType::Super,
            Dialect::Redshift => SqlType::Varchar(REDSHIFT_LENGTH),
        },
        Type::BigInteger => SqlType::Bigint,
        Type::Integer => SqlType::Integer,
        Type::Float => SqlType::Double,
        Type::Boolean => SqlType::Boolean,
        Type::Time => SqlType::Time,
        Type::Uuid | Type::Text | Type::Json if short_texts => SqlType::Varchar(NAME_LENGTH),
        Type::Uuid | Type::Text | Type::Json => match dialect {
            Dialect::Postgres => SqlType::Text,
            // What Redshift calls TEXT has 256 bytes.
            Dialect::Redshift => SqlType::Varchar(REDSHIFT_LENGTH),
        },
    }
}

fn quoted(name: impl AsRef<str>) -> String {
    format!("\"{}\"", name.as_ref().replace('"', "\"\""))
}

/// A text as a value within SQL, in the form that means the same to every server and setting.
pub(super) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_the_documentation() {
        let postgres = |name: &str, kind| sql_type(Dialect::Postgres, false, false, name, kind).sql();
        for (name, kind, wanted) in [
            ("a", Type::Text, "TEXT"),
            ("set", Type::Text, "JSONB"),
            ("a", Type::Json, "JSONB"),
            ("a", Type::Uuid, "TEXT"),
            ("a", Type::BigInteger, "BIGINT"),
            ("a", Type::Integer, "INTEGER"),
            ("a", Type::Float, "DOUBLE PRECISION"),
            ("a", Type::Boolean, "BOOLEAN"),
            ("a", Type::Time, "TIMESTAMP WITH TIME ZONE"),
        ] {
            assert_eq!(postgres(name, kind), wanted, "{name} {kind:?}");
        }
        let redshift = |supers, name: &str, kind| sql_type(Dialect::Redshift, true, supers, name, kind).sql();
        assert_eq!(redshift(true, "properties", Type::Json), "SUPER");
        assert_eq!(redshift(false, "properties", Type::Json), "VARCHAR(65535)");
        assert_eq!(redshift(true, "elements", Type::Json), "VARCHAR(65535)");
        assert_eq!(redshift(true, "event", Type::Text), "VARCHAR(200)");
    }

    #[test]
    fn nothing_gets_out_of_its_quotes() {
        assert_eq!(quoted("a\"; DROP TABLE b; --"), "\"a\"\"; DROP TABLE b; --\"");
        assert_eq!(literal(r"it's \' \"), r"E'it''s \\'' \\'");
    }
}
