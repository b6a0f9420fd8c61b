//! The upload of one file: at once where it is small, else in parts.

use std::time::Duration;

use bytes::Bytes;

use super::answers::{self, is_completed, upload_id};
use super::target::{Fault, TRIES, Target};
use crate::background::exports::encode::Encoder;
use crate::background::exports::error::{AttemptError, Result};
use crate::resources::batch_exports::columns::Value;

/// How long a bucket may take to remove the parts of a file.
const ABORT_TIMEOUT: Duration = Duration::from_secs(30);

/// How many parts are listed at once: their list must fit into an answer.
const PARTS_LISTED_MAX: u16 = 100;

/// A file on its way; nothing is sent before there is a record.
pub(super) struct Upload {
    key: String,
    encoder: Box<dyn Encoder>,
    is_empty: bool,
    /// Encoded, and not sent yet.
    waiting: Vec<u8>,
    /// Encoded bytes so far.
    written: u64,
    /// The upload in parts, once there is one.
    parts: Option<Parts>,
}

/// An upload in parts.
struct Parts {
    id: String,
    /// When it began, by the clock of the bucket, in seconds since 1970.
    begun: Option<i64>,
    /// One for each part, in order; `None` where it did not come with the answer.
    etags: Vec<Option<String>>,
}

impl Upload {
    pub(super) fn new(key: String, encoder: Box<dyn Encoder>) -> Upload {
        Upload { key, encoder, is_empty: true, waiting: Vec::new(), written: 0, parts: None }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// How large the file is so far, in bytes.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Takes a record.
    pub(super) fn push(&mut self, values: &[Value<'_>]) -> Result<()> {
        self.is_empty = false;
        self.encoder.push(values)
    }

    /// Encodes the records that were taken.
    pub(super) fn encode(&mut self) -> Result<()> {
        // Compression may take a second: the requests of this thread are served by others meanwhile.
        let bytes = tokio::task::block_in_place(|| self.encoder.encode())?;
        self.append(&bytes);
        Ok(())
    }

    /// Takes bytes that are part of the file as they are.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        self.waiting.extend_from_slice(bytes);
    }

    /// Sends a part where enough waits for one; false where not.
    pub(super) async fn send_full_part(&mut self, target: &Target<'_>) -> Result<bool> {
        let part_bytes = target.part_bytes;
        if self.waiting.len() < part_bytes {
            return Ok(false);
        }
        let rest = self.waiting.split_off(part_bytes);
        let part = std::mem::replace(&mut self.waiting, rest);
        self.send_part(target, part).await?;
        Ok(true)
    }

    async fn send_part(&mut self, target: &Target<'_>, part: Vec<u8>) -> Result<()> {
        let parts = match &mut self.parts {
            Some(parts) => parts,
            None => self.parts.insert(begin(target, &self.key).await?),
        };
        let number = u16::try_from(parts.etags.len() + 1)
            .map_err(|_| AttemptError::Fatal("ValueError: The file has too many parts".into()))?;
        let action = target.bucket.upload_part(target.credentials.as_ref(), &self.key, number, &parts.id);
        let response = target.send(target.request("PUT", &action, part.into())).await?;
        parts.etags.push(response.header("etag").and_then(etag).map(str::to_owned));
        Ok(())
    }

    /// Makes the file appear.
    pub(super) async fn finish(&mut self, target: &Target<'_>) -> Result<()> {
        let end = tokio::task::block_in_place(|| self.encoder.end())?;
        self.append(&end);
        drop(end);
        while self.send_full_part(target).await? {}
        let last = std::mem::take(&mut self.waiting);
        if self.parts.is_none() {
            return target.put(&self.key, last.into()).await;
        }
        if !last.is_empty() {
            self.send_part(target, last).await?;
        }
        let Some(parts) = &self.parts else { return Ok(()) };
        let etags = etags(target, &self.key, parts).await?;
        complete(target, &self.key, parts, &etags, self.written).await
    }

    /// Removes the parts that were sent.
    pub(super) async fn abort(&mut self, target: &Target<'_>) {
        let Some(parts) = self.parts.take() else { return };
        let action = target.bucket.abort_multipart_upload(target.credentials.as_ref(), &self.key, &parts.id);
        let sending = target.send_once(target.request("DELETE", &action, Bytes::new()));
        // Buckets have rules that remove parts which are left, so a failure matters to no user.
        let _ = tokio::time::timeout(ABORT_TIMEOUT, sending).await;
    }
}

/// Begins an upload in parts.
async fn begin(target: &Target<'_>, key: &str) -> Result<Parts> {
    let mut failures = 0;
    loop {
        let action = target.bucket.create_multipart_upload(target.credentials.as_ref(), key);
        let response = target.send(target.request_with_headers("POST", action, Bytes::new())).await?;
        if let Some(id) = upload_id(&response.text()) {
            return Ok(Parts { id, begun: response.date("date"), etags: Vec::new() });
        }
        let fault = Fault::foreign("The answer holds no UploadId");
        failures += 1;
        if failures == TRIES || !target.has_waited(&fault, failures).await {
            return Err(fault.into());
        }
    }
}

/// The ETags of all parts. Those that a proxy has left out are in the bucket's list.
async fn etags(target: &Target<'_>, key: &str, parts: &Parts) -> Result<Vec<String>> {
    let mut etags = parts.etags.clone();
    while let Some(place) = etags.iter().position(Option::is_none) {
        let mut action = target.bucket.list_parts(target.credentials.as_ref(), key, &parts.id);
        action.set_max_parts(PARTS_LISTED_MAX);
        // The list begins after this number.
        action.set_part_number_marker(u16::try_from(place).unwrap_or(u16::MAX));
        let response = target.send(target.request("GET", &action, Bytes::new())).await?;
        for (number, etag) in answers::etags(&response.text()) {
            if let Some(unknown) = etags.get_mut(usize::from(number).wrapping_sub(1)) {
                unknown.get_or_insert(etag);
            }
        }
        if etags[place].is_none() {
            let error = "ClientError: A part has no ETag: the server, or a proxy, leaves it out";
            return Err(AttemptError::Fatal(error.into()));
        }
    }
    Ok(etags.into_iter().flatten().collect())
}

/// Makes a file of the parts. An answer can get lost, or break off, while the bucket still works: then the file
/// itself says whether it is there.
async fn complete(target: &Target<'_>, key: &str, parts: &Parts, etags: &[String], bytes: u64) -> Result<()> {
    let mut failures = 0;
    loop {
        let etags = etags.iter().map(String::as_str);
        let credentials = target.credentials.as_ref();
        let action = target.bucket.complete_multipart_upload(credentials, key, &parts.id, etags);
        let mut request = target.request("POST", &action, Bytes::new());
        request.body = action.body().into();
        let fault = match target.send_once(request).await {
            Ok(response) if is_completed(&response.text()) => return Ok(()),
            Ok(_) => Fault::foreign("The answer does not say that the upload is complete"),
            Err(fault) => fault,
        };
        if fault.is_doubtful() && has_appeared(target, key, parts, bytes).await {
            return Ok(());
        }
        failures += 1;
        if failures == TRIES || !target.has_waited(&fault, failures).await {
            return Err(fault.into());
        }
    }
}

/// Whether there is a file of this size that is not older than the upload: an earlier run may have left one.
async fn has_appeared(target: &Target<'_>, key: &str, parts: &Parts, bytes: u64) -> bool {
    let action = target.bucket.head_object(target.credentials.as_ref(), key);
    let Ok(response) = target.send_once(target.request("HEAD", &action, Bytes::new())).await else {
        return false;
    };
    let size = response.header("content-length").and_then(|size| size.parse().ok());
    let changed = response.date("last-modified");
    size == Some(bytes) && changed.zip(parts.begun).is_some_and(|(changed, begun)| changed >= begun)
}

/// An ETag in the form in which it came, quoted or not; proxies that compress mark it as weak.
fn etag(value: &str) -> Option<&str> {
    let value = value.trim();
    let strong = value.strip_prefix("W/").unwrap_or(value);
    (!strong.trim_matches('"').is_empty()).then_some(strong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_stays_as_it_came_and_an_empty_one_is_none() {
        for (value, wanted) in [
            ("\"abc\"", Some("\"abc\"")),
            ("abc", Some("abc")),
            ("W/\"abc\"", Some("\"abc\"")),
            (" \"abc-1\" ", Some("\"abc-1\"")),
            ("", None),
            ("\"\"", None),
            ("W/\"\"", None),
        ] {
            assert_eq!(etag(value), wanted, "{value:?}");
        }
    }
}
