//! Finding entries of the audit log: by the index that fits the filter best, and never more than so many at once.

use uuid::Uuid;

use super::Entry;
use super::filter::Filter;
use super::of::{self, Of, Rows};
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

/// The entries of the narrowest index that holds all that the filter admits.
pub(super) fn rows<'a>(
    tx: &'a Tx,
    view: View,
    filter: &Filter,
    span: Span,
    order: Order,
) -> Result<Rows<'a>> {
    let only_project = match (view.project, filter.projects.as_slice()) {
        (Some(project), _) => (!view.with_organization).then_some(project),
        (None, [project]) => Some(*project),
        (None, _) => None,
    };
    let of = match (filter.scopes.as_slice(), filter.items.as_slice(), only_project) {
        ([scope], [item], _) => Some(Of::Item(scope, item)),
        (_, _, Some(project)) => Some(Of::Project(project)),
        ([scope], _, None) => Some(Of::Scope(scope)),
        _ => None,
    };
    of::rows(tx, view.organization, of, span, order)
}
