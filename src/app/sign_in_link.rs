//! The link that `--dev` prints: it opens the pages signed in as the demo owner, once, from this machine only.

use std::sync::{Mutex, PoisonError};

use crate::auth::hash;
use crate::ids::UserId;

/// The link, while it is good. Only its token's hash is kept.
#[derive(Default)]
pub struct SignInLink(Mutex<Option<([u8; 32], UserId)>>);

impl SignInLink {
    /// Lets the token open the account of the user once.
    pub fn set(&self, token: &str, user: UserId) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((hash(token), user));
    }

    /// Whom the token signs in; it is used up.
    pub fn take(&self, token: &str) -> Option<UserId> {
        let mut link = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, user) = link.take_if(|(right, _)| *right == hash(token))?;
        Some(user)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_link_is_good_once() {
        let (link, user) = (SignInLink::default(), UserId(Uuid::from_u128(1)));
        assert_eq!(link.take("a"), None);
        link.set("a", user);
        assert_eq!(link.take("b"), None);
        assert_eq!(link.take("a"), Some(user));
        assert_eq!(link.take("a"), None);
    }
}
