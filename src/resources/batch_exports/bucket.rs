//! The address of a bucket of S3, or of what speaks its protocol.

use rusty_s3::{Bucket, UrlStyle};
use url::Url;

/// The bucket by its name, at an endpoint that is Amazon's where none is given; what is wrong is the error.
/// Name and region may become parts of the host, and must not lead to another one.
pub fn bucket(endpoint: &str, region: &str, name: &str, by_host: bool) -> Result<Bucket, String> {
    for (text, what) in [(region, "region"), (name, "bucket's name")] {
        if !is_plain(text) {
            return Err(format!("The {what} holds more than letters, digits, dots, hyphens and underscores"));
        }
    }
    if matches!(name, "" | "." | "..") {
        return Err("The bucket's name is missing, or no name".into());
    }
    let amazon = format!("https://s3.{region}.amazonaws.com");
    let given = if endpoint.is_empty() { &amazon } else { endpoint };
    let url = Url::parse(given).map_err(|cause| format!("Endpoint URL is invalid: {cause}"))?;
    let style = if by_host || endpoint.is_empty() { UrlStyle::VirtualHost } else { UrlStyle::Path };
    Bucket::new(url, style, name.to_owned(), region.to_owned()).map_err(|cause| cause.to_string())
}

/// Whether a text may become part of a host.
pub fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}
