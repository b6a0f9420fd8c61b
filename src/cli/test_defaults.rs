//! What `--test` stands for.

use std::ffi::OsString;

/// Flags of a test server that are given unless others are.
const OF_SERVE: &[&str] =
    &["--dev=true", "--in-memory", "--listen=127.0.0.1:0", "--ready=json", "--ids=1", "--log-level=warn"];
const OF_EXEC: &[&str] =
    &["--test", "--dev=true", "--in-memory", "--listen=127.0.0.1:0", "--ids=1", "--log-level=error"];

/// The words with those that `exec` and `--test` stand for, before `--`.
pub(super) fn add(mut words: Vec<OsString>) -> Vec<OsString> {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let own = &words[1.min(end)..end];
    let command = own.iter().find(|word| !word.to_string_lossy().starts_with('-'));
    let is_test = own.iter().any(|word| word == "--test");
    let more = match command.and_then(|word| word.to_str()) {
        Some("exec") => OF_EXEC,
        Some("serve" | "config") if is_test => OF_SERVE,
        _ => return words,
    };
    let name_of = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
    let typed: Vec<String> = own.iter().map(|word| name_of(&word.to_string_lossy())).collect();
    let more = more.iter().filter(|flag| !typed.contains(&name_of(flag))).map(OsString::from);
    words.splice(end..end, more.collect::<Vec<_>>());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_are_typed_win() {
        for (typed, wanted) in [
            ("orgd serve", "orgd serve"),
            ("orgd serve --dev", "orgd serve --dev"),
            ("orgd", "orgd"),
            ("orgd --test", "orgd --test"),
            (
                "orgd serve --test",
                "orgd serve --test --dev=true --in-memory --listen=127.0.0.1:0 --ready=json --ids=1 --log-level=warn",
            ),
            (
                "orgd serve --ids 7 --test --listen=0.0.0.0:80 --log-level debug",
                "orgd serve --ids 7 --test --listen=0.0.0.0:80 --log-level debug --dev=true --in-memory --ready=json",
            ),
            (
                "orgd exec --ids 2 -- cargo test --listen serve --test api",
                "orgd exec --ids 2 --test --dev=true --in-memory --listen=127.0.0.1:0 --log-level=error -- cargo test --listen \
                 serve --test api",
            ),
            ("orgd backup --test", "orgd backup --test"),
        ] {
            let words = typed.split(' ').map(OsString::from).collect();
            let found: Vec<String> =
                add(words).into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
            assert_eq!(found.join(" "), wanted, "{typed}");
        }
    }
}
