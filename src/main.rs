//! The program: its memory, its threads, and the command that was typed.

mod cli;

use std::process::ExitCode;

/// Gives free memory back to the system, also while nothing is going on.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    if let Some(code) = cli::become_command() {
        return code;
    }
    let typed = match cli::parse() {
        Ok(typed) => typed,
        Err(sentence) => return fail(&sentence),
    };
    let sockets = cli::passed_sockets();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return fail(&format!("the runtime could not be started: {cause}")),
    };
    let outcome = runtime.block_on(cli::run(typed, sockets));
    // Work that nobody waits for any more must not hold up the end.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(sentence) => fail(&sentence),
    }
}

fn fail(sentence: &str) -> ExitCode {
    cli::complain(&format!("orgd: {sentence}"));
    ExitCode::FAILURE
}
