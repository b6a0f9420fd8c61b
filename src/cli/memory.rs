//! Data in memory: where it comes from, and where it is saved.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orgd::app::App;
use orgd::backup;
use orgd::clock::Ids;
use orgd::config::Config;
use orgd::store::Storage;
use orgd::vault;

use super::CommandResult;

/// Where the data of a server lies, and what becomes of it at the end.
pub(super) struct Data {
    pub(super) place: Storage,
    save: Option<Save>,
}

struct Save {
    path: PathBuf,
    /// The text of the secret key, unless it is kept elsewhere.
    key: Option<String>,
}

/// The file of the settings, or memory.
///
/// # Errors
/// One sentence for the operator.
pub(super) fn data_of(config: &mut Config) -> Result<Data, String> {
    if !config.testing.in_memory {
        return Ok(Data { place: Storage::File(config.data.clone()), save: None });
    }
    config.data = "(in memory)".into();
    let testing = &config.testing;
    let place = match &testing.from {
        Some(path) => Storage::copy_of(path).map_err(|cause| format!("--from: {cause}"))?,
        None => Storage::memory(),
    };
    let kept_elsewhere = config.exports.secret_key.is_some();
    if !kept_elsewhere {
        let key = secret_key(testing.from.as_deref(), testing.save_on_exit.as_deref())?;
        let ids = || testing.ids.map_or_else(Ids::default, |number| Ids::pinned(number, u64::MAX));
        config.exports.secret_key = Some(key.unwrap_or_else(|| ids().base62::<32>()));
    }
    let key = config.exports.secret_key.clone().filter(|_| !kept_elsewhere);
    let save = config.testing.save_on_exit.clone().map(|path| Save { path, key });
    Ok(Data { place, save })
}

/// The secret key beside either file.
fn secret_key(from: Option<&Path>, save: Option<&Path>) -> Result<Option<String>, String> {
    let read = |path: Option<&Path>| match path.map(|path| fs::read_to_string(vault::key_path(path))) {
        Some(Ok(text)) => Ok(Some(text.trim().to_owned())),
        Some(Err(cause)) if cause.kind() != ErrorKind::NotFound => {
            Err(format!("the secret key can't be read: {cause}"))
        }
        _ => Ok(None),
    };
    match (read(from)?, read(save)?) {
        (Some(one), Some(other)) if one != other => {
            Err("the files of --from and --save-on-exit have different keys beside them: name another file to save to".into())
        }
        (one, other) => Ok(one.or(other)),
    }
}

impl Data {
    /// Splits off the place.
    pub(super) fn open(self) -> (Storage, Saving) {
        (self.place, Saving(self.save))
    }
}

/// What is left to do at the end.
pub(super) struct Saving(Option<Save>);

impl Saving {
    /// Writes the data to its file, where it is to be saved.
    pub(super) fn finish(self, app: &Arc<App>) -> CommandResult {
        let Some(Save { path, key }) = self.0 else { return Ok(()) };
        let mut rows = app.store.pin(app.clock.now()).map_err(|cause| cause.to_string())?;
        backup::save(&mut rows, &path, key.as_deref()).map_err(|cause| format!("--save-on-exit: {cause}"))
    }
}
