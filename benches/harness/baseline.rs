//! A bare hyper server: the least that an answer over HTTP can cost here.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Serves for ever where the arguments say so.
pub fn serve_baseline() {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(place) = arguments.iter().position(|argument| argument == "--baseline") else { return };
    let bytes = std::fs::read(&arguments[place + 1]).expect("the answer");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(serve(bytes.into()));
}

async fn serve(bytes: Bytes) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    eprintln!("listening on http://{}", listener.local_addr().expect("an address"));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        let bytes = bytes.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let bytes = bytes.clone();
            async move {
                let mut body = request.into_body();
                while body.frame().await.is_some() {}
                let mut answer = Response::new(Full::new(bytes));
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Ok::<_, Infallible>(answer)
            }
        });
        tokio::spawn(async move {
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await)
        });
    }
}
