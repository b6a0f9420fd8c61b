//! The style sheet, the script and the icon. Their addresses hold their hash, so browsers may keep them for good.

use bytes::Bytes;

use crate::api::{Call, Method, Reply, Within};
use crate::app::{Route, public, read};
use crate::console::{assets, refusal};
use crate::error::{Result, not_found};
use crate::store::Tx;

pub(super) fn routes() -> Vec<Route> {
    let path = format!("{}{{file}}", assets::FOLDER);
    vec![Route::page(Method::Get, path, public(), Within::Nothing, read(show), refusal::page)]
}

fn show(call: &Call, _tx: &Tx) -> Result<Reply> {
    let asset = assets::find(call.param("file")).ok_or_else(not_found)?;
    let etag = asset.etag();
    let is_known = call.header("if-none-match") == Some(&etag);
    let (status, body) = if is_known { (304, Bytes::new()) } else { (200, Bytes::from_static(asset.bytes)) };
    Ok(Reply { body, ..Reply::text(status, asset.content_type, "") }
        .with("cache-control", "public, max-age=31536000, immutable")
        .with("etag", etag))
}
