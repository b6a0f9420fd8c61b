//! Threads for long work beside requests: where processors are scarce, they get the smallest share.

use std::io;

use tokio::sync::oneshot;

/// The lowest priority that there is.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 19;

/// Does the work on a thread of its own, which is named in lists of threads; ends when the work does. Dropping what is
/// returned does not end the work.
///
/// # Errors
/// There can be no other thread, or the work panicked.
pub async fn run<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (done, outcome) = oneshot::channel();
    start(name, move || drop(done.send(work())))?;
    outcome.await.map_err(|_| io::Error::other("the thread panicked"))
}

/// Begins the work, and leaves it to itself.
///
/// # Errors
/// There can be no other thread.
pub fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let named = std::thread::Builder::new().name(name.to_owned());
    let started = named.spawn(move || {
        // Of threads, Linux takes the priority of the one that asks. Where that is refused, the work is done all the same.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, NICENESS);
        work();
    });
    started.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_result_comes_back_and_a_panic_is_an_error() {
        assert_eq!(run("adds", || 1 + 1).await.unwrap(), 2);
        assert!(run("panics", || assert!(std::hint::black_box(false))).await.is_err());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_that_thread_has_the_lowest_priority() {
        let of_thread = || rustix::process::getpriority_process(None).unwrap();
        let before = of_thread();
        assert_eq!(run("works", of_thread).await.unwrap(), NICENESS);
        assert_eq!(of_thread(), before);
    }
}
