//! Backups that the server makes of its own file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use super::{CACHE_BYTES, Made, Outcome, Place, make_within};
use crate::app::App;
use crate::backup_folder::{Occasion, name_of};
use crate::pool::Account;
use crate::store::{Header, Pinned, Rows, Step, StoreError};
use crate::yielding_thread;

/// The rows of the open file, until it fails or is closed: it can't go on while somebody reads an old state.
struct Watched {
    rows: Pinned,
    app: Weak<App>,
}

impl Rows for Watched {
    fn header(&self) -> &Header {
        self.rows.header()
    }

    fn next(&mut self) -> Result<Step, StoreError> {
        match self.app.upgrade() {
            Some(app) if app.store.healthy() => self.rows.next(),
            Some(_) => Err(StoreError::record("the data file failed while it was copied".into())),
            None => Err(StoreError::record("the server stopped while its file was copied".into())),
        }
    }
}

/// Rows that wait to be written, and what it takes besides to work with pages, in bytes.
const WORK_BYTES: usize = 2 * 1024 * 1024;

/// Makes a backup in the folder, which is made where there is none. Its memory is a part of that for all work.
///
/// # Errors
/// One sentence for the operator.
pub async fn make_own(app: &Arc<App>, folder: PathBuf, occasion: Occasion) -> Outcome<Made> {
    let cache_bytes = CACHE_BYTES.min(app.work.bytes_max_of(Account::Backups).saturating_sub(WORK_BYTES));
    let memory = app.work.share(Account::Backups, cache_bytes + WORK_BYTES);
    let busy = |_| "there was no memory for a backup: requests and exports had all of it".to_owned();
    let wanted = (cache_bytes + WORK_BYTES).min(app.work.bytes_max_of(Account::Backups));
    memory.grow(wanted).await.map_err(busy)?;
    let now = app.clock.now();
    let rows = app.store.pin(now).map_err(|cause| cause.to_string())?;
    let rows = Watched { rows, app: Arc::downgrade(app) };
    let making = yielding_thread::run("backup", move || {
        let made = add(rows, &folder, occasion, cache_bytes);
        drop(memory);
        made
    });
    making.await.map_err(|cause| format!("the backup could not be made: {cause}"))?
}

fn add(mut rows: Watched, folder: &Path, occasion: Occasion, cache_bytes: usize) -> Outcome<Made> {
    let shown = folder.display();
    std::fs::create_dir_all(folder).map_err(|cause| format!("cannot make the folder {shown}: {cause}"))?;
    let place = Place::new(&folder.join(name_of(rows.header().taken(), occasion)), false, None)?;
    make_within(&mut rows, &place, None, cache_bytes)
}
