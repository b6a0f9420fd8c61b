//! `orgd licenses`.

use super::CommandResult;

/// Prints the licences.
pub(super) fn run() -> CommandResult {
    // Bootstrapped by .ci/licenses.
    let mut text = flate2::read::GzDecoder::new(&include_bytes!("../licenses.txt.gz")[..]);
    let printed = std::io::copy(&mut text, &mut std::io::stdout().lock());
    // Who reads the beginning only has closed the pipe.
    let cause = printed.err().filter(|cause| cause.kind() != std::io::ErrorKind::BrokenPipe);
    cause.map_or(Ok(()), |cause| Err(cause.to_string()))
}
