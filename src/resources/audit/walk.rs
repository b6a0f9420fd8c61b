//! Finding entries of the audit log: by the index that fits the filter best, and never more than so many at once.

use uuid::Uuid;

use super::filter::Filter;
use super::{BY_ITEM, BY_PROJECT, BY_SCOPE, ENTRIES, Entry};
use crate::clock::{Ids, Time};
use crate::error::Result;
use crate::ids::{OrganizationId, ProjectId};
use crate::store::{Order, Tx};

/// So many entries are looked at for one answer at the most; the cursor goes on from there.
pub(super) const LOOKED_AT_MAX: usize = 10_000;

/// Whose entries a caller may see.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) organization: OrganizationId,
    /// Only those of this project.
    pub(super) project: Option<ProjectId>,
    /// Of a project: also what belongs to the organization itself.
    pub(super) with_organization: bool,
}

impl View {
    pub(super) fn admits(&self, entry: &Entry) -> bool {
        match self.project {
            None => true,
            Some(project) => match entry.project {
                Some(of) => of == project,
                None => self.with_organization,
            },
        }
    }
}

/// Identifiers from the first up to, and without, the second.
pub(super) type Span = (Uuid, Uuid);

/// What a filter's times leave of all identifiers.
pub(super) fn span(filter: &Filter) -> Span {
    let from = filter.start.map_or(Uuid::nil(), Ids::first_at);
    // The millisecond of the end is looked through.
    let to = filter.end.map_or(Uuid::max(), |end| Ids::first_at(Time(end.0.saturating_add(1000))));
    (from, to.max(from))
}

pub(super) struct Walked {
    /// In the order of the walk.
    pub(super) entries: Vec<(Uuid, Entry)>,
    /// The last one that was looked at.
    pub(super) last: Option<Uuid>,
    /// Whether there may be more.
    pub(super) is_more: bool,
}

/// The first `limit` entries of the span that the filter admits.
pub(super) fn walk(
    tx: &Tx,
    view: View,
    filter: &Filter,
    (from, to): Span,
    order: Order,
    limit: usize,
) -> Result<Walked> {
    let mut walked = Walked { entries: Vec::new(), last: None, is_more: false };
    for (looked_at, row) in rows(tx, view, filter, (from, to), order)?.enumerate() {
        if looked_at == LOOKED_AT_MAX {
            walked.is_more = true;
            break;
        }
        let (id, entry) = row?;
        let is_wanted = view.admits(&entry) && filter.admits(&entry);
        if is_wanted && walked.entries.len() == limit {
            walked.is_more = true;
            break;
        }
        walked.last = Some(id);
        if is_wanted {
            walked.entries.push((id, entry));
        }
    }
    Ok(walked)
}

type Rows<'a> = Box<dyn Iterator<Item = Result<(Uuid, Entry)>> + 'a>;

/// The entries of the narrowest index that holds all that the filter admits.
pub(super) fn rows<'a>(
    tx: &'a Tx,
    view: View,
    filter: &Filter,
    (from, to): Span,
    order: Order,
) -> Result<Rows<'a>> {
    let organization = view.organization;
    let load = move |id: Uuid| Ok((id, tx.get(&ENTRIES, &(organization, id))?));
    let present = |row: Result<(Uuid, Option<Entry>)>| {
        row.map(|(id, entry)| entry.map(|entry| (id, entry))).transpose()
    };
    if !tx.has_index_rows(&ENTRIES, &organization)? {
        return all(tx, organization, (from, to), order);
    }
    if let ([scope], [item]) = (filter.scopes.as_slice(), filter.items.as_slice()) {
        let key = |id| (organization, (scope.clone(), item.clone()), id);
        let rows = tx.range(&BY_ITEM, &key(from), &key(to), order)?;
        return Ok(Box::new(rows.map(move |row| load(row?.0.2)).filter_map(present)));
    }
    let only_project = match (view.project, filter.projects.as_slice()) {
        (Some(project), _) => (!view.with_organization).then_some(project),
        (None, [project]) => Some(*project),
        (None, _) => None,
    };
    if let Some(project) = only_project {
        let rows =
            tx.range(&BY_PROJECT, &(organization, project, from), &(organization, project, to), order)?;
        return Ok(Box::new(rows.map(move |row| load(row?.0.2)).filter_map(present)));
    }
    if let [scope] = filter.scopes.as_slice() {
        let key = |id| (organization, scope.clone(), id);
        let rows = tx.range(&BY_SCOPE, &key(from), &key(to), order)?;
        return Ok(Box::new(rows.map(move |row| load(row?.0.2)).filter_map(present)));
    }
    all(tx, organization, (from, to), order)
}

fn all<'a>(tx: &'a Tx, organization: OrganizationId, (from, to): Span, order: Order) -> Result<Rows<'a>> {
    let rows = tx.range(&ENTRIES, &(organization, from), &(organization, to), order)?;
    Ok(Box::new(rows.map(|row| row.map(|((_, id), entry)| (id, entry)).map_err(Into::into))))
}
