//! A request from another address of this machine.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::Server;

/// Posts JSON from this loopback address; the status and the body of the answer.
pub fn post_from(server: &Server, source: [u8; 4], path: &str, body: &Value) -> (u16, Value) {
    let (status, _, body) = post_with_cookie(server, source, path, body, "");
    (status, body)
}

/// The same with a session's cookie; also gives the value of the one that is set.
pub fn post_with_cookie(
    server: &Server,
    source: [u8; 4],
    path: &str,
    body: &Value,
    session: &str,
) -> (u16, String, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = runtime.expect("a runtime starts").block_on(async {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(IpAddr::from(source), 0)).expect("a loopback address is ours");
        let mut stream = socket.connect(server.address).await.expect("the server listens");
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncookie: sessionid={session}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            server.address,
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.expect("the server reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("the server answers");
        answer
    });
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let set = head.split_once("set-cookie: sessionid=").map_or("", |(_, rest)| rest);
    let cookie = set.split(';').next().unwrap_or_default().to_owned();
    (status, cookie, serde_json::from_str(body).unwrap_or(Value::Null))
}
