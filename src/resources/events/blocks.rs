//! How events are stored: in blocks of up to two pages, in the order of their arrival. A row for each would cost a walk down the
//! tree for each, and most of what a commit of many events takes.
//! Invariant: blocks of a project do not overlap; the key of a block is the identifier of its first event.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Event;
use crate::clock::Ids;
use crate::ids::ProjectId;
use crate::resources::samples::{ONE, Samples};
use crate::store::{Order, Packed, StoreError, Table, Tx, WriteTx};

type Result<T> = std::result::Result<T, StoreError>;

/// What the events of a block may take, in bytes, but for a single larger one. A page of the file has 4 KiB or twice as much
/// each time: a block and its key fill two.
const BYTES_MAX: usize = 8000;

/// By project and first event.
pub(super) static BLOCKS: Table<(ProjectId, Uuid), Block> = Table::new("event_blocks").busy();

/// Events in the order of their arrival, at least one: each with its identifier, and read by whoever wants it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Block(Vec<(Uuid, Packed<Event>)>);

/// Puts events into blocks as they arrive.
pub(super) struct Filling<'a> {
    tx: &'a WriteTx,
    project: ProjectId,
    first: Uuid,
    events: Vec<(Uuid, Packed<Event>)>,
    bytes: usize,
}

impl<'a> Filling<'a> {
    pub(super) fn new(tx: &'a WriteTx, project: ProjectId) -> Filling<'a> {
        Filling { tx, project, first: Uuid::nil(), events: Vec::new(), bytes: 0 }
    }

    /// Adds an event that comes after those before.
    pub(super) fn add(&mut self, id: Uuid, event: &Event) -> Result<()> {
        self.push(id, Packed::of(event)?)
    }

    fn push(&mut self, id: Uuid, event: Packed<Event>) -> Result<()> {
        // With the identifier and the lengths of both.
        const BESIDE_BYTES: usize = 20;
        let bytes = event.bytes() + BESIDE_BYTES;
        if self.bytes + bytes > BYTES_MAX {
            self.store()?;
        }
        if self.events.is_empty() {
            self.first = id;
        }
        self.bytes += bytes;
        self.events.push((id, event));
        Ok(())
    }

    /// Stores the block that has been filled so far.
    pub(super) fn store(&mut self) -> Result<()> {
        if self.events.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let block = Block(std::mem::take(&mut self.events));
        self.tx.insert(&BLOCKS, &(self.project, self.first), &block)
    }
}

/// The events of a project from one identifier up to, and without, another one.
pub(super) fn between(
    tx: &Tx,
    project: ProjectId,
    from: Uuid,
    to: Uuid,
) -> Result<impl Iterator<Item = Result<(Uuid, Event)>> + use<>> {
    let begin = block_at(tx, project, from)?.unwrap_or(from);
    let blocks = tx.range(&BLOCKS, &(project, begin), &(project, to.max(begin)), Order::Ascending)?;
    Ok(blocks.flat_map(move |row| unpacked(row, Order::Ascending, move |id| (from..to).contains(&id))))
}

/// All events of a project.
pub(super) fn all(
    tx: &Tx,
    project: ProjectId,
    order: Order,
) -> Result<impl Iterator<Item = Result<(Uuid, Event)>> + use<>> {
    let blocks = tx.range(&BLOCKS, &(project, Uuid::nil()), &(project, Uuid::max()), order)?;
    Ok(blocks.flat_map(move |row| unpacked(row, order, |_| true)))
}

/// The events of all projects, each with its project and its identifier.
pub(super) fn of_all_projects(
    tx: &Tx,
) -> Result<impl Iterator<Item = Result<(ProjectId, Uuid, Event)>> + use<>> {
    let blocks = tx.range(&BLOCKS, &ProjectId(0), &ProjectId(u32::MAX), Order::Ascending)?;
    Ok(blocks.flat_map(|row| {
        let project = row.as_ref().map_or(ProjectId(0), |((project, _), _)| *project);
        let events = unpacked(row, Order::Ascending, |_| true);
        events.map(move |row| row.map(|(id, event)| (project, id, event)))
    }))
}

/// One event.
pub(super) fn find(tx: &Tx, project: ProjectId, id: Uuid) -> Result<Option<Event>> {
    let found = between(tx, project, id, Ids::after(id))?.next().transpose()?;
    Ok(found.map(|(_, event)| event))
}

/// The key of the block that has an event, if there is one.
fn block_at(tx: &Tx, project: ProjectId, id: Uuid) -> Result<Option<Uuid>> {
    let (from, to) = ((project, Uuid::nil()), (project, Ids::after(id)));
    let newest = tx.range(&BLOCKS, &from, &to, Order::Descending)?.next().transpose()?;
    Ok(newest.map(|((_, first), _)| first))
}

/// Removes the events up to this one.
pub(super) fn remove(tx: &WriteTx, project: ProjectId, up_to: Uuid) -> Result<()> {
    let (from, to) = ((project, Uuid::nil()), (project, Ids::after(up_to)));
    for row in tx.range(&BLOCKS, &from, &to, Order::Ascending)? {
        let (key, Block(events)) = row?;
        tx.delete(&BLOCKS, &key)?;
        let mut left = Filling::new(tx, project);
        for (id, event) in events.into_iter().filter(|(id, _)| *id > up_to) {
            left.push(id, event)?;
        }
        left.store()?;
    }
    Ok(())
}

/// The events of a block that are wanted, or why it could not be read.
fn unpacked(
    row: Result<((ProjectId, Uuid), Block)>,
    order: Order,
    is_wanted: impl Fn(Uuid) -> bool,
) -> impl Iterator<Item = Result<(Uuid, Event)>> {
    let (mut events, failure) = match row {
        Ok((_, Block(events))) => (events, None),
        Err(failure) => (Vec::new(), Some(Err(failure))),
    };
    if order == Order::Descending {
        events.reverse();
    }
    let wanted = events.into_iter().filter(move |(id, _)| is_wanted(*id));
    // Each is read when the iterator reaches it: most who look at the end of a project want one.
    failure.into_iter().chain(wanted.map(|(id, event)| Ok((id, event.get()?))))
}

pub(super) fn samples(all: &mut Samples, event: &Event) {
    let packed = Packed::of(event).unwrap_or_else(|cause| panic!("a sample: {cause}"));
    all.add(&BLOCKS, (ProjectId(7), ONE), Block(vec![(ONE, packed)]));
}
