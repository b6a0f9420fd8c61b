//! Lists in pages that stay where they are while rows are added: an opaque cursor in, `next`, `previous` and
//! `results` out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use uuid::Uuid;

use super::call::Call;
use super::page::link;
use super::reply::Reply;
use crate::error::{Error, Result, invalid_choice};
use crate::store::Order;

/// Where an item stands in its list: by this number, and by its identifier where several have the same.
pub type Position = (i64, Uuid);

/// A place between two items: which items of a page follow, and on which side of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Towards the beginning of the list.
    pub is_backward: bool,
    pub position: Position,
}

const CURSOR_BYTES: usize = 1 + 8 + 16;

#[derive(Serialize)]
struct Page<'a, T> {
    next: Option<String>,
    previous: Option<String>,
    results: &'a [T],
}

impl Cursor {
    /// That of the request, where it has one.
    ///
    /// # Errors
    /// 404 for a cursor that is none.
    pub fn of(call: &Call) -> Result<Option<Cursor>> {
        let Some(text) = call.query("cursor").filter(|text| !text.is_empty()) else { return Ok(None) };
        match Cursor::parse(text) {
            Some(cursor) => Ok(Some(cursor)),
            None => Err(Error::NotFound("Invalid cursor".into())),
        }
    }

    /// The address of the page that begins there.
    pub fn link(self, call: &Call) -> String {
        link(call, [("cursor", Some(self.text())), ("page", None)])
    }

    fn parse(text: &str) -> Option<Cursor> {
        let bytes: [u8; CURSOR_BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (number, id) = bytes[1..].split_at(8);
        let number = i64::from_be_bytes(number.try_into().ok()?);
        let is_backward = bytes[0] == 1;
        Some(Cursor { is_backward, position: (number, Uuid::from_slice(id).ok()?) })
    }

    /// As the query has it.
    pub fn text(self) -> String {
        let Cursor { is_backward, position: (number, id) } = self;
        let bytes = [&[u8::from(is_backward)], number.to_be_bytes().as_slice(), id.as_bytes()].concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// The field and the direction that `ordering` names, as `field` or `-field`: one of `fields`, and the first one
/// descending where nothing is said.
///
/// # Errors
/// 400 for another field.
pub fn ordering(call: &Call, fields: &[&'static str]) -> Result<(&'static str, Order)> {
    let Some(text) = call.query("ordering").filter(|text| !text.is_empty()) else {
        return Ok((fields.first().copied().unwrap_or_default(), Order::Descending));
    };
    let (name, direction) = match text.strip_prefix('-') {
        Some(name) => (name, Order::Descending),
        None => (text, Order::Ascending),
    };
    match fields.iter().find(|field| **field == name) {
        Some(field) => Ok((field, direction)),
        None => Err(invalid_choice("ordering", text)),
    }
}

/// One page of a list that is all at hand, in any order: the items beside the `cursor` of the request, at most `size`.
///
/// # Errors
/// 404 for a cursor that is none.
pub fn page<T>(
    call: &Call,
    mut items: Vec<(Position, T)>,
    direction: Order,
    size: usize,
) -> Result<CursorPage<T>> {
    let cursor = Cursor::of(call)?;
    items.sort_unstable_by_key(|(position, _)| *position);
    if direction == Order::Descending {
        items.reverse();
    }
    let is_before = |one: Position, other: Position| match direction {
        Order::Ascending => one < other,
        Order::Descending => one > other,
    };
    let (start, end) = match cursor {
        None => (0, size),
        Some(Cursor { is_backward: false, position }) => {
            let start = items.partition_point(|(item, _)| !is_before(position, *item));
            (start, start.saturating_add(size))
        }
        Some(Cursor { is_backward: true, position }) => {
            let end = items.partition_point(|(item, _)| is_before(*item, position));
            (end.saturating_sub(size), end)
        }
    };
    let end = end.min(items.len());
    let to = |is_backward, item: Option<&(Position, T)>| {
        let position = item.map(|(position, _)| *position)?;
        Some(Cursor { is_backward, position }.link(call))
    };
    let next = if end < items.len() { to(false, items[start..end].last()) } else { None };
    let previous = if start > 0 { to(true, items.get(start)) } else { None };
    let items = items.drain(start.min(end)..end).map(|(_, item)| item).collect();
    Ok(CursorPage { next, previous, items })
}

/// The items of a page, and the addresses of those beside it.
pub struct CursorPage<T> {
    next: Option<String>,
    previous: Option<String>,
    pub items: Vec<T>,
}

impl<T> CursorPage<T> {
    /// 200 with the page; each item as `wire` shows it.
    ///
    /// # Errors
    /// An item cannot be shown.
    pub fn reply<W: Serialize>(self, wire: impl FnMut(T) -> Result<W>) -> Result<Reply> {
        let results = self.items.into_iter().map(wire).collect::<Result<Vec<W>>>()?;
        Reply::ok(&Page { next: self.next, previous: self.previous, results: &results })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_anything_else_is_none() {
        for position in [(0, Uuid::nil()), (i64::MIN, Uuid::max()), (-7, Uuid::from_u128(7))] {
            for is_backward in [false, true] {
                let cursor = Cursor { is_backward, position };
                assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
            }
        }
        for text in ["", "x", "AAAA", "not base64!", &"A".repeat(35)] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
