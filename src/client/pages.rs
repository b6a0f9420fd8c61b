//! Lists in pages, walked to where the reader has enough.

use std::collections::HashSet;

use serde_json::Value;

use super::{Answer, Ask, Failure, Target};
use crate::api::Method;

/// Most pages of one list: a server could name a next one for ever.
const PAGES_MAX: usize = 1000;
/// Items of a page.
pub(super) const PAGE: usize = 100;

impl Target {
    /// Walks a list, until `take` says that it has enough.
    ///
    /// # Errors
    /// A page can't be had, is no list, leads elsewhere or to itself, or there are too many.
    pub(super) async fn each(
        &self,
        first: String,
        mut take: impl FnMut(Value) -> bool,
    ) -> Result<(), Failure> {
        let mut next = first;
        let mut seen = HashSet::new();
        for _ in 0..PAGES_MAX {
            if !seen.insert(next.clone()) {
                return Err(format!("the list of {self} leads back to a page that was read already").into());
            }
            let answer = self.demand(Ask { method: Method::Get, target: next, body: None }).await?;
            let (items, after) = self.page(answer)?;
            for item in items {
                if !take(item) {
                    return Ok(());
                }
            }
            match after {
                None => return Ok(()),
                Some(after) => next = after,
            }
        }
        Err(format!("the list of {self} has more than {PAGES_MAX} pages").into())
    }

    /// What is on a page, and the path of the next one.
    fn page(&self, answer: Answer) -> Result<(Vec<Value>, Option<String>), Failure> {
        let odd = || Failure::from(format!("{self} answers no list"));
        let mut page = match answer.json {
            Some(Value::Array(all)) => return Ok((all, None)),
            Some(Value::Object(page)) => page,
            _ => return Err(odd()),
        };
        let Some(Value::Array(items)) = page.remove("results") else { return Err(odd()) };
        let next = match page.remove("next") {
            None | Some(Value::Null) => None,
            Some(Value::String(next)) => Some(self.followed(&next)?),
            Some(_) => return Err(odd()),
        };
        Ok((items, next))
    }

    /// The path of a page that a server names: one of its own.
    fn followed(&self, next: &str) -> Result<String, Failure> {
        let own = match self {
            Target::Server(server) => server.host.target_of(next),
            Target::Data { .. } => url::Url::parse(next).ok().map(|url| {
                url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
            }),
        };
        own.ok_or_else(|| {
            format!("the list of {self} leads to another server, where the key is not sent").into()
        })
    }
}
