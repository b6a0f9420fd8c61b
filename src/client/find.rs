//! Finds what a name stands for. Nothing is done to the first of a list that was not looked at: a name has exactly one
//! hit, or the command ends.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::nouns::{Id, Named, ORGANIZATION, PROJECT};
use super::pages::PAGE;
use super::run::with_query;
use super::{Failure, Given, Target};
use crate::api::call::parse_uuid;

/// Hits that are listed where there is more than one.
const SHOWN_MAX: usize = 5;
const IN_PATHS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'@');

/// Something that is there.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) id: String,
    /// By which people know it.
    pub(super) name: String,
}

/// The values of a path's parameters, found one after the other.
pub(super) struct Places<'a> {
    target: &'a Target,
    given: &'a Given,
    known: Vec<(&'static str, String)>,
}

impl<'a> Places<'a> {
    pub(super) fn of(target: &'a Target, given: &'a Given) -> Places<'a> {
        Places { target, given, known: Vec::new() }
    }

    /// Notes a parameter.
    pub(super) fn put(&mut self, name: &'static str, value: String) {
        self.known.push((name, value));
    }

    /// The path with its parameters.
    ///
    /// # Errors
    /// The organization or the project that it is about can't be found.
    pub(super) async fn fill(&mut self, path: &str) -> Result<String, Failure> {
        if path.contains("{organization_id}") {
            self.know_organization().await?;
        }
        if path.contains("{project_id}") && !self.knows("project_id") {
            let project = self.project().await?;
            self.put("project_id", project);
        }
        Ok(self.filled(path))
    }

    /// The path with what is known.
    fn filled(&self, path: &str) -> String {
        self.known.iter().fold(path.to_owned(), |path, (name, value)| {
            path.replace(&format!("{{{name}}}"), &utf8_percent_encode(value, IN_PATHS).to_string())
        })
    }

    fn knows(&self, name: &str) -> bool {
        self.known.iter().any(|(known, _)| *known == name)
    }

    /// The organization or the project that a command is about where none is named.
    ///
    /// # Errors
    /// The one that is chosen elsewhere can't be found.
    pub(super) async fn current(&mut self, named: &Named) -> Result<String, Failure> {
        if named.list == PROJECT.list { self.project().await } else { self.know_organization().await }
    }

    async fn know_organization(&mut self) -> Result<String, Failure> {
        if let Some((_, known)) = self.known.iter().find(|(name, _)| *name == "organization_id") {
            return Ok(known.clone());
        }
        let of_profile = match self.target {
            Target::Server(server) => server.organization.as_deref(),
            Target::Data { .. } => None,
        };
        let wanted = self.given.organization.as_deref().or(of_profile).unwrap_or("@current");
        let organization = match is_id(&ORGANIZATION, wanted) {
            true => wanted.to_owned(),
            false => self.in_list(&ORGANIZATION, ORGANIZATION.list, wanted).await?.id,
        };
        self.put("organization_id", organization.clone());
        Ok(organization)
    }

    async fn project(&mut self) -> Result<String, Failure> {
        let wanted = self.given.project.as_deref().unwrap_or("@current");
        if is_id(&PROJECT, wanted) {
            return Ok(wanted.to_owned());
        }
        self.know_organization().await?;
        Ok(self.in_list(&PROJECT, &self.filled(PROJECT.list), wanted).await?.id)
    }

    /// What the name stands for. An identifier is taken as it is, unless its name has to be known.
    ///
    /// # Errors
    /// It stands for nothing, or for several things.
    pub(super) async fn find(
        &mut self,
        named: &'static Named,
        wanted: &str,
        needs_name: bool,
    ) -> Result<Found, Failure> {
        if is_id(named, wanted) && !needs_name {
            return Ok(Found { id: wanted.to_owned(), name: wanted.to_owned() });
        }
        let list = self.fill(named.list).await?;
        self.in_list(named, &list, wanted).await
    }

    async fn in_list(&self, named: &Named, list: &str, wanted: &str) -> Result<Found, Failure> {
        let is_id = is_id(named, wanted) && wanted != "@current";
        let search = named.search.filter(|_| !is_id).map(|search| (search, wanted.to_owned()));
        let pairs: Vec<(&str, String)> = [("limit", PAGE.to_string())].into_iter().chain(search).collect();
        let (mut exact, mut near) = (Vec::new(), Vec::new());
        self.target
            .each(with_query(list, &pairs), |item| {
                match fit(named, &item, wanted, is_id) {
                    Some(Fit::Exact) => exact.extend(found(named, &item)),
                    Some(Fit::Near) => near.extend(found(named, &item)),
                    None => {}
                }
                true
            })
            .await?;
        only(named, wanted, if exact.is_empty() { near } else { exact })
    }
}

enum Fit {
    Exact,
    /// But for its case.
    Near,
}

fn fit(named: &Named, item: &Value, wanted: &str, is_id: bool) -> Option<Fit> {
    let text = |at: &str| item.pointer(at).map(plain).unwrap_or_default();
    if is_id || named.id_is == Id::Text {
        let is_it = text(named.id).eq_ignore_ascii_case(wanted);
        if is_it || is_id {
            return is_it.then_some(Fit::Exact);
        }
    }
    if named.names.iter().any(|at| text(at) == wanted) {
        return Some(Fit::Exact);
    }
    let folded = wanted.to_lowercase();
    named.names.iter().any(|at| text(at).to_lowercase() == folded).then_some(Fit::Near)
}

fn found(named: &Named, item: &Value) -> Option<Found> {
    let text = |at: &str| item.pointer(at).map(plain).filter(|text| !text.is_empty());
    let id = text(named.id)?;
    let name = named.names.first().and_then(|at| text(at)).unwrap_or_else(|| id.clone());
    Some(Found { id, name })
}

fn only(named: &Named, wanted: &str, mut hits: Vec<Found>) -> Result<Found, Failure> {
    let noun = named.noun;
    match hits.len() {
        1 => Ok(hits.remove(0)),
        0 => Err(format!("there is no {noun} {wanted}").into()),
        many => {
            let ids: Vec<&str> = hits.iter().take(SHOWN_MAX).map(|hit| hit.id.as_str()).collect();
            let more = if many > SHOWN_MAX { ", …" } else { "" };
            Err(Failure::from(format!("{many} {noun}s are called {wanted}: nothing was done"))
                .advise(format!("say which by its id: {}{more}", ids.join(", "))))
        }
    }
}

/// Whether it is an identifier, and no name.
fn is_id(named: &Named, text: &str) -> bool {
    match named.id_is {
        Id::Uuid if named.noun == "organization" && text == "@current" => true,
        Id::Uuid => parse_uuid(text).is_some(),
        Id::Number => {
            text == "@current" || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        }
        Id::Text => false,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
