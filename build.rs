//! Puts the commit behind the version, and its date where the clock is judged by it.

use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    Some(text).filter(|text| !text.is_empty())
}

fn main() {
    // Each commit and checkout adds a line to the log of HEAD, in a worktree as well; where no log is kept,
    // HEAD and what it names change.
    let head = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["logs/HEAD", "HEAD", "packed-refs"].into_iter().chain(head.as_deref()) {
        if let Some(path) =
            git(&["rev-parse", "--git-path", name]).filter(|path| std::fs::exists(path).unwrap_or(false))
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let version = env!("CARGO_PKG_VERSION");
    match git(&["rev-parse", "--short=10", "HEAD"]) {
        Some(commit) => println!("cargo:rustc-env=ORGD_VERSION={version} ({commit})"),
        None => println!("cargo:rustc-env=ORGD_VERSION={version}"),
    }
    // Of the commit and not of the build, so that the same source makes the same program.
    let made = std::env::var("SOURCE_DATE_EPOCH").ok();
    let made = made.or_else(|| git(&["show", "--no-patch", "--format=%ct", "HEAD"]));
    println!("cargo:rustc-env=ORGD_MADE_SECONDS={}", made.as_deref().unwrap_or("0"));
}
