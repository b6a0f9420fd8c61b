//! Waiting for what is to come, without looking again and again.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::error::{Result, invalid};

/// The longest wait.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long is waited where nothing else is said.
const WAIT_DEFAULT: Duration = Duration::from_secs(5);

/// Says that something has changed.
pub struct Signal(watch::Sender<u64>);

impl Default for Signal {
    fn default() -> Signal {
        Signal(watch::Sender::new(0))
    }
}

impl Signal {
    pub fn give(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// For how many of something to wait, and how long at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Wait {
    pub count: usize,
    pub time: Duration,
}

impl Wait {
    /// Reads `wait_count` and `wait_ms`.
    ///
    /// # Errors
    /// 400 for what is no number, and for a longer wait than there may be.
    pub fn read(count: Option<&str>, millis: Option<&str>) -> Result<Wait> {
        let number = |name: &'static str, text: Option<&str>, max: u64| match text {
            None => Ok(None),
            Some(text) => match text.parse::<u64>() {
                Ok(number) if number <= max => Ok(Some(number)),
                _ => Err(invalid(name, "invalid_input", format!("A number from 0 to {max} is wanted."))),
            },
        };
        let count = number("wait_count", count, 10_000)?;
        let millis = number("wait_ms", millis, WAIT_MAX.as_secs() * 1000)?;
        let time = match (count, millis) {
            (_, Some(millis)) => Duration::from_millis(millis),
            (Some(_), None) => WAIT_DEFAULT,
            (None, None) => Duration::ZERO,
        };
        let count = usize::try_from(count.unwrap_or(1)).unwrap_or(usize::MAX);
        Ok(Wait { count, time })
    }
}

/// Looks until `look` finds enough, once for each change, until the wait is over or `stop` ends. Gives what was found
/// last.
///
/// # Errors
/// Those of `look`.
pub async fn wait_for<T>(
    wait: Wait,
    mut changes: watch::Receiver<u64>,
    stop: impl Future<Output = ()>,
    mut look: impl FnMut() -> Result<(T, usize)>,
) -> Result<T> {
    let end = Instant::now() + wait.time;
    let mut stop = std::pin::pin!(stop);
    loop {
        // What changes while it is being looked at is seen as a change afterwards.
        changes.mark_unchanged();
        let (found, count) = look()?;
        if count >= wait.count || wait.time.is_zero() {
            return Ok(found);
        }
        let changed = tokio::select! {
            changed = timeout_at(end, changes.changed()) => matches!(changed, Ok(Ok(()))),
            () = &mut stop => false,
        };
        if !changed {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_with_enough_with_its_time_or_with_the_server() {
        let signal = Signal::default();
        let wait = |count, seconds| Wait { count, time: Duration::from_secs(seconds) };
        let mut looks = 0;
        let found = wait_for(wait(3, 60), signal.changes(), std::future::pending(), || {
            looks += 1;
            signal.give();
            Ok((looks, looks))
        });
        assert_eq!(found.await.unwrap(), 3);
        let none = || Ok(((), 0));
        wait_for(wait(1, 0), signal.changes(), std::future::pending(), none).await.unwrap();
        wait_for(wait(1, 60), signal.changes(), std::future::ready(()), none).await.unwrap();
        wait_for(wait(0, 60), signal.changes(), std::future::pending(), none).await.unwrap();
    }

    #[test]
    fn a_wait_has_bounds() {
        let wait = |count, millis| Wait::read(count, millis).ok();
        let of = |count, millis| Some(Wait { count, time: Duration::from_millis(millis) });
        assert_eq!(wait(None, None), of(1, 0));
        assert_eq!(wait(Some("2"), None), of(2, 5000));
        assert_eq!(wait(None, Some("60000")), of(1, 60_000));
        assert_eq!(wait(Some("10000"), Some("0")), of(10_000, 0));
        for (count, millis) in
            [(Some("10001"), None), (Some("-1"), None), (None, Some("60001")), (None, Some("x"))]
        {
            assert_eq!(wait(count, millis), None);
        }
    }
}
