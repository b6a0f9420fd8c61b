//! Clients: each has one connection, and sends the next request as soon as one is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came of it.
pub struct Run {
    pub requests: u64,
    pub seconds: f64,
    /// Sorted.
    pub latencies: Vec<Duration>,
}

impl Run {
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    pub fn percentile(&self, percent: usize) -> Duration {
        self.latencies[(self.latencies.len() - 1) * percent / 100]
    }
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// `clients` send `total` requests in all; `make` gives the bytes of the n-th request. Every answer must have
/// the status `wanted`.
pub async fn load(
    address: &str,
    clients: usize,
    total: u64,
    wanted: u16,
    make: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
) -> Run {
    let (next, make) = (Arc::new(AtomicU64::new(0)), Arc::new(make));
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let (next, make, address) = (Arc::clone(&next), Arc::clone(&make), address.to_owned());
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("the server listens");
            stream.set_nodelay(true).expect("an option");
            let mut latencies = Vec::new();
            let mut buffer = vec![0; 256 * 1024];
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= total {
                    return latencies;
                }
                let bytes = make(number);
                let started = Instant::now();
                stream.write_all(&bytes).await.expect("the server reads");
                let status = answer(&mut stream, &mut buffer).await;
                assert_eq!(status, wanted, "{}", String::from_utf8_lossy(&bytes));
                latencies.push(started.elapsed());
            }
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done.expect("no panic"));
    }
    latencies.sort_unstable();
    Run { requests: total, seconds: started.elapsed().as_secs_f64(), latencies }
}

/// Reads one whole answer; says its status.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> u16 {
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            buffer.resize(filled * 2, 0);
        }
        let read = stream.read(&mut buffer[filled..]).await.expect("an answer");
        assert!(read > 0, "the server broke off");
        filled += read;
        let Some(head) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head]).expect("a head of text");
        let length: usize = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.trim().parse().expect("a number"));
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let end = head + 4 + length;
        while filled < end {
            buffer.resize(buffer.len().max(end), 0);
            let read = stream.read(&mut buffer[filled..end]).await.expect("a body");
            assert!(read > 0, "the server broke off");
            filled += read;
        }
        return status;
    }
}
