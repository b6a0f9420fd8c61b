//! One request for a page, as the page sees it.

use std::ops::Deref;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::form::{BOXES, ONCE};
use super::words::Said;
use crate::api::input::field;
use crate::api::{Body, Call, InOrganization, InProject, Input, Place, Reply, Values};
use crate::app::App;
use crate::app::once::Sending;
use crate::auth::cookies;
use crate::error::{Error, Result};
use crate::resources::places;
use crate::resources::signup::stays_here;
use crate::store::{Tx, WriteTx};

const ONCE_CHARS_MAX: usize = 64;

/// One request for a page.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) app: Arc<App>,
    call: Arc<Call>,
    /// Where the page belongs to, looked up in the transaction that the page runs in.
    place: Place,
    /// Why what was typed is not taken.
    refusal: Option<Arc<Error>>,
    /// The fields of the form that was sent.
    typed: Arc<Value>,
}

impl Deref for Visit {
    type Target = Call;
    fn deref(&self) -> &Call {
        &self.call
    }
}

impl Visit {
    pub(super) fn new(app: Arc<App>, call: Arc<Call>) -> Visit {
        let typed = Arc::new(typed(&call.body));
        Visit { app, place: call.place, call, refusal: None, typed }
    }

    /// The same, where what was typed is not taken.
    pub(super) fn refusing(&self, error: Error) -> Visit {
        Visit { refusal: Some(Arc::new(error)), ..self.clone() }
    }

    /// The same in a transaction, with the place as it is there.
    fn at(&self, tx: &Tx) -> Result<Visit> {
        Ok(Visit { place: places::again(tx, &self.call)?, ..self.clone() })
    }

    /// Shows the page from the newest committed state.
    pub(super) fn read<T>(&self, show: impl FnOnce(&Visit, &Tx) -> Result<T>) -> Result<T> {
        self.app.store.read(|tx| show(&self.at(tx)?, tx))
    }

    /// Runs what changes something, in one transaction.
    pub(super) async fn write<T, F>(&self, mut act: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Visit, &WriteTx) -> Result<T> + Send + 'static,
    {
        let visit = self.clone();
        self.app.store.write(move |tx| act(&visit.at(tx)?, tx)).await
    }

    /// The request, for what reads its body itself.
    pub(super) fn call(&self) -> Arc<Call> {
        Arc::clone(&self.call)
    }

    /// The organization that the page belongs to.
    pub(super) fn organization(&self) -> Result<InOrganization> {
        self.place.in_organization()
    }

    /// The project that the page belongs to.
    pub(super) fn project(&self) -> Result<InProject> {
        self.place.in_project()
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// What was typed, for a command that makes something new.
    pub(super) fn filled(&self) -> Input<'_> {
        Input { value: Ok(&self.typed), is_text: true, is_partial: false }
    }

    /// What was typed, for a command that changes something: a form need not have every field.
    pub(super) fn changed(&self) -> Input<'_> {
        Input { is_partial: true, ..self.filled() }
    }

    /// A field of the form; empty where it was not sent.
    pub(super) fn typed(&self, name: &str) -> &str {
        field(&self.typed, true, name).and_then(Value::as_str).unwrap_or_default()
    }

    /// All fields of the form.
    pub(super) fn sent(&self) -> Value {
        (*self.typed).clone()
    }

    /// All values of a field that a form may send several times.
    pub(super) fn typed_all(&self, name: &str) -> Vec<&str> {
        match self.typed.get(name) {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => vec![one],
            _ => Vec::new(),
        }
    }

    /// What was typed, without the boxes that are not ticked of fields that hold null: they stay null.
    pub(super) fn typed_over(&self, now: &Value) -> Value {
        let mut typed = (*self.typed).clone();
        if let Some(fields) = typed.as_object_mut() {
            fields.retain(|name, value| value != "false" || now.get(name) != Some(&Value::Null));
        }
        typed
    }

    /// Why what was typed is not taken, with what was typed.
    pub(super) fn refused(&self) -> Option<(&Error, Value)> {
        self.refusal.as_deref().map(|error| (error, (*self.typed).clone()))
    }

    /// Whether what was typed is not taken.
    pub(super) fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// What was typed, for a command that waits for something first.
    pub(super) fn values(&self) -> Values {
        Values::of_form((*self.typed).clone())
    }

    /// An identifier for a form that must not be sent twice.
    pub(super) fn once(&self) -> String {
        self.ids.base62::<22>()
    }

    /// Begins to do what a form is for that must not be sent twice; `None` where that was done before.
    ///
    /// # Errors
    /// 401 for a stranger.
    pub(super) fn begin(&self) -> Result<Option<Sending<'_>>> {
        let sent: String = self.typed(ONCE).chars().take(ONCE_CHARS_MAX).collect();
        // Whoever sends no identifier has no form of ours, which could be sent twice.
        let id = if sent.is_empty() { self.once() } else { sent };
        Ok(self.app.once.begin(self.user()?, &id, self.now))
    }

    /// Runs what makes something, in one transaction. The same form sent again makes nothing more, and leads to `list`.
    ///
    /// # Errors
    /// Those of `make`; 401 for a stranger.
    pub(super) async fn write_once<F>(&self, list: &str, make: F) -> Result<Reply>
    where
        F: FnMut(&Visit, &WriteTx) -> Result<Reply> + Send + 'static,
    {
        let Some(sending) = self.begin()? else { return Ok(self.done(list, Said::MadeAlready)) };
        let reply = self.write(make).await?;
        sending.done();
        Ok(reply)
    }

    /// Where the person wants to go on: a path of this site.
    pub(super) fn next(&self) -> &str {
        self.query("next").filter(|path| stays_here(path)).unwrap_or("/")
    }

    /// The path and the query of the request.
    pub(super) fn address(&self) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        if query.is_empty() { self.path.clone() } else { format!("{}?{query}", self.path) }
    }

    /// The same with another value of one parameter or, with `None`, without it; parameters without a value are left
    /// out.
    pub(super) fn address_with(&self, path: &str, name: &str, value: Option<&str>) -> String {
        let kept = self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let kept = kept.filter(|(known, text)| *known != name && !text.is_empty());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept).extend_pairs(value.map(|value| (name, value)));
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// A parameter of the query; empty where it was not sent.
    pub(super) fn chosen(&self, name: &str) -> &str {
        self.query(name).unwrap_or_default()
    }

    /// A cookie of the browser.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        cookies::value(self.header("cookie")?, name)
    }
}

/// The fields of a form. A box that the form has and that was not sent is one that is not ticked.
fn typed(body: &Body) -> Value {
    let Body::Form(Value::Object(sent)) = body else { return Value::Object(Map::new()) };
    let mut fields = sent.clone();
    let boxes = field(&Value::Object(sent.clone()), true, BOXES).and_then(Value::as_str).map(str::to_owned);
    for name in boxes.as_deref().unwrap_or_default().split(' ').filter(|name| !name.is_empty()) {
        fields.entry(name).or_insert_with(|| "false".into());
    }
    Value::Object(fields)
}
