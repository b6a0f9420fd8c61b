//! The audit log as one stream, for files and log collectors.

use std::sync::Arc;

use serde_json::Value;

use super::advanced::{Wire, view_again, wire};
use super::filter::Filter;
use super::walk::{span, walk};
use crate::api::Call;
use crate::api::reply::{Reply, Rest};
use crate::app::App;
use crate::clock::Ids;
use crate::error::Result;
use crate::store::Order;

/// Entries that are read for one piece of the stream.
const ENTRIES_AT_ONCE: usize = 64;

const COLUMNS: &[&str] = &[
    "id",
    "organization_id",
    "project_id",
    "user_first_name",
    "user_last_name",
    "user_email",
    "activity",
    "scope",
    "item_id",
    "detail",
    "client",
    "ip_address",
    "created_at",
];

/// The server, and the request that is answered piece by piece.
type Caller = (Arc<App>, Arc<Call>);

/// 200 with a table, whose first line has the names of the columns.
pub(super) fn csv((app, call): Caller, filter: Filter, order: Order) -> Reply {
    let head = format!("{}\r\n", COLUMNS.join(","));
    let reply = Reply::text(200, "text/csv; charset=utf-8", head);
    stream(reply, app, call, filter, order, csv_line)
}

/// 200 with one JSON object on each line, as the list has them.
pub(super) fn json_lines((app, call): Caller, filter: Filter, order: Order) -> Reply {
    let reply = Reply::text(200, "application/x-ndjson", "");
    stream(reply, app, call, filter, order, |entry| Ok(serde_json::to_string(entry)? + "\n"))
}

/// Reads piece by piece, each on a state of its own, and only for somebody who may still see it. What is written
/// meanwhile is in the stream where its order puts it behind what was sent.
fn stream(
    reply: Reply,
    app: Arc<App>,
    call: Arc<Call>,
    filter: Filter,
    order: Order,
    line: fn(&Wire) -> Result<String>,
) -> Reply {
    let (mut from, mut to) = span(&filter);
    let mut is_done = false;
    let rest = Rest::new(move || {
        if is_done {
            return Ok(None);
        }
        app.store.read(|tx| {
            let view = view_again(tx, &call)?;
            let walked = walk(tx, view, &filter, (from, to), order, ENTRIES_AT_ONCE)?;
            is_done = !walked.is_more;
            match (walked.last, order) {
                (Some(last), Order::Ascending) => from = Ids::after(last),
                (Some(last), Order::Descending) => to = last,
                (None, _) => is_done = true,
            }
            let mut piece = String::new();
            for (id, entry) in walked.entries {
                piece.push_str(&line(&wire(tx, view.organization, id, entry)?)?);
            }
            Ok(Some(piece.into_bytes()))
        })
    });
    let name = if reply.content_type.starts_with("text/csv") { "csv" } else { "jsonl" };
    reply.with("content-disposition", format!("attachment; filename=\"audit.{name}\"")).followed_by(rest)
}

fn csv_line(entry: &Wire) -> Result<String> {
    let entry = serde_json::to_value(entry)?;
    let values = COLUMNS.iter().map(|column| match *column {
        "project_id" => &entry["team_id"],
        "user_first_name" => &entry["user"]["first_name"],
        "user_last_name" => &entry["user"]["last_name"],
        "user_email" => &entry["user"]["email"],
        other => &entry[other],
    });
    let cells: Vec<String> = values.map(cell).collect();
    Ok(cells.join(",") + "\r\n")
}

/// A value in quotes. A text that a spreadsheet would take for a formula begins with an apostrophe.
pub fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if is_formula { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_ends_where_it_should() {
        let cases = [
            (json!(null), ""),
            (json!("a \"b\"\n,c"), "\"a \"\"b\"\"\n,c\""),
            (json!("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\""),
            (json!({"a": 1}), "\"{\"\"a\"\":1}\""),
        ];
        for (value, expected) in cases {
            assert_eq!(cell(&value), expected, "{value}");
        }
    }
}
