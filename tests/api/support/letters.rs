//! Reading mails as people do: to whom, about what, and where the link leads.

use super::smtp::Smtp;
use super::{Person, Server};
use serde_json::json;

/// The site of the servers here.
pub const SITE: &str = "https://org.example";

/// A server whose mails go to `smtp`.
pub fn with_mail(smtp: &Smtp) -> Server {
    let url = smtp.url();
    Server::with(move |config| {
        config.smtp_url = Some(url);
        config.site_url = Some(SITE.into());
        config.mail_from = "Org <org@org.example>".into();
    })
}

/// A mail that came.
#[derive(Debug)]
pub struct Letter {
    pub to: String,
    pub subject: String,
    /// The whole message, headers and all, with the encoding undone as far as tests need it.
    pub text: String,
}

impl Letter {
    /// The next one.
    #[track_caller]
    pub fn next(smtp: &Smtp) -> Letter {
        let (to, message) = smtp.message();
        let text = message.replace("=\n", "").replace("=3D", "=").replace("=20\n", "\n");
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ")).expect("a subject");
        Letter { to, subject: subject.to_owned(), text: text.clone() }
    }

    /// The path of its link below the site, given what the path begins with.
    #[track_caller]
    pub fn path(&self, front: &str) -> String {
        let mark = format!("{SITE}{front}");
        let (_, rest) = self.text.split_once(&mark).unwrap_or_else(|| panic!("no {mark} in {}", self.text));
        let tail: String =
            rest.chars().take_while(|letter| !letter.is_whitespace() && *letter != '"').collect();
        format!("{front}{tail}")
    }

    /// User and token of its link.
    #[track_caller]
    pub fn user_and_token(&self, front: &str) -> (String, String) {
        let path = self.path(front);
        let (user, token) = path[front.len()..].split_once('/').expect("a user and a token");
        (user.to_owned(), token.to_owned())
    }
}

/// Logs somebody in anew: the answer.
pub fn log_in(person: &Person, password: &str) -> super::Answer {
    person.without().post("/api/login/", json!({"email": person.email, "password": password}))
}
