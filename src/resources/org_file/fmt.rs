//! The one form of a file: names in the order of the format, one way to write each value. Comments stay with what they
//! stand above or beside.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

use super::document::Fields;
use super::emit;
use super::fault::Fault;
use super::shape::{self, FILE, Holds, Object, RULES, settings};
use super::yaml::{self, Node, Tree};

/// The text in its form.
///
/// # Errors
/// What is wrong with the file.
pub fn formatted(text: &str) -> Result<String, Vec<Fault>> {
    let root = yaml::read(text, 0).map_err(|fault| vec![fault])?;
    let faults = shape::check(&root);
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut names = Vec::new();
    places(&root, &mut names);
    names.sort_unstable();
    let mut comments = Comments { at: HashMap::new(), rest: Vec::new() };
    for (line, comment) in comments_of(text) {
        match names.iter().find(|(known, _)| *known >= line) {
            Some(place) => comments.at.entry(*place).or_default().push(comment),
            None => comments.rest.push(comment),
        }
    }
    let mut value = canonical(&comments.put_in(&root), &FILE);
    if let Value::Object(all) = &mut value {
        for comment in comments.rest {
            all.insert(emit::comment(&comment), Value::Null);
        }
    }
    Ok(emit::yaml(&value))
}

struct Comments {
    /// Above the name at a line and a column.
    at: HashMap<(u32, u32), Vec<String>>,
    /// Below all.
    rest: Vec<String>,
}

impl Comments {
    /// The value with comments as names of its objects.
    fn put_in(&self, node: &Node) -> Value {
        match &node.tree {
            Tree::Plain(value) => value.clone(),
            Tree::List(items) => items.iter().map(|item| self.put_in(item)).collect(),
            Tree::Object(pairs) => {
                let mut all = Map::new();
                for (name, node) in pairs {
                    for comment in self.at.get(&(name.at.line, name.at.column)).into_iter().flatten() {
                        all.insert(emit::comment(comment), Value::Null);
                    }
                    all.insert(name.text.clone(), self.put_in(node));
                }
                Value::Object(all)
            }
        }
    }
}

/// Where the first name of each line stands.
fn places(node: &Node, names: &mut Vec<(u32, u32)>) {
    for (name, node) in node.pairs() {
        if !names.iter().any(|(line, _)| *line == name.at.line) {
            names.push((name.at.line, name.at.column));
        }
        places(node, names);
    }
    for item in node.items() {
        places(item, names);
    }
}

/// The comments of a text with their lines.
fn comments_of(text: &str) -> Vec<(u32, String)> {
    let mut scalars: HashMap<usize, Vec<(usize, usize)>> = HashMap::new();
    for (event, span) in Parser::new_from_str(text).flatten() {
        if !matches!(event, Event::Scalar(..)) {
            continue;
        }
        for line in span.start.line()..=span.end.line() {
            let begin = if line == span.start.line() { span.start.col() } else { 0 };
            let end = if line == span.end.line() { span.end.col() } else { usize::MAX };
            scalars.entry(line).or_default().push((begin, end));
        }
    }
    let mut found = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let inside = scalars.get(&line);
        let letters: Vec<char> = content.chars().collect();
        let begins = |place: &usize| {
            let is_apart = *place == 0 || letters[place - 1].is_whitespace();
            let is_inside =
                inside.is_some_and(|all| all.iter().any(|(begin, end)| begin <= place && place < end));
            letters[*place] == '#' && is_apart && !is_inside
        };
        if let Some(place) = (0..letters.len()).find(begins) {
            let text: String = letters[place + 1..].iter().collect();
            found.push((u32::try_from(line).unwrap_or(u32::MAX), text.trim().to_owned()));
        }
    }
    found
}

/// Names in their order; a comment stays above the name that it stood above.
pub(super) fn canonical(value: &Value, object: &'static Object) -> Value {
    let Value::Object(pairs) = value else { return value.clone() };
    ordered(
        pairs,
        |name| rank(name, object),
        |name, value| {
            let key = object.keys.iter().find(|key| key.name == name);
            key.map_or_else(|| value.clone(), |key| held(value, key.holds))
        },
    )
}

fn ordered(pairs: &Fields, rank: impl Fn(&str) -> usize, below: impl Fn(&str, &Value) -> Value) -> Value {
    let mut all: Vec<(usize, Vec<&String>, &String, Value)> = Vec::new();
    let mut comments = Vec::new();
    for (name, value) in pairs {
        if emit::is_comment(name) {
            comments.push(name);
        } else {
            all.push((rank(name), std::mem::take(&mut comments), name, below(name, value)));
        }
    }
    all.sort_by_key(|(rank, ..)| *rank);
    let mut result = Map::new();
    for (_, comments, name, value) in all {
        result.extend(comments.into_iter().map(|comment| (comment.clone(), Value::Null)));
        result.insert(name.clone(), value);
    }
    result.extend(comments.into_iter().map(|comment| (comment.clone(), Value::Null)));
    Value::Object(result)
}

fn held(value: &Value, holds: Holds) -> Value {
    match (holds, value) {
        (Holds::One(object), _) => canonical(value, object),
        (Holds::Many(object), Value::Array(items)) => {
            items.iter().map(|item| canonical(item, object)).collect()
        }
        (Holds::RulesByName, Value::Object(pairs)) => {
            pairs.iter().map(|(name, value)| (name.clone(), canonical(value, &RULES))).collect()
        }
        (Holds::Settings(fields, but), Value::Object(pairs)) => {
            let names: Vec<&str> = settings(fields, but).map(|field| field.name).collect();
            let rank = |name: &str| names.iter().position(|known| *known == name).unwrap_or(usize::MAX);
            ordered(pairs, rank, |_, value| value.clone())
        }
        _ => value.clone(),
    }
}

/// What names an entry comes first, then what it is, then what is in it.
fn rank(name: &str, object: &Object) -> usize {
    const FIRST: [&str; 9] = ["$schema", "orgd", "id", "slug", "email", "label", "name", "domain", "url"];
    const GROUP: usize = 1000;
    if let Some(place) = FIRST.iter().position(|known| *known == name) {
        return place;
    }
    let is_group = |holds: Holds| {
        matches!(
            holds,
            Holds::Settings(..) | Holds::One(_) | Holds::Many(_) | Holds::Texts | Holds::RulesByName
        )
    };
    let place = object.keys.iter().position(|key| key.name == name);
    match place.map(|place| (place, object.keys[place].holds)) {
        Some((place, holds)) if is_group(holds) => 3 * GROUP + place,
        Some((place, _)) => GROUP + place,
        None => 2 * GROUP + object.own_fields().position(|field| field.name == name).unwrap_or(GROUP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_comments_and_gets_one_form() {
        let text = "# front\norgd: 1\norganizations:\n# the first\n- name: 'Acme'\n  # its name\n  slug: acme # beside\n  members: [{level: owner, email: \"a#b@example.com\"}]\n# last\n";
        let wanted = "# front\norgd: 1\norganizations:\n  - slug: acme\n    # its name\n    # beside\n    # the first\n    name: Acme\n    members:\n      - email: \"a#b@example.com\"\n        level: owner\n# last\n";
        let once = formatted(text).unwrap();
        assert_eq!(once, wanted);
        assert_eq!(formatted(&once).unwrap(), once);
    }
}
