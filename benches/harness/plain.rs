//! A plain server over redb: hyper, one writer thread, commits shared by all who wait, three tables, time-ordered keys, and
//! no checks. The least that a durable POST can cost here.

#![expect(clippy::disallowed_methods, reason = "what is measured is a server without our clock")]

use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use redb::{Database, TableDefinition};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

const ORGANIZATIONS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("organizations");
const MEMBERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("members");
const PROJECTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("projects");
/// How many writes may share a commit.
const BATCH_MAX: usize = 512;

struct New {
    id: Uuid,
    record: Vec<u8>,
    committed: oneshot::Sender<()>,
}

/// Serves for ever where the arguments say so.
pub fn serve_plain() {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(place) = arguments.iter().position(|argument| argument == "--plain") else { return };
    let database = Database::create(Path::new(&arguments[place + 1])).expect("a file");
    let (queue, waiting) = mpsc::channel(4096);
    std::thread::spawn(move || write(&database, waiting));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(serve(queue));
}

fn write(database: &Database, mut waiting: mpsc::Receiver<New>) {
    let owner = Uuid::now_v7();
    let mut batch = Vec::new();
    while waiting.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        let mut transaction = database.begin_write().expect("a transaction");
        transaction.set_quick_repair(true);
        {
            let mut organizations = transaction.open_table(ORGANIZATIONS).expect("a table");
            let mut members = transaction.open_table(MEMBERS).expect("a table");
            let mut projects = transaction.open_table(PROJECTS).expect("a table");
            for New { id, record, .. } in &batch {
                let member = [owner.as_bytes().as_slice(), id.as_bytes()].concat();
                let project = [id.as_bytes().as_slice(), &[0; 4]].concat();
                organizations.insert(id.as_bytes().as_slice(), record.as_slice()).expect("a row");
                members.insert(member.as_slice(), [15].as_slice()).expect("a row");
                projects.insert(project.as_slice(), record.as_slice()).expect("a row");
            }
        }
        transaction.commit().expect("a commit");
        for New { committed, .. } in batch.drain(..) {
            let _ = committed.send(());
        }
    }
}

async fn serve(queue: mpsc::Sender<New>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    eprintln!("listening on http://{}", listener.local_addr().expect("an address"));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        let queue = queue.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let queue = queue.clone();
            async move { Ok::<_, Infallible>(post(&queue, request).await) }
        });
        tokio::spawn(async move {
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await)
        });
    }
}

async fn post(queue: &mpsc::Sender<New>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let given: Value = serde_json::from_slice(&body).expect("JSON");
    let id = Uuid::now_v7();
    let made = json!({"id": id, "name": given["name"], "slug": given["name"], "membership_level": 15});
    let record = made.to_string().into_bytes();
    let (committed, done) = oneshot::channel();
    let new = New { id, record: record.clone(), committed };
    queue.send(new).await.unwrap_or_else(|_| panic!("the writer lives"));
    done.await.expect("a commit");
    let mut answer = Response::new(Full::new(record.into()));
    *answer.status_mut() = hyper::StatusCode::CREATED;
    answer
}
