//! A backup as a file of a bucket, with the same requests as those of exports.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rusty_s3::Credentials;

use super::target::Target;
use super::upload::Upload;
use crate::app::App;
use crate::background::exports::deliver::Transport;
use crate::background::exports::encode::Encoder;
use crate::background::exports::error::{AttemptError, Result};
use crate::background::exports::memory;
use crate::config::BackupS3;
use crate::resources::batch_exports::bucket::bucket;
use crate::resources::batch_exports::columns::Value;
use crate::resources::batch_exports::redact::Redactor;

/// S3 takes no smaller parts, in bytes.
const PART_BYTES_MIN: usize = 5 * 1024 * 1024;
/// S3 takes 10,000 parts.
const PARTS_MAX: usize = 9000;

/// Where backups are put beside the folder.
pub(in crate::background) struct Store<'a> {
    app: &'a Arc<App>,
    settings: &'a BackupS3,
    transport: Transport,
    redactor: Redactor,
}

/// The bytes of the file are there already.
struct AsItIs;

impl Encoder for AsItIs {
    fn push(&mut self, _values: &[Value<'_>]) -> Result<()> {
        Ok(())
    }
    fn encode(&mut self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
    fn end(&mut self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
}

fn unreadable(cause: std::io::Error) -> AttemptError {
    AttemptError::Fatal(format!("the backup cannot be read: {cause}"))
}

fn sentence(error: AttemptError) -> String {
    match error {
        AttemptError::Ended => "it was ended".into(),
        AttemptError::Internal(cause) => cause.to_string(),
        AttemptError::Retryable(text)
        | AttemptError::Throttled { error: text, .. }
        | AttemptError::Fatal(text) => text,
    }
}

impl<'a> Store<'a> {
    pub(in crate::background) fn new(app: &'a Arc<App>, settings: &'a BackupS3) -> Store<'a> {
        let secrets: Vec<String> = settings.secret_access_key.iter().cloned().collect();
        let redactor = Redactor::new(&secrets);
        Store { app, settings, transport: Transport::unseated(app), redactor }
    }

    /// Puts the file there, unless it is there already. It appears when it is whole, or not at all.
    ///
    /// # Errors
    /// What the bucket says.
    pub(in crate::background) async fn put(
        &self,
        path: &Path,
        name: &str,
    ) -> std::result::Result<bool, String> {
        self.put_missing(path, name)
            .await
            .map_err(|error| format!("the backup is not in the bucket: {}", sentence(error)))
    }

    async fn put_missing(&self, path: &Path, name: &str) -> Result<bool> {
        let mut file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let part_bytes = usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(PARTS_MAX).max(PART_BYTES_MIN);
        let target = self.target(part_bytes)?;
        let key = format!("{}{name}", self.settings.prefix);
        target.check_key(&key)?;
        if has(&target, &key, bytes).await {
            return Ok(false);
        }
        // What waits is in memory twice, as it is read and as it is sent.
        let _memory = memory::reserve(self.app, 2 * part_bytes).await;
        let mut upload = Upload::new(key, Box::new(AsItIs));
        let sent = send(&mut file, &mut upload, &target).await;
        if sent.is_err() {
            upload.abort(&target).await;
        }
        sent.map(|()| true)
    }

    fn target(&self, part_bytes: usize) -> Result<Target<'_>> {
        let BackupS3 { bucket: name, endpoint, region, access_key_id, secret_access_key, .. } = self.settings;
        let (name, endpoint) = (name.as_deref().unwrap_or_default(), endpoint.as_deref().unwrap_or_default());
        let bucket = bucket(endpoint, region, name, false).map_err(AttemptError::Fatal)?;
        let keys = access_key_id.as_ref().zip(secret_access_key.as_ref());
        Ok(Target {
            redactor: &self.redactor,
            transport: &self.transport,
            part_bytes,
            bucket,
            credentials: keys.map(|(key, secret)| Credentials::new(key, secret)),
            headers: Vec::new(),
        })
    }
}

async fn send(file: &mut File, upload: &mut Upload, target: &Target<'_>) -> Result<()> {
    loop {
        let mut piece = Vec::new();
        let bytes = target.part_bytes as u64;
        let read =
            tokio::task::block_in_place(|| file.take(bytes).read_to_end(&mut piece)).map_err(unreadable)?;
        if read == 0 {
            return upload.finish(target).await;
        }
        upload.append(&piece);
        drop(piece);
        while upload.send_full_part(target).await? {}
    }
}

/// Whether there is a file of this name and size: names hold the moment of the backup.
async fn has(target: &Target<'_>, key: &str, bytes: u64) -> bool {
    let action = target.bucket.head_object(target.credentials.as_ref(), key);
    let response = target.send_once(target.request("HEAD", &action, Bytes::new())).await;
    let size = response.ok().and_then(|response| response.header("content-length")?.parse::<u64>().ok());
    size == Some(bytes)
}
