//! Request bodies: read within limits, then JSON, form or multipart.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use hyper::body::Incoming;
use serde_json::{Map, Value};

use crate::api::call::{Body, BodyFault};
use crate::config::Config;
use crate::error::{Error, Result};

/// Reads the whole body.
///
/// # Errors
/// 413 beyond the limit, 408 beyond the time, 400 where the connection broke.
pub(super) async fn read(body: Incoming, config: &Config) -> Result<Bytes> {
    let bytes_max = config.body_bytes_max;
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(Error::TooLarge { bytes_max });
    }
    let reading = Limited::new(body, bytes_max).collect();
    let time = Duration::from_secs(config.body_seconds_max);
    match tokio::time::timeout(time, reading).await {
        Err(_) => Err(Error::TooSlow),
        Ok(Ok(all)) => Ok(all.to_bytes()),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => Err(Error::TooLarge { bytes_max }),
        Ok(Err(_)) => Err(Error::Unreadable("The request body ended early.".into())),
    }
}

/// Makes a value of the bytes. An empty body equals `{}`, whatever its type.
pub(super) async fn parse(bytes: Bytes, content_type: Option<&str>) -> Body {
    if bytes.is_empty() {
        return Body::Json(Value::Object(Map::new()));
    }
    let content_type = content_type.unwrap_or("application/json");
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        "application/json" => json(&bytes),
        "application/x-www-form-urlencoded" => {
            let pairs = form_urlencoded::parse(&bytes).into_owned().collect();
            Body::Form(object(pairs))
        }
        "multipart/form-data" => multipart(bytes, content_type).await,
        _ => Body::Bad(BodyFault::UnsupportedMedia(content_type.to_owned())),
    }
}

fn json(bytes: &[u8]) -> Body {
    match serde_json::from_slice(bytes) {
        Ok(value) => Body::Json(value),
        Err(cause) => Body::Bad(BodyFault::Unreadable(format!("JSON parse error - {cause}").into())),
    }
}

/// Text parts become fields; files have no place in this API and are passed over.
async fn multipart(bytes: Bytes, content_type: &str) -> Body {
    let bad = |cause: multer::Error| {
        Body::Bad(BodyFault::Unreadable(format!("Multipart form parse error - {cause}").into()))
    };
    let boundary = match multer::parse_boundary(content_type) {
        Ok(boundary) => boundary,
        Err(cause) => return bad(cause),
    };
    let stream = futures_util::stream::once(async move { Ok::<_, std::convert::Infallible>(bytes) });
    let mut parts = multer::Multipart::new(stream, boundary);
    let mut pairs = Vec::new();
    loop {
        match parts.next_field().await {
            Ok(None) => return Body::Form(object(pairs)),
            Ok(Some(part)) if part.file_name().is_some() => {}
            Ok(Some(part)) => {
                let name = part.name().unwrap_or_default().to_owned();
                match part.text().await {
                    Ok(text) => pairs.push((name, text)),
                    Err(cause) => return bad(cause),
                }
            }
            Err(cause) => return bad(cause),
        }
    }
}

/// Fields as an object; a name that comes again makes a list.
fn object(pairs: Vec<(String, String)>) -> Value {
    let mut object = Map::new();
    for (name, text) in pairs {
        match object.get_mut(&name) {
            None => {
                object.insert(name, Value::String(text));
            }
            Some(Value::Array(items)) => items.push(Value::String(text)),
            Some(first) => *first = Value::Array(vec![first.take(), Value::String(text)]),
        }
    }
    Value::Object(object)
}
