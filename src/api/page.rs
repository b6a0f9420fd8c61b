//! Lists in pages: `limit` and `offset` in, `count`, `next`, `previous` and `results` out.

use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::error::Result;

const LIMIT_DEFAULT: u64 = 100;
/// The largest page: an answer is in memory as a whole. Who wants more gets as much, and the rest by `next`.
pub const LIMIT_MAX: u64 = 1000;

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    pub limit: u64,
    pub offset: u64,
}

/// A page as it is answered.
#[derive(Serialize)]
pub struct Page<'a, T> {
    count: u64,
    next: Option<String>,
    previous: Option<String>,
    results: &'a [T],
}

impl Paging {
    /// Unusable values fall back to the defaults; what is too much, to the most.
    pub fn of(call: &Call) -> Paging {
        let number = |name| call.query(name).and_then(|text| text.trim().parse::<u64>().ok());
        Paging {
            limit: number("limit").filter(|limit| *limit > 0).unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX),
            offset: number("offset").unwrap_or(0),
        }
    }

    /// The same for pages of another size; what is asked for as `limit` does not count.
    pub fn by(call: &Call, limit: u64) -> Paging {
        Paging { limit, ..Paging::of(call) }
    }

    /// This page of a list that is all at hand.
    pub fn cut<T>(self, list: Vec<T>) -> Vec<T> {
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        list.into_iter().skip(size(self.offset)).take(size(self.limit)).collect()
    }

    /// 200 with the page.
    pub fn reply<T: Serialize>(self, call: &Call, count: u64, results: &[T]) -> Result<Reply> {
        Reply::ok(&self.page(call, count, results))
    }

    /// The same page, for an answer that says more.
    pub fn page<'a, T: Serialize>(self, call: &Call, count: u64, results: &'a [T]) -> Page<'a, T> {
        let Paging { limit, offset } = self;
        let end = offset.saturating_add(limit);
        let at = |offset: u64| {
            let offset = (offset > 0).then(|| offset.to_string());
            link(call, [("limit", Some(limit.to_string())), ("offset", offset)])
        };
        Page {
            count,
            next: (end < count).then(|| at(end)),
            previous: (offset > 0).then(|| at(offset.saturating_sub(limit))),
            results,
        }
    }
}

/// The address of the request with some parameters replaced or, with `None`, left out; sorted by name. A
/// key that came in the query does not go out again.
pub fn link(call: &Call, replaced: [(&str, Option<String>); 2]) -> String {
    let stays = |name: &str| name != "personal_api_key" && replaced.iter().all(|(known, _)| *known != name);
    let kept = call.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut pairs: Vec<(&str, &str)> = kept.filter(|(name, _)| stays(name)).collect();
    pairs.extend(replaced.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));
    pairs.sort_by_key(|(name, _)| *name);
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{}{}?{query}", call.origin, call.path)
}
