//! What a plugin's code can do, as far as its text tells: the names that it defines, found by a purely
//! lexical scan. The code is never run. The scan reads the text once and keeps nothing of it but the
//! names, for the text may be made to hurt.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::CharIndices;

use serde_json::{Value, json};

use super::package::FILE_BYTES_MAX;
use crate::store::Json;

const METHODS: &[&str] = &[
    "setupPlugin",
    "teardownPlugin",
    "getSettings",
    "processEvent",
    "onEvent",
    "composeWebhook",
    "exportEvents",
    "onAction",
    "onSnapshot",
    "handleAlert",
];
const SCHEDULED_TASKS: &[&str] = &["runEveryMinute", "runEveryHour", "runEveryDay"];
const JOBS: &str = "jobs";
/// Names of jobs that are kept.
const JOBS_MAX: usize = 1000;

/// Scans the new code, unless a client set the capabilities: what equals the old code's scan was
/// set by a scan. Without code they stay.
pub(super) fn renew(capabilities: &mut Json, old_code: Option<&str>, new_code: Option<&str>) {
    let Some(new_code) = new_code.filter(|code| code.len() <= FILE_BYTES_MAX) else { return };
    let current = capabilities.value();
    if current == json!({}) || old_code.is_some_and(|code| current == scan(code)) {
        *capabilities = Json::of(&scan(new_code));
    }
}

/// The capabilities of the code.
pub(super) fn scan(code: &str) -> Value {
    let mut scan = Scan::default();
    for token in Tokens::of(code) {
        scan.step(token);
    }
    let known = |names: &[&'static str]| -> Vec<&'static str> {
        names.iter().copied().filter(|name| scan.defined.contains(name)).collect()
    };
    json!({"methods": known(METHODS), "jobs": scan.job_names, "scheduled_tasks": known(SCHEDULED_TASKS)})
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    /// An identifier or keyword.
    Word(&'a str),
    /// A string's content, escapes and all.
    Text(&'a str),
    Sign(char),
}

/// Stands for `=>`, which ends no type and assigns nothing.
const ARROW: char = '\u{21d2}';
/// Stands for a comparison, which assigns nothing.
const EQUALITY: char = '\u{2261}';

/// What the scan knows after each token.
#[derive(Default)]
struct Scan<'a> {
    defined: BTreeSet<&'static str>,
    job_names: BTreeSet<&'a str>,
    /// The last three tokens, the newest at the end.
    before: [Option<Token<'a>>; 3],
    /// A declared name whose type is being passed over, and how deep in brackets.
    typed: Option<(&'a str, i32)>,
    /// The object that is exported as a whole, while inside of it.
    exports: Option<Object<'a>>,
    /// The object that holds the jobs, while inside of it.
    jobs: Option<Object<'a>>,
    /// What an object would be that began with the next token.
    expected: Option<Role>,
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Exports,
    Jobs,
}

impl<'a> Scan<'a> {
    fn step(&mut self, token: Token<'a>) {
        use Token::{Sign, Word};
        let expected = self.expected.take();
        let key = self.exports.as_mut().and_then(|object| object.step(token));
        if let Some(key) = key {
            self.define(key);
        }
        if let Some(job) = self.jobs.as_mut().and_then(|object| object.step(token))
            && self.job_names.len() < JOBS_MAX
        {
            self.job_names.insert(job);
        }
        self.exports.take_if(|object| object.is_over());
        self.jobs.take_if(|object| object.is_over());
        match (expected, token) {
            (Some(Role::Exports), Sign('{')) => {
                self.exports = self.exports.take().or(Some(Object::default()))
            }
            (Some(Role::Jobs), Sign('{')) => self.jobs = self.jobs.take().or(Some(Object::default())),
            _ => {}
        }
        self.pass_type(token);
        match (self.before, token) {
            ([_, _, Some(Word("function"))] | [_, Some(Word("function")), Some(Sign('*'))], Word(name)) => {
                self.define(name);
            }
            ([_, Some(Word("const" | "let" | "var")), Some(Word(name))], Sign('='))
            | ([Some(Word("exports")), Some(Sign('.')), Some(Word(name))], Sign('=')) => self.assign(name),
            ([_, Some(Word("const" | "let" | "var")), Some(Word(name))], Sign(':')) => {
                self.typed = Some((name, 0))
            }
            ([_, _, Some(Word("exports"))], Sign('=')) => self.expected = Some(Role::Exports),
            // Jobs in the object of exports.
            ([_, _, Some(Word(JOBS) | Token::Text(JOBS))], Sign(':')) if self.exports.is_some() => {
                self.expected = Some(Role::Jobs);
            }
            _ => {}
        }
        self.before = [self.before[1], self.before[2], Some(token)];
    }

    /// Between a declared name and its `=` may stand a type.
    fn pass_type(&mut self, token: Token<'a>) {
        let Some((name, depth)) = &mut self.typed else { return };
        match token {
            Token::Sign('(' | '{' | '[' | '<') => *depth += 1,
            Token::Sign(')' | '}' | ']' | '>') => *depth -= 1,
            Token::Sign('=') if *depth <= 0 => {
                let name = *name;
                self.typed = None;
                self.assign(name);
            }
            Token::Sign(';') if *depth <= 0 => self.typed = None,
            _ => {}
        }
    }

    fn assign(&mut self, name: &str) {
        self.define(name);
        if name == JOBS {
            self.expected = Some(Role::Jobs);
        }
    }

    fn define(&mut self, name: &str) {
        self.defined.extend(METHODS.iter().chain(SCHEDULED_TASKS).find(|known| **known == name));
    }
}

/// An object's inside, from after its first brace on.
struct Object<'a> {
    depth: u32,
    is_key_next: bool,
    /// A word that is a key, unless another name follows: `async`, `get` or `set`.
    modifier: Option<&'a str>,
}

impl Default for Object<'_> {
    fn default() -> Self {
        Object { depth: 1, is_key_next: true, modifier: None }
    }
}

impl<'a> Object<'a> {
    /// The key that has been read with this token, if one has.
    fn step(&mut self, token: Token<'a>) -> Option<&'a str> {
        let modifier = self.modifier.take();
        match token {
            Token::Word(word @ ("async" | "get" | "set")) if self.is_key_next && modifier.is_none() => {
                self.modifier = Some(word);
                return None;
            }
            Token::Word(name) | Token::Text(name) if self.is_key_next => {
                self.is_key_next = false;
                return Some(name);
            }
            Token::Sign('*') => return None,
            Token::Sign('{' | '(' | '[') => {
                self.depth += 1;
                self.is_key_next = false;
            }
            Token::Sign('}' | ')' | ']') => self.depth = self.depth.saturating_sub(1),
            Token::Sign(',') if self.depth == 1 => self.is_key_next = true,
            _ => self.is_key_next = false,
        }
        modifier
    }

    fn is_over(&self) -> bool {
        self.depth == 0
    }
}

/// The code without comments, blanks and templates.
struct Tokens<'a> {
    code: &'a str,
    chars: Peekable<CharIndices<'a>>,
    last: Option<Token<'a>>,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.read()?;
        self.last = Some(token);
        Some(token)
    }
}

impl<'a> Tokens<'a> {
    fn of(code: &'a str) -> Tokens<'a> {
        Tokens { code, chars: code.char_indices().peekable(), last: None }
    }

    fn read(&mut self) -> Option<Token<'a>> {
        loop {
            let (start, first) = self.chars.next()?;
            match first {
                '/' if self.follows('/') => self.skip_line(),
                '/' if self.follows('*') => self.skip_comment(),
                '/' if self.may_begin_regex() => self.skip_regex(),
                '\'' | '"' => return Some(Token::Text(self.quoted(first))),
                '`' => self.skip_template(),
                '=' if self.follows('>') => {
                    self.chars.next();
                    return Some(Token::Sign(ARROW));
                }
                '=' if self.follows('=') => {
                    while self.chars.next_if(|(_, next)| *next == '=').is_some() {}
                    return Some(Token::Sign(EQUALITY));
                }
                _ if is_of_word(first) => {
                    while self.chars.next_if(|(_, next)| is_of_word(*next)).is_some() {}
                    return Some(Token::Word(&self.code[start..self.place()]));
                }
                _ if first.is_whitespace() => {}
                sign => return Some(Token::Sign(sign)),
            }
        }
    }

    fn follows(&mut self, wanted: char) -> bool {
        self.chars.peek().is_some_and(|(_, next)| *next == wanted)
    }

    /// Where the next character begins.
    fn place(&mut self) -> usize {
        self.chars.peek().map_or(self.code.len(), |(place, _)| *place)
    }

    fn skip_line(&mut self) {
        while self.chars.next_if(|(_, next)| *next != '\n').is_some() {}
    }

    fn skip_comment(&mut self) {
        self.chars.next();
        let mut last = ' ';
        for (_, next) in self.chars.by_ref() {
            if last == '*' && next == '/' {
                return;
            }
            last = next;
        }
    }

    /// Behind a value a slash divides; elsewhere it begins a regular expression.
    fn may_begin_regex(&self) -> bool {
        match self.last {
            None => true,
            Some(Token::Text(_)) => false,
            Some(Token::Sign(sign)) => !matches!(sign, ')' | ']' | '}'),
            Some(Token::Word(word)) => {
                matches!(word, "return" | "typeof" | "case" | "in" | "of" | "delete" | "void")
            }
        }
    }

    fn skip_regex(&mut self) {
        let mut in_class = false;
        while let Some((_, next)) = self.chars.next_if(|(_, next)| *next != '\n') {
            match next {
                '\\' => drop(self.chars.next()),
                '[' => in_class = true,
                ']' => in_class = false,
                '/' if !in_class => return,
                _ => {}
            }
        }
    }

    fn quoted(&mut self, quote: char) -> &'a str {
        let start = self.place();
        while let Some((place, next)) = self.chars.next_if(|(_, next)| *next != '\n') {
            match next {
                '\\' => drop(self.chars.next()),
                _ if next == quote => return &self.code[start..place],
                _ => {}
            }
        }
        &self.code[start..self.place()]
    }

    /// With all that is computed in it.
    fn skip_template(&mut self) {
        while let Some((_, next)) = self.chars.next() {
            match next {
                '\\' => drop(self.chars.next()),
                '`' => return,
                _ => {}
            }
        }
    }
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(code: &str) -> String {
        let can = scan(code);
        let names = |key: &str| {
            let list = can[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
            list.collect::<Vec<String>>().join(",")
        };
        format!("{} {} {}", names("methods"), names("jobs"), names("scheduled_tasks"))
    }

    #[test]
    fn names_are_found_however_they_are_defined() {
        for (code, wanted) in [
            ("", "  "),
            ("export async function processEvent(event) { return event }", "processEvent  "),
            ("function onEvent() {}", "onEvent  "),
            ("const setupPlugin = async () => {}", "setupPlugin  "),
            ("export const onEvent: Plugin<{a: string}>['onEvent'] = (e) => e", "onEvent  "),
            ("let f: (a: X) => void; var composeWebhook = f", "composeWebhook  "),
            ("exports.processEvent = f; module.exports.runEveryDay = g", "processEvent  runEveryDay"),
            (
                "module.exports = { processEvent, 'onEvent': f, async runEveryHour() {}, other }",
                "processEvent,onEvent  runEveryHour",
            ),
            (
                "export const jobs = { first: async (a) => { second: 1 }, 'third': f, fourth }",
                " first,fourth,third ",
            ),
            ("export const jobs: Jobs = { a(x, y) { return {b: 1} }, async c() {} }", " a,c "),
            ("module.exports = { jobs: { one: f }, onEvent }", "onEvent one "),
            ("function* handleAlert() {}", "handleAlert  "),
            (
                "module.exports = { jobs: { async, get, set: f }, ...rest, async onEvent() {}, get: 1, get processEvent() {} }",
                "processEvent,onEvent async,get,set ",
            ),
            ("const jobs = { 'a\\'b': f }", " a\\'b "),
            ("const jobs = f({ a })", "  "),
            ("let jobs; jobs = { a }", "  "),
            ("class A { processEvent() {} }", "  "),
            ("processEvent(); if (onEvent == 1) {}; a.processEvent = 1", "  "),
        ] {
            assert_eq!(found(code), wanted, "{code}");
        }
    }

    #[test]
    fn comments_and_texts_define_nothing() {
        for code in [
            "// function processEvent() {}",
            "/* function processEvent() {} * / */",
            "const a = 'function processEvent() {}'",
            "const a = \"it's function processEvent() {}\"",
            "const a = `\nfunction processEvent() {} ${function onEvent() {}}`",
            "const a = /function processEvent() {}['\"/]/",
            "const a = '\\' function processEvent() {}'",
            "/* function processEvent() {}",
        ] {
            assert_eq!(found(code), "  ", "{code}");
        }
        assert_eq!(found("const a = b / c; function processEvent() {} // d / e"), "processEvent  ");
        assert_eq!(found("const a = 'it'; /* ' */ function onEvent() {}"), "onEvent  ");
    }

    #[test]
    fn code_that_is_made_to_hurt_is_scanned_in_one_go() {
        for part in [
            "exports={",
            "const a:",
            "jobs:{",
            "const jobs={a,",
            "async ",
            "((",
            "/",
            "'",
            "`",
            "function ",
            "<",
        ] {
            scan(&part.repeat(200_000 / part.len()));
        }
        let many: String = (0..2 * JOBS_MAX).map(|number| format!("j{number},")).collect();
        let found = scan(&format!("const jobs = {{{many}}}"));
        assert_eq!(found["jobs"].as_array().map(Vec::len), Some(JOBS_MAX));
    }

    #[test]
    fn what_a_client_set_stays() {
        let own = json!({"methods": ["onEvent"]});
        let renewed = |capabilities: &Value, old: Option<&str>, new: Option<&str>| {
            let mut json = Json::of(capabilities);
            renew(&mut json, old, new);
            json.value()
        };
        let (old, new) = ("function onEvent() {}", "function processEvent() {}");
        assert_eq!(renewed(&own, Some(old), Some(new)), own);
        assert_eq!(renewed(&scan(old), Some(old), Some(new)), scan(new));
        assert_eq!(renewed(&json!({}), None, Some(new)), scan(new));
        assert_eq!(renewed(&scan(old), Some(old), None), scan(old));
    }
}
