//! A plan as text, for people.

use std::fmt::Write;

use serde_json::Value;

use super::plan::{Action, Change, FieldChange, Plan};

/// Where fields begin, in letters.
const COLUMN: usize = 32;
/// Longer values are shortened.
const VALUE_CHARS_MAX: usize = 60;

/// The plan for a target, which is named at the front.
pub fn text(plan: &Plan, target: &str) -> String {
    let mut out = String::new();
    let mut organizations: Vec<&str> = Vec::new();
    let changes = plan.changes.iter().map(|change| change.organization.as_str());
    for name in changes.chain(plan.blocked.iter().map(|blocked| blocked.organization.as_str())) {
        if !organizations.contains(&name) {
            organizations.push(name);
        }
    }
    for name in organizations {
        let shown = if name.is_empty() { "people" } else { name };
        let _ = writeln!(out, "{} at {target}", plain(shown));
        for change in plan.changes.iter().filter(|change| change.organization == name) {
            line(&mut out, change);
        }
        for blocked in plan.blocked.iter().filter(|blocked| blocked.organization == name) {
            let front = format!("  ! {} {}", blocked.kind, plain(&blocked.name));
            let _ = writeln!(out, "{front:COLUMN$}  {}", plain(&blocked.reason));
        }
    }
    for note in &plan.notes {
        let _ = writeln!(out, "Note: {}", plain(note));
    }
    kept(&mut out, plan);
    let sum = plan.summary;
    if plan.is_empty() {
        out.push_str("Nothing to do.\n");
    } else {
        let _ = write!(out, "Plan: {} to add, {} to change, {} to remove", sum.add, sum.change, sum.remove);
        let blocked = if sum.blocked > 0 { format!(", {} blocked", sum.blocked) } else { String::new() };
        let _ = writeln!(out, "{blocked}");
    }
    out
}

fn kept(out: &mut String, plan: &Plan) {
    let count = |(kind, count): (&String, &Value)| {
        let number = count.as_u64().unwrap_or(0);
        let kind = if number == 1 { one(kind) } else { kind.as_str() };
        format!("{number} {kind}")
    };
    if plan.not_in_file.is_empty() {
        return;
    }
    let all: Vec<String> = plan.not_in_file.iter().map(count).collect();
    let _ = write!(out, "Not in the file, kept: {}", all.join(", "));
    let pruned: Vec<String> =
        plan.prunable.iter().map(|(kind, count)| format!("--prune={kind} would remove {count}")).collect();
    let pruned = if pruned.is_empty() { String::new() } else { format!(" ({})", pruned.join(", ")) };
    let _ = writeln!(out, "{pruned}");
}

fn one(kind: &str) -> &str {
    match kind {
        "proxies" => "proxy",
        other => other.strip_suffix('s').unwrap_or(other),
    }
}

fn line(out: &mut String, change: &Change) {
    let sign = match change.action {
        Action::Add => '+',
        Action::Update => '~',
        Action::Remove => '-',
    };
    let front = format!("  {sign} {}", label(change));
    let mut fields = change.fields.iter().filter(|field| field.path != "role");
    let Some(first) = fields.next() else {
        let _ = writeln!(out, "{front}");
        return;
    };
    let _ = writeln!(out, "{front:COLUMN$}  {}", field(first));
    for other in fields {
        let _ = writeln!(out, "{:COLUMN$}  {}", "", field(other));
    }
}

/// What the change is about, as people call it.
fn label(change: &Change) -> String {
    let name = plain(&change.name);
    let of_project =
        change.project.as_ref().map(|project| format!(" to \"{}\"", plain(project))).unwrap_or_default();
    match change.kind.as_str() {
        "access" => format!("access of {name}{of_project}"),
        "invite" => format!("invite of {name}"),
        "role member" => {
            let role = change.fields.iter().find(|field| field.path == "role");
            let role = role.and_then(|field| field.to.as_ref()).and_then(Value::as_str).unwrap_or_default();
            format!("{name} in role \"{}\"", plain(role))
        }
        "organization" | "role" => format!("{} \"{name}\"", change.kind),
        "project" => {
            let id = change.id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
            format!("project \"{name}\"{id}")
        }
        "export" => {
            let project = change.project.as_deref().map(plain).unwrap_or_default();
            format!("export \"{name}\" of \"{project}\"")
        }
        kind => format!("{kind} {name}"),
    }
}

fn field(field: &FieldChange) -> String {
    let path = plain(&field.path);
    if field.is_secret {
        return format!("{path}: (secret)");
    }
    match (&field.from, &field.to) {
        (Some(from), Some(to)) => format!("{path}: {} -> {}", short(from), short(to)),
        (None, Some(to)) => format!("{path}: {}", bare(to)),
        (Some(from), None) => format!("{path}: {} -> (none)", short(from)),
        (None, None) => path,
    }
}

/// Of something new, texts and lists of them stand as they are.
fn bare(value: &Value) -> String {
    match value {
        Value::String(text) => cut(&plain(text)),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            cut(&plain(&texts.join(", ")))
        }
        other => short(other),
    }
}

fn short(value: &Value) -> String {
    cut(&plain(&value.to_string()))
}

fn cut(text: &str) -> String {
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text.to_owned();
    }
    let front: String = text.chars().take(VALUE_CHARS_MAX - 1).collect();
    format!("{front}…")
}

/// Nothing that a name holds moves the cursor of a terminal.
fn plain(text: &str) -> String {
    let is_hidden = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|letter| if is_hidden(letter) { '\u{fffd}' } else { letter }).collect()
}
