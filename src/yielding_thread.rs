//! Threads for work beside requests, which give way to those that answer: for long work, which gets the smallest share of
//! a busy processor, and for short work that callers wait for.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::{Semaphore, oneshot};

/// The lowest priority that there is.
const NICENESS: i32 = 19;
/// So much that a thread which wakes up to answer need not wait, while the work still gets a third of its share.
const CREW_NICENESS: i32 = 5;

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
    start_at(NICENESS, name, work)
}

fn start_at(niceness: i32, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let named = std::thread::Builder::new().name(name.to_owned());
    let started = named.spawn(move || {
        // Of threads, Linux takes the priority of the one that asks. Where that is refused, the work is done all the same.
        if cfg!(target_os = "linux") {
            let _ = rustix::process::setpriority_process(None, niceness);
        }
        work();
    });
    started.map(drop)
}

type Job = Box<dyn FnOnce() + Send>;

/// A few threads for work of some milliseconds. They begin with the first work, and end with the crew.
pub struct Crew {
    name: &'static str,
    threads: usize,
    /// One for each thread, so that whoever gives up while they wait leaves nothing behind.
    permits: Semaphore,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
}

impl Crew {
    pub fn new(name: &'static str, threads: usize) -> Crew {
        Crew { name, threads, permits: Semaphore::new(threads), jobs: Mutex::default() }
    }

    /// Does the work on one of the threads, when it is its turn.
    ///
    /// # Errors
    /// There can be no thread, or the work panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let _permit = self.permits.acquire().await.map_err(io::Error::other)?;
        let (done, outcome) = oneshot::channel();
        let job = Box::new(move || drop(done.send(work())));
        self.jobs()?.send(job).map_err(|_| io::Error::other("the threads have ended"))?;
        outcome.await.map_err(|_| io::Error::other("the work panicked"))
    }

    fn jobs(&self) -> io::Result<mpsc::Sender<Job>> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = &*jobs {
            return Ok(jobs.clone());
        }
        let (sender, receiver) = mpsc::channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..self.threads {
            let receiver = Arc::clone(&receiver);
            start_at(CREW_NICENESS, self.name, move || {
                let next = || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok(job) = next() {
                    // Who waits for it hears that it panicked; the thread is there for the next.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            })?;
        }
        *jobs = Some(sender.clone());
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_result_comes_back_and_a_panic_is_an_error() {
        assert_eq!(run("adds", || 1 + 1).await.unwrap(), 2);
        assert!(run("panics", || assert!(std::hint::black_box(false))).await.is_err());
    }

    #[tokio::test]
    async fn a_crew_does_what_it_is_given_and_outlives_a_panic() {
        let crew = Arc::new(Crew::new("crew", 2));
        let several = (0..20).map(|number| {
            let crew = Arc::clone(&crew);
            tokio::spawn(async move { crew.run(move || number + 1).await.unwrap() })
        });
        for (number, running) in several.collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(running.await.unwrap(), number + 1);
        }
        for _ in 0..3 {
            assert!(crew.run(|| assert!(std::hint::black_box(false))).await.is_err());
        }
        assert_eq!(crew.run(|| 1 + 1).await.unwrap(), 2);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_that_thread_has_the_lowest_priority() {
        let of_thread = || rustix::process::getpriority_process(None).unwrap();
        let before = of_thread();
        assert_eq!(run("works", of_thread).await.unwrap(), NICENESS);
        assert_eq!(Crew::new("works", 1).run(of_thread).await.unwrap(), before + CREW_NICENESS);
        assert_eq!(of_thread(), before);
    }
}
