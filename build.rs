//! Puts the commit behind the version, where the source comes from a checkout.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=.git/HEAD");
    let git = Command::new("git").args(["rev-parse", "--short=10", "HEAD"]).output();
    let commit = git.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let commit = commit.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    match commit.trim() {
        "" => println!("cargo:rustc-env=ORGD_VERSION={version}"),
        commit => println!("cargo:rustc-env=ORGD_VERSION={version} ({commit})"),
    }
}
