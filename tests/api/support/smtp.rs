//! A mail server on loopback that takes mail, or does not.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// What it does with a mail.
#[derive(Clone, Copy)]
pub enum Manner {
    Takes,
    /// Answers the recipient with this code.
    Answers(u16),
    /// Takes the connection and says nothing.
    Hangs,
}

/// Something that came.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Connection,
    Recipient(String),
    /// The message, headers and all.
    Message(String),
}

pub struct Smtp {
    pub address: SocketAddr,
    seen: Receiver<Seen>,
}

impl Smtp {
    pub fn start(manner: Manner) -> Smtp {
        Smtp::on(TcpListener::bind("127.0.0.1:0").expect("a port is free"), manner)
    }

    pub fn on(listener: TcpListener, manner: Manner) -> Smtp {
        let address = listener.local_addr().expect("the socket has an address");
        let (sender, seen) = channel();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if sender.send(Seen::Connection).is_err() {
                    return;
                }
                if matches!(manner, Manner::Hangs) {
                    kept.push(stream);
                } else {
                    let sender = sender.clone();
                    std::thread::spawn(move || converse(stream, manner, &sender));
                }
            }
        });
        Smtp { address, seen }
    }

    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// The next thing that comes; `nudge` is called while nothing does.
    #[track_caller]
    pub fn next_after(&self, nudge: impl Fn()) -> Seen {
        for _ in 0..500 {
            match self.seen.recv_timeout(Duration::from_millis(50)) {
                Ok(seen) => return seen,
                Err(RecvTimeoutError::Timeout) => nudge(),
                Err(cause) => panic!("the mail server has ended: {cause}"),
            }
        }
        panic!("nothing reached the mail server");
    }

    /// The next message and its recipient.
    #[track_caller]
    pub fn message_after(&self, nudge: impl Fn()) -> (String, String) {
        let mut recipient = String::new();
        loop {
            match self.next_after(&nudge) {
                Seen::Connection => {}
                Seen::Recipient(address) => recipient = address,
                Seen::Message(message) => return (recipient, message),
            }
        }
    }

    #[track_caller]
    pub fn message(&self) -> (String, String) {
        self.message_after(|| {})
    }

    /// What has come and was not looked at.
    pub fn rest(&self) -> Vec<Seen> {
        self.seen.try_iter().collect()
    }
}

fn converse(stream: TcpStream, manner: Manner, sender: &Sender<Seen>) -> Option<()> {
    let mut writing = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream).lines();
    let mut say = |line: &str| writing.write_all(format!("{line}\r\n").as_bytes()).ok();
    say("220 loopback")?;
    loop {
        let line = lines.next()?.ok()?;
        let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match word.as_str() {
            "EHLO" | "HELO" => say("250 loopback")?,
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1).unwrap_or_default();
                sender.send(Seen::Recipient(address.to_owned())).ok()?;
                match manner {
                    Manner::Answers(code) => say(&format!("{code} not now"))?,
                    _ => say("250 fine")?,
                }
            }
            "DATA" => {
                say("354 go on")?;
                let mut message = String::new();
                loop {
                    let line = lines.next()?.ok()?;
                    if line == "." {
                        break;
                    }
                    message.push_str(line.strip_prefix('.').unwrap_or(&line));
                    message.push('\n');
                }
                sender.send(Seen::Message(message)).ok()?;
                say("250 taken")?;
            }
            "QUIT" => {
                say("221 bye")?;
                return None;
            }
            _ => say("250 fine")?,
        }
    }
}
