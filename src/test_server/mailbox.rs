//! The mails that went out, as whoever got them would read them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use super::journal::Limits;
use super::waiting::Signal;
use crate::clock::Time;
use crate::ids::InviteId;

/// How many mails are kept.
const MAILS_MAX: usize = 1000;

/// A mail that went out.
#[derive(Clone, Debug, Serialize)]
pub struct SentMail {
    /// Counts from 1.
    pub n: u64,
    pub at: Time,
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// The addresses in its text.
    pub links: Vec<String>,
    /// Of the mail of an invite.
    pub invite_id: Option<InviteId>,
}

impl SentMail {
    /// A mail that goes out now.
    pub fn new(
        at: Time,
        to: &str,
        subject: &str,
        [text, html]: [&str; 2],
        invite: Option<InviteId>,
    ) -> SentMail {
        SentMail {
            n: 0,
            at,
            to: to.to_owned(),
            subject: subject.to_owned(),
            links: links(text),
            text: text.to_owned(),
            html: html.to_owned(),
            invite_id: invite,
        }
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.html.len() + self.subject.len() + self.to.len()
    }
}

/// The addresses in a text, in its order.
fn links(text: &str) -> Vec<String> {
    let is_link = |word: &&str| word.starts_with("http://") || word.starts_with("https://");
    text.split_whitespace().filter(is_link).map(str::to_owned).collect()
}

/// The mails that were kept.
pub struct Mailbox {
    bytes_max: usize,
    kept: Mutex<Kept>,
    signal: Signal,
}

#[derive(Default)]
struct Kept {
    mails: VecDeque<SentMail>,
    bytes: usize,
    last: u64,
    dropped: u64,
}

impl Mailbox {
    /// An empty one, with as many bytes as the journal of such a server.
    pub fn new(limits: Limits) -> Mailbox {
        Mailbox { bytes_max: limits.bytes_max, kept: Mutex::default(), signal: Signal::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a mail; the oldest ones make way.
    pub fn keep(&self, mail: SentMail) {
        let mut kept = self.lock();
        kept.last += 1;
        kept.bytes += mail.bytes();
        let mail = SentMail { n: kept.last, ..mail };
        kept.mails.push_back(mail);
        while kept.mails.len() > MAILS_MAX || kept.bytes > self.bytes_max {
            let Some(oldest) = kept.mails.pop_front() else { break };
            kept.bytes -= oldest.bytes();
            kept.dropped += 1;
        }
        drop(kept);
        self.signal.give();
    }

    /// A try at a mail is over, whatever came of it.
    pub fn tried(&self) {
        self.signal.give();
    }

    /// The mails to this address, or all; the newest last.
    pub fn mails(&self, to: Option<&str>) -> Vec<SentMail> {
        let is_meant = |mail: &&SentMail| to.is_none_or(|to| mail.to.to_lowercase() == to.to_lowercase());
        self.lock().mails.iter().filter(is_meant).cloned().collect()
    }

    /// Forgets all mails; their numbers are not given again.
    pub fn empty(&self) {
        let mut kept = self.lock();
        *kept = Kept { last: kept.last, ..Kept::default() };
    }

    /// How many went out, since the last `empty`.
    pub fn count(&self) -> u64 {
        let kept = self.lock();
        kept.mails.len() as u64 + kept.dropped
    }

    /// The memory of what is kept, in bytes.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Changes with each mail.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.signal.changes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(to: &str, text: &str) -> SentMail {
        SentMail::new(Time(0), to, "s", [text, "h"], None)
    }

    #[test]
    fn the_newest_mails_are_kept_and_numbers_go_on() {
        let mailbox = Mailbox::new(Limits::SERVER);
        for number in 0..MAILS_MAX + 2 {
            mailbox.keep(mail(&format!("{number}@example.com"), "Go to\n\nhttp://a/b\n\nor https://c, now"));
        }
        let all = mailbox.mails(None);
        assert_eq!((all.len(), all[0].n, all[MAILS_MAX - 1].n), (MAILS_MAX, 3, MAILS_MAX as u64 + 2));
        assert_eq!(all[0].links, ["http://a/b", "https://c,"]);
        assert_eq!(mailbox.mails(Some("7@EXAMPLE.com")).len(), 1);
        mailbox.empty();
        mailbox.keep(mail("a@example.com", ""));
        assert_eq!(mailbox.mails(None)[0].n, MAILS_MAX as u64 + 3);
    }
}
