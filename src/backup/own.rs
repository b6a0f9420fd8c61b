//! Backups that the server makes of its own file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use super::{Made, Outcome, Place, make};
use crate::app::App;
use crate::backup_folder::name_of;
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

/// Makes a backup in the folder, which is made where there is none.
///
/// # Errors
/// One sentence for the operator.
pub async fn make_own(app: &Arc<App>, folder: PathBuf) -> Outcome<Made> {
    let now = app.clock.now();
    let rows = app.store.pin(now).map_err(|cause| cause.to_string())?;
    let rows = Watched { rows, app: Arc::downgrade(app) };
    let making = yielding_thread::run("backup", move || add(rows, &folder));
    making.await.map_err(|cause| format!("the backup could not be made: {cause}"))?
}

fn add(mut rows: Watched, folder: &Path) -> Outcome<Made> {
    let shown = folder.display();
    std::fs::create_dir_all(folder).map_err(|cause| format!("cannot make the folder {shown}: {cause}"))?;
    let place = Place::new(&folder.join(name_of(rows.header().taken())), false, None)?;
    make(&mut rows, &place, None)
}
