//! The bucket: signed requests to it, and what their answers mean for the attempt.

use std::time::Duration;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use rusty_s3::{Bucket, Credentials, S3Action};
use url::Url;

use super::answers::{Fate, S3Error, error_text, fate, is_completed, is_page};
use crate::background::exports::deliver::Transport;
use crate::background::exports::error::{AttemptError, Result};
use crate::background::exports::plan::Plan;
use crate::backoff::Backoff;
use crate::outbound::{SendError, SendRequest, SendResponse};
use crate::resources::batch_exports::bucket::{bucket, is_plain};
use crate::resources::batch_exports::redact::Redactor;

/// How long the signature of a request is valid: for as long as it may be sent again.
const SIGNATURE_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10 * 60);
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How often a request is sent in one attempt.
pub(super) const TRIES: u32 = 5;
const RETRY: Backoff = Backoff { first: 1.0, factor: 2.0, max: f64::INFINITY };
/// An attempt waits for at most so many seconds where the other side asks for it: for longer, it ends.
const WAIT_SECONDS_MAX: i64 = 60;

/// Where the files are put.
pub(super) struct Target<'a> {
    pub(super) redactor: &'a Redactor,
    pub(super) transport: &'a Transport,
    /// Larger files are uploaded in parts of this size, in bytes.
    pub(super) part_bytes: usize,
    pub(super) bucket: Bucket,
    pub(super) credentials: Option<Credentials>,
    /// Sent with each new file: its encryption.
    pub(super) headers: Vec<(&'static str, String)>,
}

impl<'a> Target<'a> {
    pub(super) fn of(plan: &'a Plan, transport: &'a Transport) -> Result<Target<'a>> {
        let text = |name: &str| plan.settings.text(name).unwrap_or_default();
        let by_host = plan.settings.flag("use_virtual_style_addressing");
        let bucket = bucket(text("endpoint_url"), text("region"), text("bucket_name"), by_host)
            .map_err(|reason| AttemptError::Fatal(format!("InvalidS3EndpointError: {reason}")))?;
        let keys = plan.settings.text("aws_access_key_id").zip(plan.settings.text("aws_secret_access_key"));
        let header = |name, setting| Some((name, plan.settings.text(setting)?.to_owned()));
        let headers = [
            header("x-amz-server-side-encryption", "encryption"),
            header("x-amz-server-side-encryption-aws-kms-key-id", "kms_key_id"),
        ];
        Ok(Target {
            redactor: &plan.redactor,
            transport,
            part_bytes: plan.sizes.part,
            bucket,
            credentials: keys.map(|(key, secret)| Credentials::new(key, secret)),
            headers: headers.into_iter().flatten().collect(),
        })
    }

    /// # Errors
    /// `Fatal` where a request cannot name the key to the letter: `.` and `..` lead elsewhere in an address.
    pub(super) fn check_key(&self, key: &str) -> Result<()> {
        let decoded = |url: &Url| percent_decode_str(url.path()).collect::<Vec<u8>>();
        let wanted = [decoded(self.bucket.base_url()).as_slice(), key.as_bytes()].concat();
        if decoded(&self.bucket.object_url(key)) == wanted {
            return Ok(());
        }
        let reason = "'.' and '..' cannot stand between the slashes of the prefix";
        Err(AttemptError::Fatal(format!("InvalidS3Key: An invalid S3 key was provided: {reason}")))
    }

    /// Uploads a whole small file.
    pub(super) async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let action = self.bucket.put_object(self.credentials.as_ref(), key);
        let request = self.request_with_headers("PUT", action, body);
        Ok(self.send(request).await.map(drop)?)
    }

    /// Sends a request, a few times where it may succeed later and the other side answers at all. Anything but
    /// success is an error.
    pub(super) async fn send(&self, request: SendRequest) -> std::result::Result<SendResponse, Fault> {
        let mut failures = 0;
        loop {
            let fault = match self.send_once(request.clone()).await {
                Ok(response) => return Ok(response),
                Err(fault) => fault,
            };
            failures += 1;
            if failures == TRIES || !self.has_waited(&fault, failures).await {
                return Err(fault);
            }
        }
    }

    /// Waits before a request is sent again; false where it must not be.
    pub(super) async fn has_waited(&self, fault: &Fault, failures: u32) -> bool {
        let Failure::Answered(Fate::Resend) = fault.failure else { return false };
        let now = self.transport.now();
        match fault.wait_seconds {
            // What came too slowly is sent again at once, as S3 has it.
            None if fault.is_late => {}
            None => self.transport.rest_until(RETRY.retry_at(now, failures - 1)).await,
            Some(seconds) if seconds > WAIT_SECONDS_MAX => return false,
            Some(seconds) => self.transport.rest_until(now.plus_seconds(seconds)).await,
        }
        true
    }

    /// Sends a request once; anything but success is an error.
    pub(super) async fn send_once(&self, request: SendRequest) -> std::result::Result<SendResponse, Fault> {
        let has_answered = self.transport.has_answered();
        let response = self.transport.send(request).await.map_err(|cause| match cause {
            SendError::Refused(refused) => Fault::of(refused.into()),
            SendError::Unusable(reason) => {
                Fault::of(AttemptError::Fatal(format!("EndpointConnectionError: {reason}")))
            }
            SendError::Unreachable(reason) => Fault::lost(has_answered, "EndpointConnectionError", &reason),
            SendError::Broken(reason) | SendError::Late(reason) => {
                Fault::lost(has_answered, "ConnectionClosedError", &reason)
            }
        })?;
        self.judge(response)
    }

    /// A signed request.
    pub(super) fn request<'b>(
        &self,
        method: &'static str,
        action: &impl S3Action<'b>,
        body: Bytes,
    ) -> SendRequest {
        let now = jiff::Timestamp::from_microsecond(self.transport.now().0).unwrap_or_default();
        SendRequest {
            method,
            url: action.sign_with_time(SIGNATURE_LIFETIME, &now),
            headers: Vec::new(),
            body,
            time_max: REQUEST_TIMEOUT,
            bytes_max: ANSWER_BYTES_MAX,
        }
    }

    /// A signed request that begins a file, with the file's headers.
    pub(super) fn request_with_headers<'b>(
        &'b self,
        method: &'static str,
        mut action: impl S3Action<'b>,
        body: Bytes,
    ) -> SendRequest {
        for (name, value) in &self.headers {
            action.headers_mut().insert(*name, value.as_str());
        }
        SendRequest { headers: self.headers.clone(), ..self.request(method, &action, body) }
    }

    /// What an answer means. S3 can report an error inside a 200 body.
    fn judge(&self, response: SendResponse) -> std::result::Result<SendResponse, Fault> {
        let (status, text) = (response.status, response.text());
        let error = S3Error::parse(&text);
        let is_good = matches!(status, 200..=299);
        if is_good && error.is_none() && !is_page(&text) {
            // What broke off could have become an error.
            let is_known = response.is_whole || is_completed(&text);
            return if is_known { Ok(response) } else { Err(Fault::foreign("The answer broke off")) };
        }
        let fate = fate(status, error.as_ref());
        let described = self.described(&response, error.as_ref());
        let text = match fate {
            _ if is_good => format!("ClientError: {described}"),
            Fate::Never => format!("ClientError: (status: {status}) {described}"),
            Fate::Resend | Fate::Restart => {
                format!("IntermittentUploadPartTimeoutError: (status: {status}) {described}")
            }
        };
        Err(Fault {
            failure: Failure::Answered(fate),
            text,
            wait_seconds: response.retry_after_seconds(self.transport.now()),
            is_late: status == 408 || error.is_some_and(|error| error.is("RequestTimeout")),
        })
    }

    /// The error in an answer, and what to do about it. Of a private address only a code that S3 documents is
    /// shown.
    fn described(&self, response: &SendResponse, error: Option<&S3Error>) -> String {
        let text = response.text();
        let shown = match error.and_then(S3Error::known_code) {
            Some(code) if !response.is_public => code.to_owned(),
            _ => self.redactor.redacted_excerpt(error_text(&text), response.is_public),
        };
        let region = response.header("x-amz-bucket-region").filter(|region| is_plain(region));
        let is_elsewhere = matches!(response.status, 301 | 307 | 308 | 400);
        let hint = match region.filter(|region| is_elsewhere && *region != self.bucket.region()) {
            Some(region) if response.is_public => format!("The bucket is in the region '{region}'"),
            Some(_) => "The bucket is in another region".to_owned(),
            None if error.is_some_and(S3Error::is_about_time) => {
                "The clocks of this server and of the bucket differ".to_owned()
            }
            None if response.status == 413 => "The file is sent in bodies that are too large for a server \
                                               on the way, which must take 16 MiB"
                .to_owned(),
            None if is_page(&text) => "This is a page for people, and not from a bucket".to_owned(),
            None => return shown,
        };
        format!("{shown} ({hint})")
    }
}

/// Why a request has failed.
pub(super) struct Fault {
    failure: Failure,
    text: String,
    /// How many seconds the other side asks to wait.
    wait_seconds: Option<i64>,
    /// Whether the request came too slowly.
    is_late: bool,
}

enum Failure {
    /// By an answer, or after one.
    Answered(Fate),
    /// Before there was any answer, and what that means for the attempt.
    Unanswered(AttemptError),
}

impl Fault {
    fn of(error: AttemptError) -> Fault {
        Fault { failure: Failure::Unanswered(error), text: String::new(), wait_seconds: None, is_late: false }
    }

    /// There is no answer. Where there never was one, nobody waits for the next one in this attempt.
    fn lost(has_answered: bool, name: &str, reason: &str) -> Fault {
        let text = format!("{name}: {reason}");
        if !has_answered {
            return Fault::of(AttemptError::Retryable(text));
        }
        Fault { failure: Failure::Answered(Fate::Resend), text, wait_seconds: None, is_late: false }
    }

    /// An answer that is none of S3's, as of a proxy that has lost the bucket.
    pub(super) fn foreign(text: &str) -> Fault {
        let text = format!("ClientError: {text}");
        Fault { failure: Failure::Answered(Fate::Resend), text, wait_seconds: None, is_late: false }
    }

    /// Whether the request may have had its effect although it seems to have failed.
    pub(super) fn is_doubtful(&self) -> bool {
        matches!(self.failure, Failure::Answered(Fate::Resend | Fate::Restart))
    }
}

impl From<Fault> for AttemptError {
    fn from(fault: Fault) -> AttemptError {
        match fault.failure {
            Failure::Unanswered(error) => error,
            Failure::Answered(Fate::Never) => AttemptError::Fatal(fault.text),
            Failure::Answered(_) => AttemptError::later(fault.text, fault.wait_seconds),
        }
    }
}
