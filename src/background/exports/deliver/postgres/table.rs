//! The table that is delivered to: its columns, and the statements that make and fill it. Identifiers are
//! always quoted.

use std::borrow::Cow;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use serde_json::Value;

use crate::background::exports::error::{AttemptError, Result};
use crate::background::exports::plan::Plan;
use crate::resources::batch_exports::Model;
use crate::resources::batch_exports::columns::Type;
use crate::resources::batch_exports::destination::Kind;

/// The SQL of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Redshift,
}

impl Dialect {
    pub(super) fn of(plan: &Plan) -> Dialect {
        if plan.kind == Kind::Redshift { Dialect::Redshift } else { Dialect::Postgres }
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

pub(super) struct TableColumn {
    name: String,
    pub(super) kind: SqlType,
    /// Which value of a record is put into it.
    pub(super) place: usize,
}

/// A column of the table as it is found.
pub(super) struct Found {
    pub(super) name: String,
    /// The database works its values out, and takes none.
    pub(super) is_generated: bool,
}

pub(super) struct TargetTable {
    pub(super) dialect: Dialect,
    schema: String,
    name: String,
    pub(super) columns: Vec<TableColumn>,
    /// Persons are put there first.
    stage: Option<String>,
}

impl TargetTable {
    pub(super) fn of(plan: &Plan, columns: &[(&str, Type)]) -> Result<TargetTable> {
        let holds_nul = |value: &Value| value.as_str().is_some_and(|text| text.contains('\0'));
        if let Some((name, _)) = plan.settings.all().iter().find(|(_, value)| holds_nul(value)) {
            return Err(AttemptError::Fatal(format!(
                "ValueError: '{name}' holds a character that no name can have"
            )));
        }
        let dialect = Dialect::of(plan);
        let chosen_by_query = plan.schema.is_some();
        let short_texts = plan.model == Model::Events && !chosen_by_query;
        let takes_super =
            plan.settings.text("properties_data_type").is_some_and(|name| name.eq_ignore_ascii_case("super"));
        let column = |(place, &(name, kind)): (usize, &(&str, Type))| TableColumn {
            name: name.to_owned(),
            kind: sql_type(dialect, short_texts, takes_super, name, kind),
            place,
        };
        let (schema, name) = plan.settings.schema_and_table();
        let end: String = plan.run.end.to_string().chars().take("2021-01-01T10:00:00".len()).collect();
        let stage = format!("stage_{name}_{}", end.replace('T', "_").replace(':', "-"));
        Ok(TargetTable {
            dialect,
            schema: schema.to_owned(),
            name: name.to_owned(),
            columns: columns.iter().enumerate().map(column).collect(),
            stage: (plan.model == Model::Persons).then_some(stage),
        })
    }

    fn target(&self) -> String {
        format!("{}.{}", escape_identifier(&self.schema), escape_identifier(&self.name))
    }

    /// The table that rows are put into.
    fn first(&self) -> String {
        self.stage.as_deref().map_or_else(|| self.target(), escape_identifier)
    }

    fn names(&self) -> String {
        self.columns.iter().map(|column| escape_identifier(&column.name)).collect::<Vec<_>>().join(", ")
    }

    /// Returns a row where the table exists.
    pub(super) fn find(&self) -> String {
        format!(
            "SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = {} AND c.relname = {}",
            escape_literal(&self.schema),
            escape_literal(&self.name)
        )
    }

    /// Returns the name of each column that the user may see, and whether it is generated.
    pub(super) fn find_columns(&self) -> String {
        let (schema, name) = (escape_literal(&self.schema), escape_literal(&self.name));
        match self.dialect {
            Dialect::Postgres => format!(
                "SELECT column_name, is_generated FROM information_schema.columns WHERE table_schema = {schema} AND table_name = {name}"
            ),
            Dialect::Redshift => format!(
                "SELECT a.attname, 'NEVER' FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = {schema} AND c.relname = {name} AND a.attnum > 0 AND NOT a.attisdropped"
            ),
        }
    }

    /// Keeps the columns that are in the table and take values; returns the names of the others.
    ///
    /// # Errors
    /// `Fatal` where no column is left, or persons lack one that distinguishes their rows.
    pub(super) fn keep_common(&mut self, found: &[Found]) -> Result<Vec<String>> {
        // Whoever may not see the columns hears from the server what they may not.
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let is_there = |name: &str| found.iter().any(|column| column.name == name && !column.is_generated);
        let (kept, others): (Vec<TableColumn>, Vec<TableColumn>) =
            std::mem::take(&mut self.columns).into_iter().partition(|column| is_there(&column.name));
        self.columns = kept;
        let names: Vec<String> = others.into_iter().map(|column| column.name).collect();
        if self.columns.is_empty() {
            return Err(self.lacks(&names));
        }
        let wanted = KEY.iter().chain(&VERSIONS).map(|name| (*name).to_owned());
        let lacking: Vec<String> = wanted.filter(|name| names.contains(name)).collect();
        if self.stage.is_some() && !lacking.is_empty() {
            return Err(self.lacks(&lacking));
        }
        Ok(names)
    }

    fn lacks(&self, names: &[String]) -> AttemptError {
        let (schema, name) = (&self.schema, &self.name);
        let names = names.join(", ");
        AttemptError::Fatal(format!(
            "UndefinedColumn: The table {schema}.{name} lacks columns that the export needs, or generates them: {names}"
        ))
    }

    pub(super) fn make(&self) -> String {
        let column =
            |column: &TableColumn| format!("{} {}", escape_identifier(&column.name), column.kind.sql());
        let mut parts: Vec<String> = self.columns.iter().map(column).collect();
        if self.stage.is_some() {
            parts.push(format!("PRIMARY KEY ({})", KEY.map(escape_identifier).join(", ")));
        }
        format!("CREATE TABLE IF NOT EXISTS {} ({})", self.target(), parts.join(", "))
    }

    /// The staging table has the types that the table really has.
    pub(super) fn make_stage(&self) -> Option<String> {
        let stage = escape_identifier(self.stage.as_ref()?);
        let (names, target) = (self.names(), self.target());
        Some(format!("CREATE TEMPORARY TABLE {stage} AS SELECT {names} FROM {target} WHERE 1 = 0"))
    }

    pub(super) fn copy(&self) -> String {
        format!("COPY {} ({}) FROM STDIN", self.first(), self.names())
    }

    /// The beginning of a statement; rows in brackets follow.
    pub(super) fn insert(&self) -> String {
        format!("INSERT INTO {} ({}) VALUES ", self.first(), self.names())
    }

    /// The statements that copy rows from the staging table into the table, where they are new or newer, and
    /// remove the staging table.
    pub(super) fn merge(&self) -> Vec<String> {
        let Some(stage) = self.stage.as_deref().map(escape_identifier) else { return Vec::new() };
        let (target, names) = (self.target(), self.names());
        let [key, versions] = [KEY.map(escape_identifier), VERSIONS.map(escape_identifier)];
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
                let others: Vec<String> = others.map(|column| escape_identifier(&column.name)).collect();
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
        assert_eq!(escape_identifier("a\"; DROP TABLE b; --"), "\"a\"\"; DROP TABLE b; --\"");
        assert_eq!(escape_literal(r"it's \' \"), r" E'it''s \\'' \\'");
    }
}
