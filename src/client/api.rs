//! `orgd api`: any request.

use serde_json::{Map, Value};

use super::run::with_query;
use super::{Answer, Ask, Failure, Given, Screen, Target};
use crate::api::Method;

/// Most items that `--paginate` puts together.
const ITEMS_MAX: usize = 100_000;

pub(super) async fn run(given: &Given, target: &Target, screen: &Screen) -> Result<(), Failure> {
    let ask = ask(given)?;
    if given.has("paginate") {
        return all(given, target, ask, screen).await;
    }
    let answer = target.send(ask).await?;
    show(given, &answer, screen)?;
    if (200..300).contains(&answer.status) { Ok(()) } else { Err(target.refusal(&answer)) }
}

fn ask(given: &Given) -> Result<Ask, Failure> {
    let name = given.value("METHOD").unwrap_or_default();
    let method = Method::ALL.into_iter().find(|method| method.name().eq_ignore_ascii_case(name));
    let method = method.ok_or_else(|| {
        Failure::usage(format!("{name} is no method: GET, POST, PUT, PATCH or DELETE is one"))
    })?;
    let path = given.value("PATH").unwrap_or_default();
    if !path.starts_with('/') || path.starts_with("//") {
        return Err(Failure::usage(format!(
            "{path}: a path is wanted, such as /api/organizations/@current/"
        )));
    }
    let fields = given.further_fields()?;
    if method == Method::Get {
        if given.input.is_some() {
            return Err(Failure::usage("GET has no body: --input is for other methods"));
        }
        let pairs: Vec<(&str, String)> =
            fields.iter().map(|(name, value)| (name.as_str(), plain(value))).collect();
        return Ok(Ask { method, target: with_query(path, &pairs), body: None });
    }
    let body = match given.input()? {
        None if fields.is_empty() => None,
        None => Some(Value::Object(fields)),
        Some(Value::Object(mut input)) => {
            input.extend(fields);
            Some(Value::Object(input))
        }
        Some(_) if !fields.is_empty() => {
            return Err(Failure::usage("-F adds to an object, and --input holds none"));
        }
        input => input,
    };
    Ok(Ask { method, target: path.to_owned(), body })
}

/// Follows a list to its end.
async fn all(given: &Given, target: &Target, ask: Ask, screen: &Screen) -> Result<(), Failure> {
    if ask.method != Method::Get {
        return Err(Failure::usage("--paginate is for GET"));
    }
    let mut items = Vec::new();
    target
        .each(ask.target, |item| {
            items.push(item);
            items.len() <= ITEMS_MAX
        })
        .await?;
    if items.len() > ITEMS_MAX {
        return Err(format!("the list has more than {ITEMS_MAX} items").into());
    }
    let chosen = items.iter().map(|item| only(given, item));
    screen.json(&chosen.collect())
}

fn show(given: &Given, answer: &Answer, screen: &Screen) -> Result<(), Failure> {
    match (&answer.json, &answer.text) {
        (Some(json), _) => screen.json(&only(given, json)),
        (None, Some(text)) => screen.text(text),
        (None, None) => Ok(()),
    }
}

/// The fields that are wanted of an object.
fn only(given: &Given, value: &Value) -> Value {
    match (&given.json, value) {
        (Some(fields), Value::Object(object)) if !fields.is_empty() => {
            let field = |name: &String| Some((name.clone(), object.get(name)?.clone()));
            Value::Object(fields.iter().filter_map(field).collect::<Map<_, _>>())
        }
        _ => value.clone(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
