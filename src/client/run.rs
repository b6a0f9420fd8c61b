//! Carries a command of the table out.

use serde_json::{Map, Value};

use super::find::Places;
use super::nouns::{Column, Part};
use super::pages::PAGE;
use super::{Ask, Does, Failure, Given, Kind, Screen, Shows, Target, api, auth, body, confirm};
use crate::api::Method;
use crate::app::route::ResponseShape;
use crate::routes;

/// Does what was typed, and shows what comes of it.
///
/// # Errors
/// It was not done, or not shown.
pub async fn run(mut given: Given, screen: &Screen) -> Result<(), Failure> {
    let at = std::mem::take(&mut given.at);
    match given.verb.does {
        Does::Login => auth::login(&given, at, screen).await,
        Does::Logout => auth::logout(at, &given, screen),
        Does::Api => api::run(&given, &at.target()?, screen).await,
        Does::Request(method, path) => {
            let request = Request { given: &given, method, path };
            request.run(&at.target()?, screen).await
        }
    }
}

/// A command that is one request.
struct Request<'a> {
    given: &'a Given,
    method: Method,
    path: &'static str,
}

/// The parts of it that values have become.
#[derive(Default)]
struct Parts {
    query: Vec<(&'static str, String)>,
    body: Map<String, Value>,
    /// By which people know what it is about.
    name: String,
}

impl Request<'_> {
    async fn run(&self, target: &Target, screen: &Screen) -> Result<(), Failure> {
        // What was typed is judged before anything is sent.
        let further = self.given.further_fields()?;
        let input = self.given.input()?;
        self.given.check_values()?;
        let mut places = Places::of(target, self.given);
        let parts = self.parts(&mut places).await?;
        let path = places.fill(self.path).await?;
        confirm::confirm(self.given, &parts.name, screen)?;
        if let Shows::List(columns) = self.given.verb.shows {
            return self.list(target, &path, parts, columns, screen).await;
        }
        let mut body = match input {
            None => Map::new(),
            Some(Value::Object(input)) => input,
            Some(_) => return Err(Failure::usage("--input holds no JSON object")),
        };
        body.extend(further);
        body.extend(parts.body);
        let has_body = self.method != Method::Get && self.method != Method::Delete;
        let ask = Ask {
            method: self.method,
            target: with_query(&path, &parts.query),
            body: has_body.then_some(Value::Object(body)),
        };
        let answer = target.demand(ask).await?;
        self.show(answer.json, &parts.name, screen)
    }

    /// The values that were given, as parts of the request.
    async fn parts(&self, places: &mut Places<'_>) -> Result<Parts, Failure> {
        let mut parts = Parts::default();
        let verb = self.given.verb;
        for take in verb.takes {
            let Some(text) = self.given.value(take.name) else {
                if let (true, Kind::Object(named), Part::Path(name)) = (take.or_current, take.kind, take.part)
                {
                    let current = places.current(named).await?;
                    places.put(name, current);
                }
                continue;
            };
            let value = match take.kind {
                Kind::Object(named) => {
                    let needs_name = verb.asks.is_some() || matches!(verb.shows, Shows::Done(_));
                    let found = places.find(named, text, needs_name).await?;
                    parts.name = found.name;
                    Value::String(found.id)
                }
                Kind::Level => body::level(text)?,
                Kind::Words => text.split(',').map(|word| Value::from(word.trim())).collect(),
                Kind::Since => Value::String(body::since(text)?),
                Kind::Text | Kind::Switch => Value::String(text.to_owned()),
            };
            match take.part {
                Part::Path(name) => places.put(name, plain(&value)),
                Part::Query(name) => parts.query.push((name, plain(&value))),
                Part::Body(name) => drop(parts.body.insert(name.to_owned(), value)),
                Part::Own => {}
            }
        }
        Ok(parts)
    }

    async fn list(
        &self,
        target: &Target,
        path: &str,
        mut parts: Parts,
        columns: &[Column],
        screen: &Screen,
    ) -> Result<(), Failure> {
        let limit = self.given.limit;
        let search = parts.query.iter().find(|(name, _)| *name == "search").map(|(_, text)| folded(text));
        // What is left out here has to be made up for by more.
        let page = if search.is_some() { PAGE } else { limit.clamp(1, PAGE) };
        parts.query.push(("limit", page.to_string()));
        let mut items = Vec::new();
        let take = |item: Value| {
            // A server may not know what it was to search for.
            if search.as_ref().is_none_or(|text| has_text(columns, &item, text)) && items.len() < limit {
                items.push(item);
            }
            items.len() < limit
        };
        if limit > 0 {
            target.each(with_query(path, &parts.query), take).await?;
        }
        match &self.given.json {
            Some(fields) => {
                self.check_fields(fields, items.first())?;
                let shown = items.iter().map(|item| chosen(item, fields));
                screen.json(&shown.collect())
            }
            None => screen.table(columns, &items),
        }
    }

    fn show(&self, answer: Option<Value>, name: &str, screen: &Screen) -> Result<(), Failure> {
        if let Shows::Done(done) = self.given.verb.shows {
            if self.given.json.is_some() {
                let object = answer.filter(Value::is_object);
                return screen.json(&object.unwrap_or_else(|| Value::Object(Map::new())));
            }
            screen.note(&format!("{done}: {name}."));
            return Ok(());
        }
        let odd = || Failure::from("the answer is no object");
        let object = answer.filter(Value::is_object).ok_or_else(odd)?;
        if let Some(fields) = &self.given.json {
            self.check_fields(fields, Some(&object))?;
            return screen.json(&chosen(&object, fields));
        }
        match self.given.verb.shows {
            Shows::One(columns) => screen.object(columns, &object),
            Shows::Sentence { text, list, columns } => {
                screen.note(object.pointer(text).and_then(Value::as_str).unwrap_or_default());
                let items = object.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
                screen.table(columns, &items)
            }
            Shows::List(_) | Shows::Done(_) => Ok(()),
        }
    }

    /// Refuses fields that neither the answer has nor the API declares.
    fn check_fields(&self, fields: &[String], object: Option<&Value>) -> Result<(), Failure> {
        let mut known = self.declared();
        let present = object.and_then(Value::as_object).into_iter().flat_map(Map::keys);
        known.extend(present.map(String::as_str));
        known.sort_unstable();
        known.dedup();
        let unknown = fields.iter().find(|field| !known.contains(&field.as_str()));
        match unknown.filter(|_| !known.is_empty()) {
            None => Ok(()),
            Some(field) => Err(Failure::usage(format!("--json {field}: there is no such field"))
                .advise(format!("there are {}", known.join(", ")))),
        }
    }

    /// The fields of what is shown, as the route declares them.
    fn declared(&self) -> Vec<&'static str> {
        let mut all = routes::table().routes();
        let route = all.find(|route| route.path == self.path && route.method == self.method);
        let is_list = self.given.verb.is_list();
        let fields = match route.map(|route| route.responds) {
            Some(ResponseShape::Page(fields) | ResponseShape::List(fields)) => fields,
            Some(ResponseShape::One(fields)) if !is_list => fields,
            _ => &[],
        };
        fields.iter().filter(|field| !field.write_only).map(|field| field.name).collect()
    }
}

/// Of an object these fields, in this order; all where none are named.
fn chosen(object: &Value, fields: &[String]) -> Value {
    if fields.is_empty() {
        return object.clone();
    }
    let field = |name: &String| (name.clone(), object.get(name).cloned().unwrap_or_default());
    Value::Object(fields.iter().map(field).collect())
}

fn has_text(columns: &[Column], item: &Value, text: &str) -> bool {
    columns.iter().any(|column| folded(&column.of(item, false)).contains(text))
}

/// In small letters, with single spaces.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

pub(super) fn with_query(path: &str, pairs: &[(&str, String)]) -> String {
    if pairs.is_empty() {
        return path.to_owned();
    }
    let joint = if path.contains('?') { '&' } else { '?' };
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{path}{joint}{query}")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
