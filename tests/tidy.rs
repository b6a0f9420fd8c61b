//! The order of the layers, the length of functions, and what must not be left lying about.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// What stands right below `src`, from the bottom to the top. A file names its own layer and those below it, and
/// nothing that stands beside it.
const LAYERS: &[&[&str]] = &[
    &["bytewise", "clock", "error", "metrics", "standard_output", "yielding_thread"],
    &["backoff", "dns", "outbound", "store", "vault"],
    &["config", "ids"],
    &[
        "backup_folder",
        "certificates",
        "health",
        "logging",
        "notices",
        "pool",
        "service_manager",
        "task_results",
        "turns",
    ],
    &["api"],
    &["auth"],
    &["test_server"],
    &["app"],
    &["resources"],
    &["backup"],
    &["console"],
    &["admin", "background", "routes"],
    &["control"],
    &["http"],
    &["forks", "client"],
    &["lib"],
    &["testing"],
    &["cli"],
    &["main"],
];

/// Files that name a layer above them, with the reason.
const CLIMBERS: &[(&str, &str, &str)] = &[];

const FUNCTION_LINES_MAX: usize = 70;
/// Tests hold tables of cases.
const TEST_LINES_MAX: usize = 100;

/// Libraries, and the layers that may name them.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("argon2::", &["auth"]),
    ("bincode::", &["store"]),
    ("cookie::", &["auth", "http"]),
    ("hyper::", &["http", "outbound"]),
    ("hyper_util::", &["http", "outbound"]),
    ("instant_acme::", &["background", "outbound"]),
    ("lettre::", &["background"]),
    ("matchit::", &["routes"]),
    ("maud::", &["console"]),
    ("qrcodegen::", &["console"]),
    ("redb::", &["store"]),
    ("rustls::", &["certificates", "health", "http", "outbound"]),
];

struct Source {
    /// Below the folder that was walked.
    path: PathBuf,
    text: String,
}

impl Source {
    /// The folder or file right below `src` that it belongs to.
    fn layer(&self) -> String {
        let first = self.path.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
        first.trim_end_matches(".rs").to_owned()
    }

    /// The path of its module in the crate.
    fn module(&self) -> Vec<String> {
        let names = self.path.with_extension("");
        let names = names.iter().map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| !["lib", "main", "mod"].contains(&name.as_str())).collect()
    }

    fn tokens(&self) -> TokenStream {
        self.text.parse().unwrap_or_else(|cause| panic!("{}: {cause}", self.path.display()))
    }

    fn is(&self, path: &str) -> bool {
        self.path == Path::new(path)
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                let path = path.strip_prefix(&root).expect("a path below the folder").to_owned();
                found.push(Source { path, text });
            }
        }
    }
    found
}

/// What the tokens name right below the root of the crate, be it from there or by way of `super`.
fn names(tokens: TokenStream, module: &[String]) -> Vec<Ident> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    let mut place = 0;
    while place < tokens.len() {
        match &tokens[place] {
            TokenTree::Group(group) => match inline_module(&tokens[..place]) {
                Some(name) => found.extend(names(group.stream(), &[module, &[name]].concat())),
                None => found.extend(names(group.stream(), module)),
            },
            TokenTree::Ident(_) if begins_path(&tokens, place) => {
                path(&tokens[place..], None, module, &mut found);
            }
            _ => {}
        }
        place += 1;
    }
    found
}

/// The name of the module whose body follows these tokens.
fn inline_module(before: &[TokenTree]) -> Option<String> {
    match before {
        [.., TokenTree::Ident(word), TokenTree::Ident(name)] if word == "mod" => Some(name.to_string()),
        _ => None,
    }
}

fn begins_path(tokens: &[TokenTree], place: usize) -> bool {
    is_separator(&tokens[place + 1..]) && (place < 2 || !is_separator(&tokens[place - 2..]))
}

fn is_separator(tokens: &[TokenTree]) -> bool {
    let is_colon = |token: &TokenTree| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ':');
    tokens.len() >= 2 && tokens[..2].iter().all(is_colon)
}

/// Follows a path, or a tree of them below `base`, until it names something.
fn path(tokens: &[TokenTree], base: Option<&[String]>, module: &[String], found: &mut Vec<Ident>) {
    let (word, rest) = match tokens {
        [TokenTree::Ident(word), rest @ ..] => (word, rest),
        [TokenTree::Group(group), ..] if group.delimiter() == Delimiter::Brace => {
            let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
            let is_comma =
                |token: &TokenTree| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ',');
            return tokens.split(is_comma).for_each(|one| path(one, base, module, found));
        }
        _ => return,
    };
    let here = base.unwrap_or(module);
    let next = match (word.to_string().as_str(), base) {
        ("crate", None) => &[],
        ("super", _) => &here[..here.len().saturating_sub(1)],
        ("self", _) => here,
        (_, Some([])) => return found.push(word.clone()),
        _ => return,
    };
    if is_separator(rest) {
        path(&rest[2..], Some(next), module, found);
    }
}

#[test]
fn layers_name_only_what_stands_below_them() {
    let height = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    for source in sources("src") {
        let (shown, layer) = (source.path.display(), source.layer());
        let own = height(&layer).unwrap_or_else(|| panic!("src/{layer} has no place in LAYERS"));
        for name in names(source.tokens(), &source.module()) {
            let used = name.to_string();
            let Some(other) = height(&used) else { continue };
            let is_known = CLIMBERS.iter().any(|(path, above, _)| source.is(path) && *above == used);
            let line = name.span().start().line;
            assert!(
                used == layer || other < own || is_known,
                "src/{shown}:{line} may not name crate::{used}"
            );
        }
    }
}

#[test]
fn every_way_to_name_a_layer_is_seen() {
    let module = ["store".to_owned(), "tx".to_owned()];
    for (text, expected) in [
        ("use crate::app::App;", &["app"][..]),
        ("use crate::{app::{App, Route}, error};", &["app", "error"]),
        ("use super::super::http;", &["http"]),
        ("use super::{super::{http, app::App}, table};", &["http", "app"]),
        ("use super::table; use self::inner; fn f() { super::table::g() }", &[]),
        ("mod tests { use super::super::super::http::x; use super::super::table; }", &["http"]),
        ("macro_rules! m { () => { println!(\"{}\", crate::app::x()) } }", &["app"]),
        ("/// crate::app\n fn f() -> Vec<crate::api::Call> { \"crate::http\"; std::crate_::x() }", &["api"]),
        ("fn f(call: crate::api::Call, app: &super::super::App) -> A::B { }", &["api", "App"]),
        ("pub(in super::super) const A: u8 = other::api::A;", &[]),
    ] {
        let tokens = text.parse().expect("tokens");
        let found: Vec<String> = names(tokens, &module).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{text}");
    }
}

struct Function {
    name: String,
    lines: usize,
    is_test: bool,
}

/// All functions with a body, those within others included.
fn functions(tokens: TokenStream) -> Vec<Function> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        match (token, tokens.get(place + 1)) {
            (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if word == "fn" => {
                let end = tokens[place..].iter().find_map(|token| match token {
                    TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                        Some(Some(group.span_close().end().line))
                    }
                    TokenTree::Punct(sign) if sign.as_char() == ';' => Some(None),
                    _ => None,
                });
                let start = word.span().start().line;
                let is_test = is_test(&tokens[..place]);
                let lines = end.flatten().map(|end| end + 1 - start);
                found.extend(lines.map(|lines| Function { name: name.to_string(), lines, is_test }));
            }
            (TokenTree::Group(group), _) => found.extend(functions(group.stream())),
            _ => {}
        }
    }
    found
}

/// Whether the attribute that ends here is `#[test]`.
fn is_test(before: &[TokenTree]) -> bool {
    let Some(TokenTree::Group(group)) = before.last() else { return false };
    group.delimiter() == Delimiter::Bracket && group.stream().to_string() == "test"
}

#[test]
fn functions_fit_on_a_page() {
    let mut found = Vec::new();
    for source in sources("src") {
        for Function { name, lines, is_test } in functions(source.tokens()) {
            let lines_max = if is_test { TEST_LINES_MAX } else { FUNCTION_LINES_MAX };
            if lines > lines_max {
                found.push(format!("src/{}: {name} has {lines} lines", source.path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn each_library_is_named_where_it_belongs() {
    for source in sources("src") {
        let layer = source.layer();
        for (library, homes) in LIBRARIES {
            let names = |line: &&str| line.contains(library) && !line.trim_start().starts_with("//");
            assert!(
                homes.contains(&layer.as_str()) || !source.text.lines().any(|line| names(&line)),
                "src/{} names {library}",
                source.path.display()
            );
        }
    }
}

/// Whether an `else` stands in markup without its `@`, where it would become an element.
fn has_bare_else(tokens: TokenStream) -> bool {
    let is = |token: Option<&TokenTree>, sign: char| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign);
    let mut before = None;
    // From `@let` to its semicolon all is Rust, and so is what stands in parentheses and brackets.
    let mut is_rust = false;
    for token in tokens {
        match &token {
            TokenTree::Ident(word) if word == "let" && is(before.as_ref(), '@') => is_rust = true,
            TokenTree::Ident(word) if word == "else" && !is_rust && !is(before.as_ref(), '@') => return true,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && !is_rust => {
                if has_bare_else(group.stream()) {
                    return true;
                }
            }
            _ => is_rust &= !is(Some(&token), ';'),
        }
        before = Some(token);
    }
    false
}

/// The content of every `html!`.
fn markups(tokens: TokenStream) -> Vec<TokenStream> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        let is_markup = place >= 2 && matches!(&tokens[place - 2], TokenTree::Ident(name) if name == "html");
        if is_markup {
            found.push(group.stream());
        }
        found.extend(markups(group.stream()));
    }
    found
}

/// `else` without `@` is an element with this name, and what is meant to be escaped stays so.
#[test]
fn markup_holds_no_keyword_and_no_text_that_is_not_escaped() {
    for source in sources("src/console") {
        let shown = source.path.display();
        assert!(
            !markups(source.tokens()).into_iter().any(has_bare_else),
            "src/console/{shown} has a bare else"
        );
        let may = ["parts.rs", "chart.rs", "qr.rs"].iter().any(|name| source.is(name));
        assert!(may || !source.text.contains("PreEscaped"), "src/console/{shown} names PreEscaped");
    }
    for (text, is_bare) in [
        ("html! { @if a { b } @else { c } }", false),
        ("html! { p { @if a { b } else { c } } }", true),
        ("html! { @if let Some(a) = b { @if a { b } else { c } } }", true),
        ("html! { @let a = if b { c } else { d }; p { (a) } }", false),
        ("html! { p { (if a { b } else { c }) } }", false),
        ("html! { (f(html! { @if a { b } else { c } })) }", true),
    ] {
        let found = markups(text.parse().expect("tokens")).into_iter().any(has_bare_else);
        assert_eq!(found, is_bare, "{text}");
    }
}

/// `finish` notices a field that the handler forgot, and `only` calls it; `leave_rest` leaves that to a command.
#[test]
fn whoever_reads_a_form_finishes_it() {
    for source in sources("src/resources") {
        let reads = source.text.contains(".form(");
        let finishes = [".finish()", ".only(", ".leave_rest()"].iter().any(|call| source.text.contains(call));
        assert!(!reads || finishes, "src/resources/{} finishes no form", source.path.display());
    }
}

#[test]
fn nothing_is_left_lying_about() {
    let words = [
        concat!("dbg", "!("),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("#[ign", "ore]"),
        concat!("thread::", "sleep(Duration::from_secs"),
    ];
    for source in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        for word in words {
            assert!(!source.text.contains(word), "{} holds {word}", source.path.display());
        }
        assert!(source.text.starts_with("//!"), "{} has no module comment", source.path.display());
    }
}
