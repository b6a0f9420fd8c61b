//! YAML 1.2 and JSON as a tree that knows where everything stands, within limits of its own: the text may come from
//! anybody.
//!
//! The parser is a crate and gives events; types of plain words, aliases, and the limits are decided here.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

use super::fault::{Fault, Position};

/// Longest file, in bytes; what aliases stand for counts as well.
pub(super) const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most values in it, those that aliases stand for included.
pub(super) const NODES_MAX: usize = 50_000;
/// How deep lists and objects may lie in each other.
pub(super) const DEPTH_MAX: usize = 32;
/// Most aliases.
pub(super) const ALIASES_MAX: usize = 1_000;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    pub tree: Tree,
    pub at: Position,
}

#[derive(Clone, Debug)]
pub enum Tree {
    /// Null, a truth value, a number or a text.
    Plain(Value),
    List(Vec<Node>),
    Object(Vec<(Name, Node)>),
}

/// The name of a value in an object.
#[derive(Clone, Debug)]
pub struct Name {
    pub text: String,
    pub at: Position,
}

impl Node {
    /// The same without places.
    pub fn value(&self) -> Value {
        match &self.tree {
            Tree::Plain(value) => value.clone(),
            Tree::List(items) => Value::Array(items.iter().map(Node::value).collect()),
            Tree::Object(pairs) => {
                let pairs = pairs.iter().map(|(name, node)| (name.text.clone(), node.value()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// A tree of a value that was read by somebody else. Nothing in it has a place.
    pub fn of(value: &Value) -> Node {
        let tree = match value {
            Value::Array(items) => Tree::List(items.iter().map(Node::of).collect()),
            Value::Object(pairs) => Tree::Object(
                pairs
                    .iter()
                    .map(|(name, value)| {
                        (Name { text: name.clone(), at: Position::NOWHERE }, Node::of(value))
                    })
                    .collect(),
            ),
            plain => Tree::Plain(plain.clone()),
        };
        Node { tree, at: Position::NOWHERE }
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&Node> {
        match &self.tree {
            Tree::Object(pairs) => pairs.iter().find(|(known, _)| known.text == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        match &self.tree {
            Tree::List(items) => items,
            _ => &[],
        }
    }

    /// The pairs of an object; none of anything else.
    pub fn pairs(&self) -> &[(Name, Node)] {
        match &self.tree {
            Tree::Object(pairs) => pairs,
            _ => &[],
        }
    }

    /// How many values it is made of, and how many bytes their texts and names take.
    fn size(&self) -> (usize, usize) {
        let sum = |(nodes, bytes): (usize, usize), (more_nodes, more_bytes): (usize, usize)| {
            (nodes + more_nodes, bytes + more_bytes)
        };
        match &self.tree {
            Tree::Plain(Value::String(text)) => (1, text.len()),
            Tree::Plain(_) => (1, 8),
            Tree::List(items) => items.iter().map(Node::size).fold((1, 0), sum),
            Tree::Object(pairs) => {
                pairs.iter().map(|(name, node)| sum((1, name.text.len()), node.size())).fold((1, 0), sum)
            }
        }
    }

    fn depth(&self) -> usize {
        let below = match &self.tree {
            Tree::Plain(_) => return 0,
            Tree::List(items) => items.iter().map(Node::depth).max(),
            Tree::Object(pairs) => pairs.iter().map(|(_, node)| node.depth()).max(),
        };
        1 + below.unwrap_or(0)
    }
}

/// Reads one file; `file` is its place among several.
///
/// # Errors
/// The first thing that is wrong with it.
pub(super) fn read(text: &str, file: u16) -> Result<Node, Fault> {
    let begin = Position { file, line: 1, column: 1 };
    if text.len() > BYTES_MAX {
        return Err(Fault::at(begin, format!("a file has {BYTES_MAX} bytes at most")));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let whole = if text.trim_start().starts_with('{') { whole_letters(text) } else { text.to_owned() };
    let mut loader = Loader::default();
    for event in Parser::new_from_str(&whole) {
        let (event, span) = event.map_err(|cause| {
            Fault::at(position(file, cause.marker()), format!("this cannot be read: {}", cause.info()))
        })?;
        loader.take(event, position(file, &span.start))?;
    }
    loader.root.ok_or_else(|| Fault::at(begin, "there is nothing in it".into()))
}

fn position(file: u16, marker: &Marker) -> Position {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position { file, line: number(marker.line()), column: number(marker.col() + 1) }
}

/// JSON may write a letter as two halves, which YAML does not know.
fn whole_letters(text: &str) -> String {
    let half = |at: &str| -> Option<u32> { u32::from_str_radix(at.strip_prefix("\\u")?.get(..4)?, 16).ok() };
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        whole.push_str(&rest[..place]);
        rest = &rest[place..];
        let (first, second) = (half(rest), rest.get(6..).and_then(half));
        if let (Some(first @ 0xd800..=0xdbff), Some(second @ 0xdc00..=0xdfff)) = (first, second) {
            let letter = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            whole.push_str(&format!("\\U{letter:08X}"));
            rest = &rest[12..];
        } else {
            // What follows the backslash may be one itself.
            let next = rest[1..].chars().next().map_or(0, char::len_utf8);
            whole.push_str(&rest[..1 + next]);
            rest = &rest[1 + next..];
        }
    }
    whole.push_str(rest);
    whole
}

/// A list or an object that is not read to its end.
struct Open {
    node: Node,
    anchor: usize,
    /// The name that waits for its value.
    name: Option<Name>,
    names: HashSet<String>,
}

#[derive(Default)]
struct Loader {
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    bytes: usize,
    aliases: usize,
    documents: usize,
}

impl Loader {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), Fault> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Fault::at(at, "a file holds one document".into()));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| tag.to_string());
                let value = scalar(&text, style, tag.as_deref()).map_err(|cause| Fault::at(at, cause))?;
                return self.put(Node { tree: Tree::Plain(value), at }, anchor);
            }
            Event::SequenceStart(anchor, tag) => {
                return self.begin(Tree::List(Vec::new()), at, anchor, tag.is_some());
            }
            Event::MappingStart(anchor, tag) => {
                return self.begin(Tree::Object(Vec::new()), at, anchor, tag.is_some());
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    // It was counted when it began.
                    return self.place(open.node, open.anchor);
                }
            }
            Event::Alias(anchor) => {
                self.aliases += 1;
                if self.aliases > ALIASES_MAX {
                    return Err(Fault::at(at, format!("a file has {ALIASES_MAX} aliases at most")));
                }
                let named = self.anchors.get(&anchor);
                let node =
                    named.ok_or_else(|| Fault::at(at, "an alias stands inside of what it means".into()))?;
                let (nodes, bytes) = node.size();
                if node.depth() + self.open.len() > DEPTH_MAX {
                    return Err(too_deep(at));
                }
                let node = node.clone();
                self.count(at, nodes, bytes)?;
                return self.place(node, 0);
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn count(&mut self, at: Position, nodes: usize, bytes: usize) -> Result<(), Fault> {
        self.nodes += nodes;
        self.bytes += bytes;
        if self.nodes > NODES_MAX {
            return Err(Fault::at(at, format!("a file has {NODES_MAX} values at most")));
        }
        if self.bytes > BYTES_MAX {
            return Err(Fault::at(at, format!("what aliases stand for has {BYTES_MAX} bytes at most")));
        }
        Ok(())
    }

    fn begin(&mut self, tree: Tree, at: Position, anchor: usize, has_tag: bool) -> Result<(), Fault> {
        if has_tag {
            return Err(Fault::at(at, "tags have no meaning here".into()));
        }
        self.count(at, 1, 0)?;
        if self.open.len() >= DEPTH_MAX {
            return Err(too_deep(at));
        }
        self.open.push(Open { node: Node { tree, at }, anchor, name: None, names: HashSet::new() });
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        let (nodes, bytes) = node.size();
        self.count(node.at, nodes, bytes)?;
        self.place(node, anchor)
    }

    /// Puts a whole value where it belongs.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.tree, open.name.take()) {
            (Tree::List(items), _) => items.push(node),
            (Tree::Object(pairs), Some(name)) => pairs.push((name, node)),
            (Tree::Object(_), None) => {
                let name = name_of(node)?;
                if !open.names.insert(name.text.clone()) {
                    return Err(Fault::at(name.at, format!("`{}` stands here twice", name.text)));
                }
                open.name = Some(name);
            }
            (Tree::Plain(_), _) => {}
        }
        Ok(())
    }
}

fn too_deep(at: Position) -> Fault {
    Fault::at(at, format!("lists and objects lie in each other {DEPTH_MAX} deep at most"))
}

/// Names are texts; numbers and truth words are taken as they are written.
fn name_of(node: Node) -> Result<Name, Fault> {
    let at = node.at;
    match node.tree {
        Tree::Plain(Value::String(text)) => Ok(Name { text, at }),
        Tree::Plain(other) => Ok(Name { text: other.to_string(), at }),
        _ => Err(Fault::at(at, "a name is a text".into())),
    }
}

/// What a scalar means by the core schema of YAML 1.2, where `no` and `on` are texts.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&str>) -> Result<Value, String> {
    const TEXT: &str = "tag:yaml.org,2002:!str";
    let is_text = style != ScalarStyle::Plain || tag == Some(TEXT) || tag == Some("!");
    if let Some(tag) = tag.filter(|tag| *tag != TEXT && *tag != "!") {
        return Err(format!("the tag {tag} has no meaning here"));
    }
    if is_text {
        return Ok(text.into());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(true.into()),
        "false" | "False" | "FALSE" => return Ok(false.into()),
        _ => {}
    }
    let bare = text.strip_prefix(['-', '+']).unwrap_or(text);
    if [".inf", ".Inf", ".INF"].contains(&bare) || [".nan", ".NaN", ".NAN"].contains(&text) {
        return Err(format!("{text} is no number that JSON knows"));
    }
    Ok(number(text).map_or_else(|| text.into(), Value::Number))
}

/// Whether a plain word of this form is a text, and nothing else.
pub(super) fn is_text(word: &str) -> bool {
    matches!(scalar(word, ScalarStyle::Plain, None), Ok(Value::String(_)))
}

fn number(text: &str) -> Option<Number> {
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(Number::from);
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let (sign, bare) = match text.strip_prefix('-') {
        Some(bare) => ("-", bare),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let begins = bare.strip_prefix('.').unwrap_or(bare).starts_with(|letter: char| letter.is_ascii_digit());
    let is_plain = |letter: char| letter.is_ascii_digit() || ".eE+-".contains(letter);
    if !begins || !bare.chars().all(is_plain) {
        return None;
    }
    let (mantissa, exponent) = match bare.find(['e', 'E']) {
        Some(place) => bare.split_at(place),
        None => (bare, ""),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = if fraction.is_empty() { String::new() } else { format!(".{fraction}") };
    serde_json::from_str(&format!("{sign}{whole}{fraction}{exponent}")).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Value {
        read(text, 0).map_or_else(|fault| fault.to_string().into(), |node| node.value())
    }

    #[test]
    fn words_mean_what_yaml_1_2_says() {
        let text = "[no, yes, on, True, ~, null, '', 007, -0, 0x1F, 0o17, 1e3, .5, 1., +2, 1.2.3, 2026-01-01, !!str 7, \"8\"]";
        let wanted =
            r#"["no","yes","on",true,null,null,"",7,-0,31,15,1e+3,0.5,1,2,"1.2.3","2026-01-01","7","8"]"#;
        assert_eq!(value(text).to_string(), wanted);
    }

    #[test]
    fn json_is_read_as_json() {
        let text = r#"{"a": "\ud83d\ude00 \\ud83d \u00e9 \/", "b": [1.50, true, null, {}], "c": "x\ny"}"#;
        assert_eq!(value(text), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(value(text).to_string(), serde_json::from_str::<Value>(text).unwrap().to_string());
    }

    #[test]
    fn places_are_those_of_the_text() {
        let node = read("a: 1\nb:\n  - c: x\n    d: y\n", 3).unwrap();
        let d = node.get("b").unwrap().items()[0].get("d").unwrap();
        assert_eq!(d.at, Position { file: 3, line: 4, column: 8 });
    }

    #[test]
    fn what_is_too_much_or_unclear_is_refused() {
        let nested = format!("{}{}", "[".repeat(DEPTH_MAX + 1), "]".repeat(DEPTH_MAX + 1));
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]";
        let long = format!("a: &a {}\nb: [{}]", "x".repeat(1024 * 1024), "*a,".repeat(9));
        let many = format!("a: &a 1\nb: [{}]", "*a,".repeat(ALIASES_MAX + 1));
        for (text, wanted) in [
            ("", "there is nothing in it"),
            ("a: 1\na: 2", "`a` stands here twice"),
            ("{\"a\": 1, \"a\": 2}", "`a` stands here twice"),
            ("a: 1\n---\nb: 2", "one document"),
            ("a: !thing 1", "has no meaning"),
            ("a: !!map {}", "no meaning"),
            ("? [a]\n: 1", "a name is a text"),
            ("a: .nan", "no number"),
            ("a: *b", "cannot be read"),
            ("a: &a [*a]", "stands inside"),
            ("a: [", "cannot be read"),
            (nested.as_str(), "deep at most"),
            (bomb, "values at most"),
            (long.as_str(), "bytes at most"),
            (many.as_str(), "aliases at most"),
        ] {
            let said = read(text, 0).map(|node| node.value()).unwrap_err().to_string();
            assert!(said.contains(wanted), "{:.60}: {said}", text);
        }
        let deepest = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        assert!(read(&deepest, 0).is_ok());
        assert_eq!(value("a: &a {b: 1}\nc: *a"), json!({"a": {"b": 1}, "c": {"b": 1}}));
    }
}
