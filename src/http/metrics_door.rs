//! An address of its own for metrics, which answers nothing else.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::control;
use super::headers::text;
use crate::app::App;
use crate::resources::metrics;

/// Connections at once; more have to wait.
const CONNECTIONS_MAX: usize = 8;
/// How long one connection may take for everything.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait after the system refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers at the listener, if there is one, until what is returned is dropped.
pub(super) fn open(app: &Arc<App>, listener: Option<TcpListener>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let Some(listener) = listener {
        tasks.spawn(accept(Arc::clone(app), listener));
    }
    tasks
}

async fn accept(app: Arc<App>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let app = Arc::clone(&app);
        connections.spawn(async move {
            let _ = timeout(CONNECTION_TIMEOUT, serve(app, stream)).await;
            drop(place);
        });
    }
}

async fn serve(app: Arc<App>, stream: TcpStream) {
    let service = service_fn(|request| {
        let answer = answer(&app.newest(), &request);
        async { Ok::<_, Infallible>(answer) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    // How it ends is of no interest.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

fn answer(app: &App, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let is_get = [Method::GET, Method::HEAD].contains(request.method());
    let shown = text(request.headers().get(AUTHORIZATION));
    let (status, body) = if request.uri().path() != "/metrics" {
        (StatusCode::NOT_FOUND, "The metrics are at /metrics.\n".to_owned())
    } else if !is_get {
        (StatusCode::METHOD_NOT_ALLOWED, "GET is allowed.\n".to_owned())
    } else if !metrics::admits(app, shown) {
        (StatusCode::UNAUTHORIZED, "A bearer token is needed.\n".to_owned())
    } else {
        (StatusCode::OK, metrics::render(app))
    };
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
    if let Some(server) = &app.test_server {
        answer.headers_mut().insert(control::ORGD_MODE, control::mode(server));
    }
    answer
}
