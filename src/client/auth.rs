//! `orgd auth`: profiles are made when their key was tried.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::output::say;
use super::profiles::DEFAULT;
use super::{Ask, Choice, Failure, Given, Host, Profile, Profiles, Screen, Server, Shows, Target};
use crate::api::Method;
use crate::config;

/// Longest key that is read, in bytes.
const KEY_BYTES_MAX: u64 = 4096;

pub(super) async fn login(given: &Given, at: Choice, screen: &Screen) -> Result<(), Failure> {
    if at.data.is_some() {
        return Err(Failure::usage("a data file needs no key: --data with any other command"));
    }
    let url = at.url.or_else(|| config::value("ORGD_URL"));
    let url = url.ok_or_else(|| Failure::usage("--url is wanted: the address of the server"))?;
    let name = at.profile.or_else(|| config::value("ORGD_PROFILE")).unwrap_or_else(|| DEFAULT.to_owned());
    let host = Host::parse(&url, at.allow_http).map_err(Failure::usage)?;
    let mut profiles = Profiles::read(Profiles::path()?)?;
    let mut profile = Profile {
        url: host.to_string(),
        organization: given.organization.clone(),
        allow_http: at.allow_http,
        ..Profile::default()
    };
    match given.value("key-command") {
        Some(_) if given.has("key-stdin") => {
            return Err(Failure::usage("of --key-stdin and --key-command, one is enough"));
        }
        Some(command) => profile.key_command = Some(command.to_owned()),
        None => profile.key = Some(typed(&host, given.has("key-stdin")).await?),
    }
    let target = Target::Server(Server::new(host, profile.key(&name)?)?);
    let target_path = "/api/personal_api_keys/@current/".to_owned();
    let tried = target.demand(Ask { method: Method::Get, target: target_path, body: None }).await?;
    let key = tried.json.filter(serde_json::Value::is_object);
    let key = key.ok_or_else(|| format!("{target} does not answer as the API does"))?;
    profiles.put(&name, profile);
    profiles.save()?;
    screen.note(&format!("Stored as the profile {name}, in {}.", profiles.place().display()));
    match given.verb.shows {
        _ if given.json.is_some() => screen.json(&key),
        Shows::One(columns) => screen.object(columns, &key),
        _ => Ok(()),
    }
}

pub(super) fn logout(at: Choice, given: &Given, screen: &Screen) -> Result<(), Failure> {
    let mut profiles = Profiles::read(Profiles::path()?)?;
    let named = at.profile.or_else(|| config::value("ORGD_PROFILE"));
    let Some((name, _)) = profiles.find(named.as_deref())? else { return Err("there is no profile".into()) };
    let name = name.to_owned();
    profiles.remove(&name);
    profiles.save()?;
    if given.json.is_some() {
        return screen.json(&serde_json::json!({}));
    }
    screen.note(&format!(
        "The profile {name} is forgotten. Its key opens what it has opened: delete it on the server."
    ));
    Ok(())
}

/// The key: of standard input, or typed.
async fn typed(host: &Host, is_piped: bool) -> Result<String, Failure> {
    if is_piped {
        let mut text = String::new();
        let read = io::stdin().lock().take(KEY_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|_| Failure::no_key("no key could be read"))?;
        return Ok(text.trim().to_owned());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("--key-stdin is wanted where nobody can type a key"));
    }
    let hidden = Hidden::begin();
    let _ = write!(io::stderr(), "Key for {host}: ");
    let reading = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().take(KEY_BYTES_MAX).read_line(&mut line).map(|_| line)
    });
    // Whoever interrupts gets a terminal back that shows what is typed.
    let line = tokio::select! {
        line = reading => line.ok().and_then(Result::ok),
        _ = tokio::signal::ctrl_c() => None,
    };
    drop(hidden);
    say("");
    line.map(|line| line.trim().to_owned()).ok_or_else(|| Failure::no_key("no key was typed"))
}

/// A terminal that does not show what is typed, as long as this lives.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Hidden {
        let Ok(before) = tcgetattr(io::stdin()) else { return Hidden(None) };
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let is_set = tcsetattr(io::stdin(), OptionalActions::Flush, &silent).is_ok();
        Hidden(is_set.then_some(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}
