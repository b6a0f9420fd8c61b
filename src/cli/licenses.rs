//! `orgd licenses`.

use std::io::Read;

use super::CommandResult;

/// Prints the licences.
pub(super) fn run() -> CommandResult {
    // Bootstrapped by .ci/licenses.
    let mut packed = flate2::read::GzDecoder::new(&include_bytes!("../licenses.txt.gz")[..]);
    let mut text = String::new();
    packed.read_to_string(&mut text).map_err(|cause| cause.to_string())?;
    show!("{text}");
    Ok(())
}
