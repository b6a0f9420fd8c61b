//! The entries of one item, of one scope, or of one project.

use uuid::Uuid;

use super::{BY_ITEM, BY_PROJECT, BY_SCOPE, ENTRIES, Entry};
use crate::error::{Result, not_found};
use crate::ids::{OrganizationId, ProjectId};
use crate::store::{Order, Tx};

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
        return walked(tx, organization, of, order, (offset, limit));
    }
    let (total, ids) = match of {
        Of::Item(scope, item) => {
            let front = (organization, (scope.to_owned(), item.to_owned()));
            let (total, rows) = tx.page(&BY_ITEM, &front, order, offset, limit)?;
            (total, rows.into_iter().map(|((.., id), ())| id).collect::<Vec<_>>())
        }
        Of::Scope(scope) => {
            let front = (organization, scope.to_owned());
            let (total, rows) = tx.page(&BY_SCOPE, &front, order, offset, limit)?;
            (total, rows.into_iter().map(|((.., id), ())| id).collect())
        }
        Of::Project(project) => {
            let (total, rows) = tx.page(&BY_PROJECT, &(organization, project), order, offset, limit)?;
            (total, rows.into_iter().map(|((.., id), ())| id).collect())
        }
    };
    let load = |id| Ok((id, tx.get(&ENTRIES, &(organization, id))?.ok_or_else(not_found)?));
    Ok((total, ids.into_iter().map(load).collect::<Result<_>>()?))
}

/// The same of an organization whose few entries have no index.
fn walked(
    tx: &Tx,
    organization: OrganizationId,
    of: Of<'_>,
    order: Order,
    (offset, limit): (u64, u64),
) -> Result<(u64, Vec<(Uuid, Entry)>)> {
    let mut all = tx.scan(&ENTRIES, &organization, order)?;
    all.retain(|(_, entry)| of.admits(entry));
    let total = all.len() as u64;
    let [skip, take] = [offset, limit].map(|rows| usize::try_from(rows).unwrap_or(usize::MAX));
    Ok((total, all.into_iter().skip(skip).take(take).map(|((_, id), entry)| (id, entry)).collect()))
}
