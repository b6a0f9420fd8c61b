//! Lists in pages: `limit` and `offset` in, `count`, `next`, `previous` and `results` out.

use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::error::Result;

const LIMIT_DEFAULT: u64 = 100;

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    pub limit: u64,
    pub offset: u64,
}

#[derive(Serialize)]
struct Page<'a, T> {
    count: u64,
    next: Option<String>,
    previous: Option<String>,
    results: &'a [T],
}

impl Paging {
    /// Unusable values fall back to the defaults; there is no maximum.
    pub fn of(call: &Call) -> Paging {
        let number = |name| call.query(name).and_then(|text| text.trim().parse::<u64>().ok());
        Paging {
            limit: number("limit").filter(|limit| *limit > 0).unwrap_or(LIMIT_DEFAULT),
            offset: number("offset").unwrap_or(0),
        }
    }

    /// This page of rows that are all at hand.
    pub fn cut<T>(self, rows: Vec<T>) -> Vec<T> {
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        rows.into_iter().skip(size(self.offset)).take(size(self.limit)).collect()
    }

    /// 200 with the page.
    pub fn reply<T: Serialize>(self, call: &Call, count: u64, results: &[T]) -> Result<Reply> {
        let Paging { limit, offset } = self;
        let end = offset.saturating_add(limit);
        let at = |offset: u64| {
            let offset = (offset > 0).then(|| ("offset", offset.to_string()));
            link(call, [Some(("limit", limit.to_string())), offset])
        };
        Reply::ok(&Page {
            count,
            next: (end < count).then(|| at(end)),
            previous: (offset > 0).then(|| at(offset.saturating_sub(limit))),
            results,
        })
    }
}

/// The address of the request with some parameters replaced, sorted by name.
pub fn link(call: &Call, replaced: [Option<(&str, String)>; 2]) -> String {
    let is_replaced = |name: &str| ["limit", "offset", "page"].contains(&name);
    let mut pairs: Vec<(&str, &str)> = call
        .query
        .iter()
        .filter(|(name, _)| !is_replaced(name))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    pairs.extend(replaced.iter().flatten().map(|(name, value)| (*name, value.as_str())));
    pairs.sort_by_key(|(name, _)| *name);
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{}{}?{query}", call.origin, call.path)
}
