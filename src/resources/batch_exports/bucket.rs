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
        for name in ["", ".", ".."] {
            assert!(bucket("https://minio.example/a", "eu-west-1", name, false).is_err(), "{name}");
        }
    }
}
