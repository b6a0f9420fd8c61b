//! What every mail says. Text of people is cut, holds no line ends, and never becomes a link in a reader's program;
//! links lead to this server only.

use std::net::IpAddr;

use crate::clock::Time;

/// How many letters of a name a mail shows.
const NAME_CHARS_MAX: usize = 100;
/// How many letters of a reason a mail shows.
const REASON_CHARS_MAX: usize = 500;

/// A mail, by what it says. Paths are below the address of this server.
pub enum Letter<'a> {
    Invite {
        inviter: &'a str,
        inviter_email: &'a str,
        organization: &'a str,
        /// In words.
        level: &'a str,
        message: &'a str,
        /// Whether the reader is to finish the set-up of the organization.
        is_delegation: bool,
        until: Time,
        path: String,
    },
    Reset {
        path: String,
    },
    PasswordChanged {
        at: Occurred,
    },
    Verify {
        path: String,
    },
    /// To the address that is to be left.
    AddressChanging {
        new_email: &'a str,
    },
    /// To both addresses.
    AddressChanged {
        new_email: &'a str,
        at: Occurred,
    },
    Joined {
        first_name: &'a str,
        name: &'a str,
        email: &'a str,
        organization: &'a str,
        level: &'a str,
    },
    SecondFactorOn {
        at: Occurred,
    },
    SecondFactorOff {
        at: Occurred,
    },
    RecoveryCodeUsed {
        at: Occurred,
        left: usize,
    },
    NewKey {
        label: &'a str,
        mask: &'a str,
        at: Occurred,
    },
    /// Nothing is exported until somebody acts.
    ExportPaused {
        export: &'a str,
        /// Why, as a sentence without its end.
        reason: &'a str,
        path: String,
    },
    /// Shows the operator that mail arrives.
    Test,
}

/// When something was done, and from which address; none at the machine itself.
#[derive(Clone, Copy)]
pub struct Occurred {
    pub time: Time,
    pub address: Option<IpAddr>,
}

impl Occurred {
    fn words(self) -> String {
        let from = self.address.map_or_else(|| "the server itself".to_owned(), |address| address.to_string());
        format!("on {} from {from}", minute(self.time))
    }
}

/// A piece of a mail.
pub enum Part {
    Line(String),
    /// What somebody else wrote.
    Quote(String),
    /// What the link is called, and its path.
    Link(&'static str, String),
}

impl Letter<'_> {
    pub fn subject(&self) -> String {
        match self {
            Letter::Invite { organization, is_delegation: false, .. } => {
                format!("You are invited to {}", cut(organization))
            }
            Letter::Invite { organization, .. } => {
                format!("You are asked to finish the set-up of {}", cut(organization))
            }
            Letter::Reset { .. } => "Reset your password".into(),
            Letter::PasswordChanged { .. } => "Your password was changed".into(),
            Letter::Verify { .. } => "Confirm your e-mail address".into(),
            Letter::AddressChanging { .. } => "Your e-mail address is being changed".into(),
            Letter::AddressChanged { .. } => "Your e-mail address was changed".into(),
            Letter::Joined { first_name, organization, .. } => {
                format!("{} joined {}", cut(first_name), cut(organization))
            }
            Letter::SecondFactorOn { .. } => "Two-factor authentication is on".into(),
            Letter::SecondFactorOff { .. } => "Two-factor authentication is off".into(),
            Letter::RecoveryCodeUsed { .. } => "A recovery code was used".into(),
            Letter::NewKey { .. } => "An API key was made".into(),
            Letter::ExportPaused { export, .. } => format!("The export {} is paused", cut(export)),
            Letter::Test => "Mail from orgd arrives".into(),
        }
    }

    /// What follows the greeting. `host` is this server's.
    pub fn parts(&self, host: &str) -> Vec<Part> {
        match self {
            Letter::Invite { .. } => self.invite(),
            Letter::Joined { name, email, organization, level, .. } => vec![
                line(format!(
                    "{} ({}) has joined {} as {level}. See who is there:",
                    plain(name),
                    plain(email),
                    plain(organization)
                )),
                link("Members", "/settings/organization-members"),
            ],
            Letter::Reset { path } => vec![
                line(format!(
                    "Somebody, probably you, asked to reset your password on {host}. Choose a new one here:"
                )),
                link("Choose a new password", path),
                line(
                    "The link works once, for one hour. If it was not you, do nothing; your password stays.",
                ),
            ],
            Letter::Verify { path } => vec![
                line("Please confirm that this address is yours:"),
                link("Confirm the address", path),
                line("The link works for three days."),
            ],
            Letter::ExportPaused { export, reason, path } => vec![
                line(format!("The export {} is paused: {}.", plain(export), unlinked(&one_line(reason)))),
                line(
                    "Nothing is lost: unpause it after a fix, and fill the gap by a backfill. Both are here:",
                ),
                link("The export", path),
            ],
            Letter::Test => vec![
                line(format!(
                    "This is the test mail that you asked {host} for. Links in mails begin like this one:"
                )),
                link("The start page", "/"),
            ],
            _ => self.about_account(host),
        }
    }

    fn invite(&self) -> Vec<Part> {
        let Letter::Invite {
            inviter,
            inviter_email,
            organization,
            level,
            message,
            is_delegation,
            until,
            path,
        } = self
        else {
            return Vec::new();
        };
        let (inviter, organization) = (plain(inviter), plain(organization));
        let wish = if *is_delegation { "asks" } else { "invites" };
        let aim = if *is_delegation { " and to finish its set-up" } else { "" };
        let email = plain(inviter_email);
        let mut parts =
            vec![line(format!("{inviter} ({email}) {wish} you to join {organization} as {level}{aim}."))];
        if !message.is_empty() {
            parts.extend([line("Their message:"), Part::Quote(unlinked(message))]);
        }
        parts.extend([
            line("Open this page to accept:"),
            link("Join", path),
            line(format!(
                "The link works until {}. If you do not know {inviter}, ignore this mail.",
                minute(*until)
            )),
        ]);
        parts
    }

    /// What tells somebody that their own account changed.
    fn about_account(&self, host: &str) -> Vec<Part> {
        let was_not_you = "If it was not you, reset your password and tell an owner of your organizations.";
        let second_factor = |state: &str, at: &Occurred| {
            let what = format!("Two-factor authentication of your account on {host} was switched {state}");
            vec![line(format!("{what} {}. {was_not_you}", at.words())), link("Reset the password", "/reset")]
        };
        match self {
            Letter::PasswordChanged { at } => vec![
                line(format!(
                    "Your password on {host} was changed {}. All other sessions were ended. If it was not you, \
                     reset it now:",
                    at.words()
                )),
                link("Reset the password", "/reset"),
            ],
            Letter::SecondFactorOn { at } => second_factor("on", at),
            Letter::SecondFactorOff { at } => second_factor("off", at),
            Letter::RecoveryCodeUsed { at, left } => vec![
                line(format!(
                    "Somebody logged in to your account on {host} with a recovery code {}. {} left. {was_not_you}",
                    at.words(),
                    if *left == 1 {
                        "1 recovery code is".to_owned()
                    } else {
                        format!("{left} recovery codes are")
                    },
                )),
                link("Reset the password", "/reset"),
            ],
            _ => self.about_address_or_key(host),
        }
    }

    fn about_address_or_key(&self, host: &str) -> Vec<Part> {
        match self {
            Letter::AddressChanging { new_email } => vec![
                line(format!(
                    "Your account on {host} will use {} once that address is confirmed. If it was not you, sign \
                     in, cancel the change and set a new password:",
                    masked(new_email)
                )),
                link("Your account", "/settings/user"),
            ],
            Letter::AddressChanged { new_email, at } => vec![
                line(format!(
                    "Your account on {host} uses the address {} since it was confirmed {}. If it was not you, tell \
                     an owner of your organizations.",
                    masked(new_email),
                    at.words()
                )),
                link("Your account", "/settings/user"),
            ],
            Letter::NewKey { label, mask, at } => vec![
                line(format!(
                    "The key \"{}\" ({mask}) was made {}. If it was not you, delete it:",
                    plain(label),
                    at.words()
                )),
                link("Your API keys", "/settings/user-api-keys"),
            ],
            _ => Vec::new(),
        }
    }
}

fn line(text: impl Into<String>) -> Part {
    Part::Line(text.into())
}

fn link(word: &'static str, path: impl Into<String>) -> Part {
    Part::Link(word, path.into())
}

/// To the minute, as people read it.
fn minute(time: Time) -> String {
    let text = time.to_string();
    format!("{} {} UTC", text.get(..10).unwrap_or_default(), text.get(11..16).unwrap_or_default())
}

/// The first letters of somebody's text, on one line.
fn cut(text: &str) -> String {
    let is_end = text.chars().count() <= NAME_CHARS_MAX;
    let kept = text.chars().take(if is_end { NAME_CHARS_MAX } else { NAME_CHARS_MAX - 1 });
    let line: String = kept.map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if is_end { line } else { line + "…" }
}

/// The beginning of a longer text, on one line.
fn one_line(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// A name that a reader's program makes no link of.
pub(super) fn plain(text: &str) -> String {
    unlinked(&cut(text))
}

/// The same text with an invisible space wherever an address would be recognized.
fn unlinked(text: &str) -> String {
    const INVISIBLE: char = '\u{200b}';
    let letters: Vec<char> = text.chars().collect();
    let mut unlinked = String::with_capacity(text.len());
    for (place, letter) in letters.iter().enumerate() {
        unlinked.push(*letter);
        let next = letters.get(place + 1);
        let joins = match letter {
            '.' => next.is_some_and(|next| next.is_alphanumeric()),
            ':' => next == Some(&'/'),
            _ => false,
        };
        if joins {
            unlinked.push(INVISIBLE);
        }
    }
    unlinked
}

/// An address that whoever knows it recognizes: `a…@example.com`.
fn masked(email: &str) -> String {
    let (local, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    let first: String = local.chars().take(1).collect();
    plain(&format!("{first}…@{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_people_is_short_and_no_link() {
        assert_eq!(plain("Acme"), "Acme");
        assert_eq!(plain("a\r\nb"), "a  b");
        assert_eq!(plain("https://evil.example/x"), "https:\u{200b}//evil.\u{200b}example/x");
        assert_eq!(plain("The end. Or not"), "The end. Or not");
        assert_eq!(cut(&"x".repeat(100)), "x".repeat(100));
        assert_eq!(cut(&"x".repeat(101)), "x".repeat(99) + "…");
        assert_eq!(masked("ada@example.com"), "a…@example.\u{200b}com");
        assert_eq!(minute(Time(0)), "1970-01-01 00:00 UTC");
    }
}
