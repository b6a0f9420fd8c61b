//! The bucket: signed requests to it, and what their answers mean for the attempt.

use std::time::Duration;

use bytes::Bytes;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use url::Url;

use super::answers::{S3Error, error_text};
use crate::background::exports::deliver::Transport;
use crate::background::exports::error::{AttemptError, Result};
use crate::background::exports::plan::Plan;
use crate::outbound::{SendError, SendRequest, SendResponse};

/// How long the signature of a request is valid, and how long a request may take.
const SIGNATURE_LIFETIME: Duration = Duration::from_secs(15 * 60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10 * 60);
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How often a part, or a small file, is sent before the attempt is given up because it came too slowly.
const UPLOADS_MAX: usize = 5;

/// Where the files are put.
pub(super) struct Target<'a> {
    plan: &'a Plan,
    transport: &'a Transport,
    pub(super) bucket: Bucket,
    pub(super) credentials: Option<Credentials>,
    /// Sent with each new file: its encryption.
    headers: Vec<(&'static str, String)>,
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
            plan,
            transport,
            bucket,
            credentials: keys.map(|(key, secret)| Credentials::new(key, secret)),
            headers: headers.into_iter().flatten().collect(),
        })
    }

    /// Larger files are uploaded in parts of this size, in bytes.
    pub(super) fn part_bytes(&self) -> usize {
        self.plan.sizes.part
    }

    /// Uploads a whole small file.
    pub(super) async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let action = self.bucket.put_object(self.credentials.as_ref(), key);
        let request = self.request_with_headers("PUT", action, body);
        self.upload(request).await.map(drop)
    }

    /// Uploads a part or a small file. S3 wants it again where it came too slowly.
    pub(super) async fn upload(&self, request: SendRequest) -> Result<SendResponse> {
        for _ in 1..UPLOADS_MAX {
            let response = self.exchange(request.clone()).await?;
            if !is_timeout(&response) {
                return self.judge(response);
            }
        }
        self.send(request).await
    }

    /// Sends a request; anything but success is an error.
    pub(super) async fn send(&self, request: SendRequest) -> Result<SendResponse> {
        let response = self.exchange(request).await?;
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

    async fn exchange(&self, request: SendRequest) -> Result<SendResponse> {
        self.transport.send(request).await.map_err(|cause| match cause {
            SendError::Refused(refused) => refused.into(),
            // An endpoint that cannot be reached is a wrong one; upstream gives up as well.
            SendError::Unreachable(reason) => {
                AttemptError::Fatal(format!("EndpointConnectionError: {reason}"))
            }
            SendError::Unanswered(reason) => {
                AttemptError::Retryable(format!("ConnectionClosedError: {reason}"))
            }
        })
    }

    /// What an answer means. S3 can report an error inside a 200 body.
    fn judge(&self, response: SendResponse) -> Result<SendResponse> {
        let status = response.status;
        let described = || self.described(&response);
        match status {
            200..=299 if S3Error::parse(&response.text()).is_some() => {
                Err(AttemptError::Retryable(format!("ClientError: {}", described())))
            }
            200..=299 => Ok(response),
            _ if is_timeout(&response) || matches!(status, 429 | 500..=599) => Err(AttemptError::Retryable(
                format!("IntermittentUploadPartTimeoutError: (status: {status}) {}", described()),
            )),
            _ => Err(AttemptError::Fatal(format!("ClientError: (status: {status}) {}", described()))),
        }
    }

    /// The error in an answer. Of a private address only a code that S3 documents is shown.
    fn described(&self, response: &SendResponse) -> String {
        let text = response.text();
        match S3Error::parse(&text).and_then(|error| error.known_code()) {
            Some(code) if !response.is_public => code.to_owned(),
            _ => self.plan.redactor.redacted_excerpt(error_text(&text), response.is_public),
        }
    }
}

/// Whether what was sent came too slowly.
fn is_timeout(response: &SendResponse) -> bool {
    let has_code = || S3Error::parse(&response.text()).is_some_and(|error| error.is("RequestTimeout"));
    response.status == 408 || (response.status == 400 && has_code())
}

/// The bucket by its name, at an endpoint that is Amazon's where none is given; what is wrong is the error.
/// Name and region may become parts of the host, and must not lead to another one.
fn bucket(endpoint: &str, region: &str, name: &str, by_host: bool) -> std::result::Result<Bucket, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
