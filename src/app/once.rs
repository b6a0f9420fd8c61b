//! Forms that make something which is shown once: sending the same form again makes nothing more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Time;
use crate::ids::UserId;

/// How long a form that was sent is remembered, in seconds.
const SECONDS: i64 = 10 * 60;
/// Forms that are remembered; beyond, the one that was sent first is forgotten.
const FORMS_MAX: usize = 4096;

/// Forms that were sent lately, by who sent them and the random identifier in them.
#[derive(Default)]
pub struct Once(Mutex<HashMap<(UserId, String), Time>>);

impl Once {
    fn forms(&self) -> MutexGuard<'_, HashMap<(UserId, String), Time>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to do what the form is for; `None` where that was begun before.
    pub fn begin(&self, user: UserId, id: &str, now: Time) -> Option<Sending<'_>> {
        let mut forms = self.forms();
        forms.retain(|_, sent_at| sent_at.plus_seconds(SECONDS) > now);
        let key = (user, id.to_owned());
        if forms.contains_key(&key) {
            return None;
        }
        if forms.len() >= FORMS_MAX
            && let Some(oldest) =
                forms.iter().min_by_key(|(_, sent_at)| **sent_at).map(|(key, _)| key.clone())
        {
            forms.remove(&oldest);
        }
        forms.insert(key.clone(), now);
        Some(Sending { once: self, key, is_done: false })
    }
}

/// A form that is being worked on. Unless it is done, it may be sent again.
pub struct Sending<'a> {
    once: &'a Once,
    key: (UserId, String),
    is_done: bool,
}

impl Sending<'_> {
    /// What the form is for was done.
    pub fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.once.forms().remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_form_is_good_for_one_success_and_is_forgotten_after_a_while() {
        let (once, user) = (Once::default(), UserId(Uuid::from_u128(1)));
        let now = Time(1_000_000_000);
        drop(once.begin(user, "a", now).expect("the first"));
        let sending = once.begin(user, "a", now).expect("nothing was done");
        assert!(once.begin(user, "a", now).is_none(), "it is under way");
        sending.done();
        assert!(once.begin(user, "a", now.plus_seconds(SECONDS - 1)).is_none());
        assert!(once.begin(UserId(Uuid::from_u128(2)), "a", now).is_some(), "another person's form");
        assert!(once.begin(user, "a", now.plus_seconds(SECONDS)).is_some());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (once, user) = (Once::default(), UserId(Uuid::from_u128(1)));
        for number in 0..FORMS_MAX + 10 {
            once.begin(user, &number.to_string(), Time(i64::try_from(number).unwrap())).unwrap().done();
        }
        assert_eq!(once.forms().len(), FORMS_MAX);
        assert!(once.begin(user, "0", Time(0)).is_some(), "the oldest is forgotten");
    }
}
