//! The entries of one item, of one scope, or of one project: by their index, where the organization has one.

use uuid::Uuid;

use super::walk::Span;
use super::{BY_ITEM, BY_PROJECT, BY_SCOPE, ENTRIES, Entry};
use crate::error::{Result, not_found};
use crate::ids::{OrganizationId, ProjectId};
use crate::store::{Order, StoreError, Tx};

/// What the entries are about.
#[derive(Clone, Copy)]
pub enum Of<'a> {
    /// An item of a scope.
    Item(&'a str, &'a str),
    Scope(&'a str),
    Project(ProjectId),
}

impl Of<'_> {
    fn admits(&self, entry: &Entry) -> bool {
        match *self {
            Of::Item(scope, item) => entry.scope == scope && entry.item == item,
            Of::Scope(scope) => entry.scope == scope,
            Of::Project(project) => entry.project == Some(project),
        }
    }
}

pub(super) type Rows<'a> = Box<dyn Iterator<Item = Result<(Uuid, Entry)>> + 'a>;

/// All entries of the span that are about this, and others where there is no index of it.
pub(super) fn rows<'a>(
    tx: &'a Tx,
    organization: OrganizationId,
    of: Option<Of<'_>>,
    (from, to): Span,
    order: Order,
) -> Result<Rows<'a>> {
    let ids = match of {
        Some(of) if tx.has_index_rows(&ENTRIES, &organization)? => match of {
            Of::Item(scope, item) => {
                let key = |id| (organization, (scope.to_owned(), item.to_owned()), id);
                ids(tx.range(&BY_ITEM, &key(from), &key(to), order)?)
            }
            Of::Scope(scope) => {
                let key = |id| (organization, scope.to_owned(), id);
                ids(tx.range(&BY_SCOPE, &key(from), &key(to), order)?)
            }
            Of::Project(project) => {
                let key = |id| (organization, project, id);
                ids(tx.range(&BY_PROJECT, &key(from), &key(to), order)?)
            }
        },
        _ => {
            let rows = tx.range(&ENTRIES, &(organization, from), &(organization, to), order)?;
            return Ok(Box::new(rows.map(|row| row.map(|((_, id), entry)| (id, entry)).map_err(Into::into))));
        }
    };
    let load = move |id: Uuid| Ok(tx.get(&ENTRIES, &(organization, id))?.map(|entry| (id, entry)));
    Ok(Box::new(ids.filter_map(move |id| id.map_err(Into::into).and_then(load).transpose())))
}

/// A row of an index.
type IndexRow<A, B> = ((A, B, Uuid), ());

/// The identifiers in rows of an index.
fn ids<'a, A, B>(
    rows: impl Iterator<Item = std::result::Result<IndexRow<A, B>, StoreError>> + 'a,
) -> Box<dyn Iterator<Item = std::result::Result<Uuid, StoreError>> + 'a> {
    Box::new(rows.map(|row| row.map(|((.., id), ())| id)))
}

/// How many there are, and those of a page.
///
/// # Errors
/// The storage failed.
pub fn page_of(
    tx: &Tx,
    organization: OrganizationId,
    of: Of<'_>,
    order: Order,
    (offset, limit): (u64, u64),
) -> Result<(u64, Vec<(Uuid, Entry)>)> {
    if !tx.has_index_rows(&ENTRIES, &organization)? {
        let mut all = tx.scan(&ENTRIES, &organization, order)?;
        all.retain(|(_, entry)| of.admits(entry));
        let total = all.len() as u64;
        let [skip, take] = [offset, limit].map(|rows| usize::try_from(rows).unwrap_or(usize::MAX));
        return Ok((
            total,
            all.into_iter().skip(skip).take(take).map(|((_, id), entry)| (id, entry)).collect(),
        ));
    }
    let (total, ids) = match of {
        Of::Item(scope, item) => {
            let front = (organization, (scope.to_owned(), item.to_owned()));
            page_ids(tx.page(&BY_ITEM, &front, order, offset, limit)?)
        }
        Of::Scope(scope) => {
            page_ids(tx.page(&BY_SCOPE, &(organization, scope.to_owned()), order, offset, limit)?)
        }
        Of::Project(project) => {
            page_ids(tx.page(&BY_PROJECT, &(organization, project), order, offset, limit)?)
        }
    };
    let load = |id| Ok((id, tx.get(&ENTRIES, &(organization, id))?.ok_or_else(not_found)?));
    Ok((total, ids.into_iter().map(load).collect::<Result<_>>()?))
}

/// The identifiers in a page of an index.
fn page_ids<A, B>((total, rows): (u64, Vec<IndexRow<A, B>>)) -> (u64, Vec<Uuid>) {
    (total, rows.into_iter().map(|((.., id), ())| id).collect())
}
