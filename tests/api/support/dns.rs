//! A name server on loopback, over UDP and TCP, that says what a test puts there.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, CNAME, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// What is said of a name.
#[derive(Clone)]
enum Said {
    Txt(Vec<Vec<String>>),
    Cname(String),
    Address([u8; 4]),
    /// The server has failed.
    Failure,
    /// Nothing at all.
    Silence,
}

/// A running name server; every other name does not exist.
#[derive(Clone)]
pub struct NameServer {
    pub address: SocketAddr,
    zone: Arc<Zone>,
}

#[derive(Default)]
struct Zone {
    names: Mutex<HashMap<String, Said>>,
    /// Names whose answer does not fit into a datagram.
    truncated: Mutex<Vec<String>>,
    asked_by_tcp: AtomicU32,
}

impl NameServer {
    pub fn start() -> NameServer {
        let zone = Arc::new(Zone::default());
        let (udp, tcp) = both_sockets();
        let address = udp.local_addr().expect("the socket has an address");
        let server = NameServer { address, zone };
        std::thread::spawn({
            let zone = Arc::clone(&server.zone);
            move || {
                let mut buffer = [0; 4096];
                while let Ok((size, peer)) = udp.recv_from(&mut buffer) {
                    if let Some(answer) = zone.answer(&buffer[..size], true) {
                        let _ = udp.send_to(&answer, peer);
                    }
                }
            }
        });
        std::thread::spawn({
            let zone = Arc::clone(&server.zone);
            move || {
                for stream in tcp.incoming().flatten() {
                    let zone = Arc::clone(&zone);
                    std::thread::spawn(move || zone.serve(stream));
                }
            }
        });
        server
    }

    fn say(&self, name: &str, said: Said) {
        self.zone.names.lock().expect("no test panics here").insert(name.to_lowercase(), said);
    }

    /// TXT records of one string each.
    pub fn txt(&self, name: &str, records: &[&str]) {
        self.say(name, Said::Txt(records.iter().map(|text| vec![(*text).to_owned()]).collect()));
    }

    /// One TXT record of several strings.
    pub fn split_txt(&self, name: &str, parts: &[&str]) {
        self.say(name, Said::Txt(vec![parts.iter().map(|text| (*text).to_owned()).collect()]));
    }

    pub fn cname(&self, name: &str, target: &str) {
        self.say(name, Said::Cname(target.to_owned()));
    }

    pub fn a(&self, name: &str, address: [u8; 4]) {
        self.say(name, Said::Address(address));
    }

    pub fn fails(&self, name: &str) {
        self.say(name, Said::Failure);
    }

    pub fn is_silent_about(&self, name: &str) {
        self.say(name, Said::Silence);
    }

    /// The name no longer exists.
    pub fn forget(&self, name: &str) {
        self.zone.names.lock().expect("no test panics here").remove(&name.to_lowercase());
    }

    /// Answers about the name are cut when the question comes by UDP.
    pub fn truncates(&self, name: &str) {
        self.zone.truncated.lock().expect("no test panics here").push(name.to_lowercase());
    }

    pub fn asked_by_tcp(&self) -> u32 {
        self.zone.asked_by_tcp.load(Ordering::Relaxed)
    }
}

/// Two sockets with the same port.
fn both_sockets() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().expect("the socket has an address")) {
            return (udp, tcp);
        }
    }
}

impl Zone {
    fn serve(&self, mut stream: std::net::TcpStream) {
        let mut size = [0; 2];
        while stream.read_exact(&mut size).is_ok() {
            let mut question = vec![0; usize::from(u16::from_be_bytes(size))];
            if stream.read_exact(&mut question).is_err() {
                return;
            }
            self.asked_by_tcp.fetch_add(1, Ordering::Relaxed);
            let Some(answer) = self.answer(&question, false) else { return };
            let size = u16::try_from(answer.len()).expect("an answer is small").to_be_bytes();
            if stream.write_all(&size).and_then(|()| stream.write_all(&answer)).is_err() {
                return;
            }
        }
    }

    fn answer(&self, question: &[u8], by_udp: bool) -> Option<Vec<u8>> {
        let question = Message::from_vec(question).ok()?;
        let query = question.queries.first()?.clone();
        let mut answer = Message::response(question.metadata.id, OpCode::Query);
        answer.metadata.recursion_desired = true;
        answer.metadata.recursion_available = true;
        answer.add_query(query.clone());
        let questioned = plain(query.name());
        if by_udp && self.truncated.lock().expect("no test panics here").contains(&questioned) {
            answer.metadata.truncation = true;
            return answer.to_vec().ok();
        }
        let names = self.names.lock().expect("no test panics here");
        let mut name = questioned;
        loop {
            match names.get(&name) {
                None => {
                    answer.metadata.response_code = ResponseCode::NXDomain;
                    break;
                }
                Some(Said::Silence) => return None,
                Some(Said::Failure) => {
                    answer.metadata.response_code = ResponseCode::ServFail;
                    break;
                }
                Some(Said::Txt(records)) => {
                    if query.query_type() == RecordType::TXT {
                        for strings in records {
                            answer.add_answer(record(&name, RData::TXT(TXT::new(strings.clone()))));
                        }
                    }
                    break;
                }
                Some(Said::Address([a, b, c, d])) => {
                    if query.query_type() == RecordType::A {
                        answer.add_answer(record(&name, RData::A(A::new(*a, *b, *c, *d))));
                    }
                    break;
                }
                Some(Said::Cname(target)) => {
                    let leads = Name::from_ascii(format!("{target}.")).expect("a name");
                    answer.add_answer(record(&name, RData::CNAME(CNAME(leads))));
                    if query.query_type() == RecordType::CNAME {
                        break;
                    }
                    name = target.to_lowercase();
                }
            }
        }
        answer.to_vec().ok()
    }
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_lowercase()
}

fn record(name: &str, data: RData) -> Record {
    Record::from_rdata(Name::from_ascii(format!("{name}.")).expect("a name"), 60, data)
}
