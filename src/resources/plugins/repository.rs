//! The public list of well-known plugins, as its publisher has it.
//! Invariant: the last list that could be read is kept, so that it can be shown without a network.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::Url;

use super::install::{self, BODY_BYTES_MAX};
use super::{handlers, refused};
use crate::api::reply::JSON;
use crate::api::{Call, Reply};
use crate::app::App;
use crate::clock::Time;
use crate::config::is_of_operator;
use crate::error::Result;
use crate::outbound::{GetRequest, shown};
use crate::store::Table;

/// A list as it was last seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::resources) struct List {
    pub(in crate::resources) text: String,
    pub(in crate::resources) fetched_at: Time,
}

/// By the address of the list.
pub(super) static LISTS: Table<String, List> = Table::new("plugin_repositories");

/// For how long a list is as good as new.
const FRESH_SECONDS: i64 = 10 * 60;

pub(super) async fn show(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let url = app.config.plugins.repository();
    let stored = app.store.read(|tx| {
        handlers::again(&call, tx)?;
        match &url {
            Some(url) => Ok(tx.get(&LISTS, &url.to_string())?),
            None => Ok(None),
        }
    })?;
    let Some(url) = url else { return Reply::ok(&[(); 0]) };
    if let Some(list) = &stored
        && list.fetched_at.plus_seconds(FRESH_SECONDS) > call.now
    {
        return Ok(reply(&list.text));
    }
    match (fetch(&app, &url).await, stored) {
        (Ok(text), _) => {
            let list = List { text, fetched_at: call.now };
            let kept = list.clone();
            app.store.write(move |tx| Ok(tx.put(&LISTS, &url.to_string(), &kept)?)).await?;
            Ok(reply(&list.text))
        }
        (Err(_), Some(list)) => Ok(reply(&list.text)),
        (Err(cause), None) => Err(cause),
    }
}

fn reply(text: &str) -> Reply {
    Reply::text(200, JSON, text)
}

/// The list's text, if it is a JSON array.
async fn fetch(app: &Arc<App>, url: &Url) -> Result<String> {
    let _turn = install::turn(app).await?;
    let request = GetRequest {
        url: url.clone(),
        is_of_operator: is_of_operator(url),
        authorization: None,
        time_max: app.config.plugins.fetch_time(),
        bytes_max: BODY_BYTES_MAX,
    };
    let reason = match app.outbound.get(request).await {
        Err(cause) => cause.to_string(),
        Ok(answer) if answer.status != 200 => format!("{} answered {}.", shown(url), answer.status),
        Ok(answer) => match String::from_utf8(answer.body) {
            Ok(text) if is_array(&text) => return Ok(text),
            _ => format!("What {} answered is no list.", shown(url)),
        },
    };
    Err(refused(format!("Could not get the list of plugins. Reason: {reason}")))
}

fn is_array(text: &str) -> bool {
    serde_json::from_str::<Vec<&RawValue>>(text).is_ok()
}
