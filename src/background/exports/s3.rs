//! Delivery to S3 and what speaks its language: one file for each run, or several numbered ones with a list
//! of them.
//! Holds always: a file appears when it is whole, or not at all. An attempt begins from the beginning and
//! replaces what an earlier one has left.

use std::time::Duration;

use bytes::Bytes;
use rusty_s3::actions::CreateMultipartUpload;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use serde_json::json;
use url::Url;

use super::file::{Encoder, Format};
use super::job::{Job, Outcome, Stop};
use super::records::Records;
use crate::clock::Time;
use crate::outbound::{Delivery, Receipt, Undelivered};
use crate::resources::batch_exports::columns::Value;
use crate::resources::batch_exports::isoformat;
use crate::resources::batch_exports::runs::Progress;

/// How long the signature of a request is good for, and how long a request may take.
const SIGNED_TIME: Duration = Duration::from_secs(15 * 60);
const TIME_MAX: Duration = Duration::from_secs(10 * 60);
/// How long a bucket may take to forget the parts of a file.
const ABORT_TIME_MAX: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How often a part, or a small file, is sent before the attempt is given up because it came too slowly.
const UPLOADS_MAX: usize = 5;

/// Where the files go.
struct Target<'a> {
    job: &'a Job,
    bucket: Bucket,
    credentials: Option<Credentials>,
    /// What is asked for each file: its encryption.
    headers: Vec<(&'static str, String)>,
}

/// Uploads all records of the job; the number of them.
pub(super) async fn export(job: &Job) -> Outcome<u64> {
    let mut records = Records::of(job)?;
    let format = Format::of(job, &records.columns());
    let names = Names::of(job, format.ending())?;
    let target = Target::of(job)?;
    let mut files = Files::of(&target, names, format)?;
    let outcome = job.in_time(upload(job, &mut records, &mut files)).await;
    if outcome.is_err() {
        files.open.abort().await;
    }
    outcome
}

async fn upload(job: &Job, records: &mut Records<'_>, files: &mut Files<'_>) -> Outcome<u64> {
    while records.next(&mut |values| files.open.push(values)).await? {
        // Says whether the run is still wanted.
        job.advance(Progress::default()).await?;
        files.flush().await?;
    }
    files.finish().await?;
    Ok(records.count())
}

/// The files of a run.
struct Files<'a> {
    target: &'a Target<'a>,
    names: Names,
    format: Format,
    /// Those that are whole.
    keys: Vec<String>,
    open: Upload<'a>,
}

impl<'a> Files<'a> {
    fn of(target: &'a Target<'a>, names: Names, format: Format) -> Outcome<Files<'a>> {
        let number = format.is_split().then_some(0);
        let open = Upload::new(target, names.file(number), format.begin()?);
        Ok(Files { target, names, format, keys: Vec::new(), open })
    }

    /// Sends what is ready, and begins another file where this one is large enough.
    async fn flush(&mut self) -> Outcome<()> {
        self.open.flush().await?;
        if self.format.bytes_max().is_some_and(|max| self.open.written >= max) {
            self.end_file().await?;
            let key = self.names.file(Some(self.keys.len()));
            self.open = Upload::new(self.target, key, self.format.begin()?);
        }
        Ok(())
    }

    async fn end_file(&mut self) -> Outcome<()> {
        self.open.finish().await?;
        self.keys.push(self.open.key.clone());
        Ok(())
    }

    /// Ends the last file, and lists them where there may be several.
    async fn finish(&mut self) -> Outcome<()> {
        if !self.open.is_empty {
            self.end_file().await?;
        }
        if self.format.is_split() && !self.keys.is_empty() {
            let list = json!({"files": self.keys}).to_string();
            self.target.put(&self.names.manifest(), list.into()).await?;
        }
        Ok(())
    }
}

/// The names of a run's files.
struct Names {
    /// Without a number and an ending.
    base: String,
    ending: String,
}

impl Names {
    fn of(job: &Job, ending: String) -> Outcome<Names> {
        let (start, end) = (job.run.start, job.run.end);
        let prefix = filled(job.text("prefix").unwrap_or_default(), start, end, job.plan.model.name())
            .map_err(|name| {
                Stop::Fatal(format!(
                    "InvalidS3Key: An invalid S3 key was provided: unknown template '{name}'"
                ))
            })?;
        let range = format!("{}-{}", bound(start), isoformat(end));
        let prefix = prefix.trim_start_matches('/');
        let gap = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
        Ok(Names { base: format!("{prefix}{gap}{range}"), ending })
    }

    fn file(&self, number: Option<usize>) -> String {
        let number = number.map(|number| format!("-{number}")).unwrap_or_default();
        format!("{}{number}{}", self.base, self.ending)
    }

    fn manifest(&self) -> String {
        format!("{}_manifest.json", self.base)
    }
}

fn bound(time: Option<Time>) -> String {
    time.map_or_else(|| "START".to_owned(), isoformat)
}

/// The prefix with its templates filled in; an unknown one is the error.
fn filled(prefix: &str, start: Option<Time>, end: Time, table: &str) -> Result<String, String> {
    let shown = end.to_string();
    let mut filled = String::new();
    let mut rest = prefix;
    while let Some((front, behind)) = rest.split_once('{') {
        let (name, behind) = behind.split_once('}').ok_or_else(|| behind.to_owned())?;
        filled.push_str(front);
        let value = match name {
            "year" => shown[0..4].to_owned(),
            "month" => shown[5..7].to_owned(),
            "day" => shown[8..10].to_owned(),
            "hour" => shown[11..13].to_owned(),
            "minute" => shown[14..16].to_owned(),
            "second" => shown[17..19].to_owned(),
            "data_interval_start" => bound(start),
            "data_interval_end" => isoformat(end),
            "table" => table.to_owned(),
            unknown => return Err(unknown.to_owned()),
        };
        filled.push_str(&value);
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

impl<'a> Target<'a> {
    fn of(job: &'a Job) -> Outcome<Target<'a>> {
        let text = |name: &str| job.text(name).unwrap_or_default();
        let by_host = job.flag("use_virtual_style_addressing");
        let bucket = bucket(text("endpoint_url"), text("region"), text("bucket_name"), by_host)
            .map_err(|what| Stop::Fatal(format!("InvalidS3EndpointError: {what}")))?;
        let keys = job.text("aws_access_key_id").zip(job.text("aws_secret_access_key"));
        let header = |name, setting| Some((name, job.text(setting)?.to_owned()));
        let headers = [
            header("x-amz-server-side-encryption", "encryption"),
            header("x-amz-server-side-encryption-aws-kms-key-id", "kms_key_id"),
        ];
        Ok(Target {
            job,
            bucket,
            credentials: keys.map(|(key, secret)| Credentials::new(key, secret)),
            headers: headers.into_iter().flatten().collect(),
        })
    }

    /// Uploads a whole small file.
    async fn put(&self, key: &str, body: Bytes) -> Outcome<()> {
        let mut action = self.bucket.put_object(self.credentials.as_ref(), key);
        let url = self.with_headers(&mut action);
        self.upload(delivery("PUT", url, self.headers.clone(), body)).await.map(drop)
    }

    /// Uploads a part or a small file. S3 asks for it again where it came too slowly.
    async fn upload(&self, delivery: Delivery) -> Outcome<Receipt> {
        for _ in 1..UPLOADS_MAX {
            let receipt = self.ask(delivery.clone()).await?;
            if !is_late(&receipt) {
                return self.judge(receipt);
            }
        }
        self.send(delivery).await
    }

    /// The signed address of a request that carries the file's headers.
    fn with_headers<'b>(&'b self, action: &mut impl S3Action<'b>) -> Url {
        for (name, value) in &self.headers {
            action.headers_mut().insert(*name, value.as_str());
        }
        action.sign_with_time(SIGNED_TIME, &self.now())
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.job.now().0).unwrap_or_default()
    }

    async fn send(&self, delivery: Delivery) -> Outcome<Receipt> {
        let receipt = self.ask(delivery).await?;
        self.judge(receipt)
    }

    async fn ask(&self, delivery: Delivery) -> Outcome<Receipt> {
        self.job.send(delivery).await.map_err(|cause| match cause {
            Undelivered::Refused(refused) => refused.into(),
            // An endpoint that is not there is a wrong one; upstream gives up as well.
            Undelivered::Unreachable(told) => Stop::Fatal(format!("EndpointConnectionError: {told}")),
            Undelivered::Unanswered(told) => Stop::Retryable(format!("ConnectionClosedError: {told}")),
        })
    }

    /// What an answer says went wrong. Of a private address that is a code that everybody knows, at most.
    fn told(&self, receipt: &Receipt) -> String {
        let text = receipt.text();
        match known_code(&text).filter(|_| !receipt.is_public) {
            Some(code) => code.to_owned(),
            None => self.job.told(told(&text), receipt.is_public),
        }
    }

    fn judge(&self, receipt: Receipt) -> Outcome<Receipt> {
        let (status, told) = (receipt.status, || self.told(&receipt));
        match status {
            200..=299 => Ok(receipt),
            _ if is_late(&receipt) || matches!(status, 429 | 500..=599) => Err(Stop::Retryable(format!(
                "IntermittentUploadPartTimeoutError: (status: {status}) {}",
                told()
            ))),
            _ => Err(Stop::Fatal(format!("ClientError: (status: {status}) {}", told()))),
        }
    }
}

fn delivery(method: &'static str, url: Url, headers: Vec<(&'static str, String)>, body: Bytes) -> Delivery {
    Delivery { method, url, headers, body, time_max: TIME_MAX, bytes_max: ANSWER_BYTES_MAX }
}

/// Whether what was sent came too slowly.
fn is_late(receipt: &Receipt) -> bool {
    receipt.status == 408 || (receipt.status == 400 && told(&receipt.text()).starts_with("RequestTimeout:"))
}

/// The bucket by its name, at an endpoint that is Amazon's where none is given; what is wrong is the error.
/// Name and region may become parts of the host, and must not lead to another one.
fn bucket(endpoint: &str, region: &str, name: &str, by_host: bool) -> Result<Bucket, String> {
    let is_plain =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    for (text, what) in [(region, "region"), (name, "bucket's name")] {
        if !is_plain(text) {
            return Err(format!("The {what} holds more than letters, digits, dots, hyphens and underscores"));
        }
    }
    let amazon = format!("https://s3.{region}.amazonaws.com");
    let given = if endpoint.is_empty() { &amazon } else { endpoint };
    let url = Url::parse(given).map_err(|cause| format!("Endpoint URL is invalid: {cause}"))?;
    let style = if by_host || endpoint.is_empty() { UrlStyle::VirtualHost } else { UrlStyle::Path };
    Bucket::new(url, style, name.to_owned(), region.to_owned()).map_err(|cause| cause.to_string())
}

/// Codes of S3 that say what to do, and nothing about the network that they come from.
const KNOWN_CODES: &[&str] = &[
    "AccessDenied",
    "BadDigest",
    "EntityTooLarge",
    "EntityTooSmall",
    "ExpiredToken",
    "InternalError",
    "InvalidAccessKeyId",
    "InvalidArgument",
    "InvalidBucketName",
    "InvalidPart",
    "InvalidRequest",
    "InvalidToken",
    "MalformedXML",
    "NoSuchBucket",
    "NoSuchUpload",
    "PermanentRedirect",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "SlowDown",
];

fn known_code(xml: &str) -> Option<&'static str> {
    let code = part(xml, "Code")?;
    KNOWN_CODES.iter().copied().find(|known| *known == code)
}

/// The text of the first element with this name.
fn part<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// Code and sentence of an error of S3.
fn told(xml: &str) -> String {
    match (part(xml, "Code"), part(xml, "Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => xml.trim().to_owned(),
    }
}

/// A file on its way; nothing is sent before there is a record.
struct Upload<'a> {
    target: &'a Target<'a>,
    key: String,
    encoder: Box<dyn Encoder>,
    is_empty: bool,
    /// Encoded, and not sent yet.
    waiting: Vec<u8>,
    /// Encoded bytes so far.
    written: u64,
    /// The upload in parts, once there is one, and the marks of its parts.
    parts: Option<(String, Vec<String>)>,
}

impl<'a> Upload<'a> {
    fn new(target: &'a Target<'a>, key: String, encoder: Box<dyn Encoder>) -> Upload<'a> {
        Upload { target, key, encoder, is_empty: true, waiting: Vec::new(), written: 0, parts: None }
    }

    fn push(&mut self, values: &[Value<'_>]) -> Outcome<()> {
        self.is_empty = false;
        self.encoder.push(values)
    }

    /// Sends what is ready.
    async fn flush(&mut self) -> Outcome<()> {
        // Compression may take a second: the requests of this thread go on elsewhere meanwhile.
        let bytes = tokio::task::block_in_place(|| self.encoder.encode())?;
        self.write(bytes).await
    }

    async fn write(&mut self, bytes: Vec<u8>) -> Outcome<()> {
        self.written += bytes.len() as u64;
        self.waiting.extend_from_slice(&bytes);
        drop(bytes);
        // Larger files are uploaded in parts.
        let part_bytes = self.target.job.sizes.part;
        while self.waiting.len() >= part_bytes {
            let rest = self.waiting.split_off(part_bytes);
            let part = std::mem::replace(&mut self.waiting, rest);
            self.send_part(part).await?;
        }
        Ok(())
    }

    async fn send_part(&mut self, part: Vec<u8>) -> Outcome<()> {
        let Target { bucket, credentials, headers, .. } = self.target;
        if self.parts.is_none() {
            let mut action = bucket.create_multipart_upload(credentials.as_ref(), &self.key);
            let url = self.target.with_headers(&mut action);
            let receipt = self.target.send(delivery("POST", url, headers.clone(), Bytes::new())).await?;
            let begun = CreateMultipartUpload::parse_response(&receipt.text());
            let begun = begun.map_err(|cause| {
                let told = self.target.job.told(cause.to_string(), receipt.is_public);
                Stop::Fatal(format!("ClientError: The answer makes no sense: {told}"))
            })?;
            self.parts = Some((begun.upload_id().to_owned(), Vec::new()));
        }
        let Some((id, marks)) = &mut self.parts else { return Ok(()) };
        let number = u16::try_from(marks.len() + 1)
            .map_err(|_| Stop::Fatal("ValueError: The file has too many parts".into()))?;
        let action = bucket.upload_part(credentials.as_ref(), &self.key, number, id);
        let url = action.sign_with_time(SIGNED_TIME, &self.target.now());
        let receipt = self.target.upload(delivery("PUT", url, Vec::new(), part.into())).await?;
        let mark = receipt.header("etag").map(str::to_owned);
        marks.push(mark.ok_or_else(|| Stop::Fatal("ClientError: A part has no ETag".into()))?);
        Ok(())
    }

    /// Makes the file appear.
    async fn finish(&mut self) -> Outcome<()> {
        let end = tokio::task::block_in_place(|| self.encoder.end())?;
        self.write(end).await?;
        let last = std::mem::take(&mut self.waiting);
        if self.parts.is_none() {
            return self.target.put(&self.key, last.into()).await;
        }
        if !last.is_empty() {
            self.send_part(last).await?;
        }
        let Some((id, marks)) = &self.parts else { return Ok(()) };
        let Target { bucket, credentials, .. } = self.target;
        let marks = marks.iter().map(String::as_str);
        let action = bucket.complete_multipart_upload(credentials.as_ref(), &self.key, id, marks);
        let url = action.sign_with_time(SIGNED_TIME, &self.target.now());
        let receipt = self.target.send(delivery("POST", url, Vec::new(), action.body().into())).await?;
        // S3 may say 200 first and think better of it later.
        if receipt.text().contains("<Error>") {
            return Err(Stop::Retryable(format!("ClientError: {}", self.target.told(&receipt))));
        }
        Ok(())
    }

    /// Forgets the parts that were sent.
    async fn abort(&mut self) {
        let Some((id, _)) = self.parts.take() else { return };
        let Target { bucket, credentials, .. } = self.target;
        let action = bucket.abort_multipart_upload(credentials.as_ref(), &self.key, &id);
        let url = action.sign_with_time(SIGNED_TIME, &self.target.now());
        // Whoever pays for the bucket has rules for what is left; there is nobody else to tell.
        let asked = self.target.send(delivery("DELETE", url, Vec::new(), Bytes::new()));
        let _ = tokio::time::timeout(ABORT_TIME_MAX, asked).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_of_the_prefix_are_filled_from_the_end_of_the_interval() {
        let (start, end) =
            (Time::parse("2023-04-25T13:30:00Z"), Time::parse("2023-04-25T14:30:05Z").unwrap());
        let fill = |prefix: &str| filled(prefix, start, end, "events");
        assert_eq!(
            fill("a/{year}-{month}-{day}/{hour}{minute}{second}/{table}").unwrap(),
            "a/2023-04-25/143005/events"
        );
        let both = fill("{data_interval_start}_{data_interval_end}").unwrap();
        assert_eq!(both, "2023-04-25T13:30:00+00:00_2023-04-25T14:30:05+00:00");
        assert_eq!(fill("plain").unwrap(), "plain");
        assert_eq!(fill("{unknown}"), Err("unknown".into()));
        assert_eq!(fill("{year"), Err("year".into()));
    }

    #[test]
    fn a_bucket_is_named_in_the_path_of_an_endpoint_of_ones_own_and_in_the_host_else() {
        let at = |endpoint: &str, by_host: bool| {
            let bucket = bucket(endpoint, "eu-west-1", "events", by_host).unwrap();
            bucket.object_url("a/b").to_string()
        };
        assert_eq!(at("", false), "https://events.s3.eu-west-1.amazonaws.com/a/b");
        assert_eq!(at("http://127.0.0.1:9000", false), "http://127.0.0.1:9000/events/a/b");
        assert_eq!(at("http://minio:9000/", true), "http://events.minio:9000/a/b");
        assert!(bucket("nonsense", "eu-west-1", "events", false).is_err());
    }

    #[test]
    fn no_name_of_a_bucket_or_region_leads_to_another_host() {
        for (region, name) in [
            ("eu-west-1", "evil.example:x"),
            ("eu-west-1", "evil.example/x"),
            ("eu-west-1", "evil.example#"),
            ("eu-west-1", "a@evil.example"),
            ("x@evil.example/", "events"),
            ("evil.example:1/", "events"),
            ("x?", "events"),
        ] {
            assert!(bucket("", region, name, false).is_err(), "{region} {name}");
            assert!(bucket("https://minio.example", region, name, true).is_err(), "{region} {name}");
        }
    }

    #[test]
    fn an_error_is_told_by_its_code_and_sentence() {
        let xml = "<Error><Code>NoSuchBucket</Code><Message>The bucket is not there</Message></Error>";
        assert_eq!(told(xml), "NoSuchBucket: The bucket is not there");
        assert_eq!(told("plain"), "plain");
    }
}
