//! The library that pages load, from a folder of the operator's: this program brings none.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{CACHED, JAVASCRIPT};
use crate::api::{Call, Reply};
use crate::app::App;
use crate::error::Result;

/// Larger files are no library, in bytes.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

pub(super) async fn show(app: Arc<App>, call: Arc<Call>) -> Result<Reply> {
    let file = call.param("file").to_owned();
    of_file(&app, file).await
}

pub(super) async fn of_project(app: Arc<App>, _: Arc<Call>) -> Result<Reply> {
    of_file(&app, "array.js".to_owned()).await
}

async fn of_file(app: &Arc<App>, file: String) -> Result<Reply> {
    let Some(folder) = app.config.sdk_folder.clone().filter(|_| is_script(&file)) else {
        return Ok(absent());
    };
    let bytes = app.run_blocking(move || script(&folder, &file)).await?;
    let Some(body) = bytes else { return Ok(absent()) };
    let reply = Reply { status: 200, content_type: JAVASCRIPT, body: body.into(), ..Reply::no_content()? };
    Ok(reply.with("cache-control", CACHED))
}

/// Whether the name can be that of a script, and leads nowhere else.
fn is_script(file: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    file.len() <= 100 && !file.starts_with('.') && file.ends_with(".js") && file.bytes().all(is_plain)
}

fn script(folder: &Path, file: &str) -> Option<Vec<u8>> {
    let path = folder.join(file);
    let about = fs::metadata(&path).ok()?;
    (about.is_file() && about.len() <= FILE_BYTES_MAX).then(|| fs::read(&path).ok()).flatten()
}

/// What a browser that wanted a script gets: one that does nothing and says why.
fn absent() -> Reply {
    let why = "/* This server ships no library: use the npm package, or set --sdk-folder to a folder that holds it. */\n";
    Reply::text(404, JAVASCRIPT, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_scripts_are_looked_up() {
        for name in ["array.js", "web-vitals.js", "array.full.es5.js", "lazy_recorder.js"] {
            assert!(is_script(name), "{name}");
        }
        for name in ["", ".js", "..", "array.ts", "a/b.js", "..\\x.js", "a b.js", "é.js", &"a".repeat(200)] {
            assert!(!is_script(name), "{name}");
        }
    }
}
