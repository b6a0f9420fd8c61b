//! The clients that people use, against each action. Those that the machine does not have are passed over, loudly; where
//! `ORGD_TESTS_NEED_ALL` is set, that fails, but for Go, which no other test needs: `.ci/run` demands it by
//! `ORGD_TESTS_NEED_GO`, once `.ci/test-packages.sh` has fetched it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use super::{fail, forget, requests};
use crate::support::{Server, Shows};

/// A program that sends one request, given its method, address and key; it prints the status and the seconds of
/// `Retry-After`, or `failed -`.
struct Client {
    name: &'static str,
    /// Succeeds where the program is there with what it needs.
    probe: &'static [&'static str],
    does: Does,
}

enum Does {
    /// Runs these words.
    Run(&'static [&'static str]),
    /// Runs what this source in Go is compiled to.
    Compile(&'static str),
}

const PYTHON: &str = r"
import sys, requests
method, url, key = sys.argv[1:]
try:
    body = {'name': 'Ops'} if method == 'POST' else None
    answer = requests.request(method, url, json=body, headers={'Authorization': 'Bearer ' + key}, timeout=30)
    print(answer.status_code, answer.headers.get('Retry-After', '-'))
except requests.exceptions.RequestException:
    print('failed -')
";

const NODE: &str = r"
const [method, url, key] = process.argv.slice(1);
const body = method === 'POST' ? JSON.stringify({ name: 'Ops' }) : undefined;
const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };
fetch(url, { method, headers, body })
  .then(async (answer) => { await answer.text(); console.log(answer.status, answer.headers.get('retry-after') ?? '-'); })
  .catch(() => console.log('failed -'));
";

const GO: &str = r#"
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	method, url, key := os.Args[1], os.Args[2], os.Args[3]
	var body io.Reader
	if method == "POST" {
		body = strings.NewReader(`{"name":"Ops"}`)
	}
	request, _ := http.NewRequest(method, url, body)
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err == nil {
		_, err = io.ReadAll(answer.Body)
	}
	if err != nil {
		fmt.Println("failed -")
		return
	}
	after := answer.Header.Get("Retry-After")
	if after == "" {
		after = "-"
	}
	fmt.Println(answer.StatusCode, after)
}
"#;

const CURL: &str = r#"
method=$1 url=$2 key=$3; shift 3
if [ "$method" = POST ]; then set -- -H 'Content-Type: application/json' -d '{"name":"Ops"}'; fi
out=$(curl -s -o /dev/null -m 30 -w '%{http_code} %header{retry-after}' -X "$method" "$url" -H "Authorization: Bearer $key" "$@") || out='failed -'
set -- $out
echo "$1 ${2:--}"
"#;

const CLIENTS: [Client; 4] = [
    Client { name: "curl", probe: &["curl", "--version"], does: Does::Run(&["sh", "-c", CURL, "curl"]) },
    Client {
        name: "requests",
        probe: &["python3", "-c", "import requests"],
        does: Does::Run(&["python3", "-c", PYTHON]),
    },
    Client { name: "undici", probe: &["node", "-e", "fetch"], does: Does::Run(&["node", "-e", NODE]) },
    Client { name: "net/http", probe: &["go", "version"], does: Does::Compile(GO) },
];

fn is_there(client: &Client) -> bool {
    let mut probe = Command::new(client.probe[0]);
    probe.args(&client.probe[1..]).stdout(Stdio::null()).stderr(Stdio::null());
    let is_there = probe.status().is_ok_and(|status| status.success());
    let demanded_by = match client.does {
        Does::Run(_) => "ORGD_TESTS_NEED_ALL",
        Does::Compile(_) => "ORGD_TESTS_NEED_GO",
    };
    assert!(is_there || std::env::var_os(demanded_by).is_none(), "{} is missing", client.name);
    if !is_there {
        // Past the harness, which shows nothing of what passes.
        let _ = writeln!(std::io::stderr(), "NOT TESTED: faults against {}, which is not here", client.name);
    }
    is_there
}

impl Client {
    /// The words that run it; what has to be compiled for them lies in the folder.
    fn words(&self, folder: &Path) -> Vec<PathBuf> {
        let source = match self.does {
            Does::Run(words) => return words.iter().map(PathBuf::from).collect(),
            Does::Compile(source) => source,
        };
        let (file, program) = (folder.join("main.go"), folder.join("client"));
        std::fs::write(&file, source).expect("the file is written");
        let built =
            Command::new("go").args(["build", "-o"]).args([&program, &file]).output().expect("go runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        vec![program]
    }
}

/// What the client makes of one request.
fn run(words: &[PathBuf], server: &Server, [method, path, key]: [&str; 3]) -> String {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args([method, &format!("http://{}{path}", server.address), key]);
    let output = command.output().expect("the client runs");
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(!said.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn every_client_meets_every_action() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let holder = org.owner.key(&["*"]);
    let Shows::Key(key) = &holder.shows else { panic!("a key is held") };
    let (roles, template) = (org.at("roles/"), "/api/organizations/{id}/roles/");
    let folder = tempfile::tempdir().expect("a folder");
    for client in CLIENTS.iter().filter(|client| is_there(client)) {
        let words = client.words(folder.path());
        for (method, action, said, is_carried_out) in [
            ("GET", json!({"answer": {"status": 429, "headers": {"Retry-After": "2"}}}), "429 2", false),
            ("GET", json!({"answer": {"status": 502, "text": "bad"}}), "502 -", false),
            ("GET", json!({"cut_after_bytes": 10}), "failed -", false),
            ("GET", json!({"cut_after_bytes": 0}), "failed -", false),
            ("GET", json!({"delay_ms": 5}), "200 -", false),
            ("GET", json!({"silence_s": 1}), "failed -", false),
            ("POST", json!({"reset": true}), "failed -", false),
            ("POST", json!({"reset": true, "after_commit": true}), "failed -", true),
            ("POST", json!({"cut_after_bytes": 0, "after_commit": true}), "failed -", true),
            ("POST", json!({"answer": {"status": 503}, "after_commit": true}), "503 5", true),
        ] {
            let mut rule = json!({"match": {"method": method, "path": template}});
            rule.as_object_mut().expect("an object").extend(action.as_object().expect("an object").clone());
            fail(&server, json!([rule]));
            forget(&server);
            assert_eq!(run(&words, &server, [method, &roles, key]), said, "{}: {action}", client.name);
            let sent = requests(&server, "");
            assert_eq!(sent.len(), 1, "{}: {action}: {sent:#?}", client.name);
            fail(&server, json!([]));
            let there: Vec<Value> = holder.get(&roles).results();
            assert_eq!(there.len(), usize::from(is_carried_out), "{}: {action}", client.name);
            for role in there {
                let id = role["id"].as_str().expect("an id");
                holder.delete(&org.at(&format!("roles/{id}/"))).no_content();
            }
        }
    }
}

/// What a bare hyper client makes of one request over either version: the status, or `None` where it failed.
async fn by_hyper(server: &Server, is_http2: bool, [method, path, key]: [&str; 3]) -> Option<u16> {
    let stream = tokio::net::TcpStream::connect(server.address).await.expect("the server listens");
    let io = TokioIo::new(stream);
    let body = if method == "POST" { r#"{"name":"Ops"}"# } else { "" };
    let request = hyper::Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", server.address))
        .header("host", server.address.to_string())
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .expect("a request");
    let answer = if is_http2 {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("a handshake");
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await;
        let answer = read(answer).await;
        drop(sender);
        // Its connection goes on after the reset of a stream.
        assert!(connection.await.expect("no panic").is_ok());
        return answer;
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("a handshake");
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    read(answer).await
}

async fn read(answer: hyper::Result<hyper::Response<hyper::body::Incoming>>) -> Option<u16> {
    let answer = answer.ok()?;
    let status = answer.status().as_u16();
    answer.into_body().collect().await.ok().map(|_| status)
}

#[test]
fn hyper_meets_every_action_over_either_version_of_http() {
    let server = Server::controlled(|_| {});
    let org = server.org();
    let holder = org.owner.key(&["*"]);
    let Shows::Key(key) = &holder.shows else { panic!("a key is held") };
    let (roles, template) = (org.at("roles/"), "/api/organizations/{id}/roles/");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for is_http2 in [false, true] {
        for (method, action, status, is_carried_out) in [
            ("GET", json!({"answer": {"status": 429}}), Some(429), false),
            ("GET", json!({"cut_after_bytes": 10}), None, false),
            ("GET", json!({"delay_ms": 5}), Some(200), false),
            ("GET", json!({"silence_s": 1}), None, false),
            ("POST", json!({"reset": true}), None, false),
            ("POST", json!({"reset": true, "after_commit": true}), None, true),
            ("POST", json!({"cut_after_bytes": 0}), None, true),
            ("POST", json!({"answer": {"status": 503}, "after_commit": true}), Some(503), true),
        ] {
            let mut rule = json!({"match": {"method": method, "path": template}});
            rule.as_object_mut().expect("an object").extend(action.as_object().expect("an object").clone());
            fail(&server, json!([rule]));
            let said = runtime.block_on(by_hyper(&server, is_http2, [method, &roles, key]));
            assert_eq!(said, status, "HTTP/2 {is_http2}: {action}");
            fail(&server, json!([]));
            let there: Vec<Value> = holder.get(&roles).results();
            assert_eq!(there.len(), usize::from(is_carried_out), "HTTP/2 {is_http2}: {action}");
            for role in there {
                let id = role["id"].as_str().expect("an id");
                holder.delete(&org.at(&format!("roles/{id}/"))).no_content();
            }
        }
    }
}
