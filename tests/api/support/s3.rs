//! An S3 server over a folder, which checks signatures.

use std::net::SocketAddr;
use std::path::PathBuf;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;

pub const KEY: &str = "AKIA-of-the-test";
pub const SECRET: &str = "hidden-secret-of-the-test";

pub struct S3 {
    address: SocketAddr,
    folder: TempDir,
}

impl S3 {
    /// With one empty bucket.
    pub fn with_bucket(name: &str) -> S3 {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join(name)).expect("a bucket");
        let files = FileSystem::new(folder.path()).expect("a file system");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = builder.build();
        let (started, running) = std::sync::mpsc::channel();
        // Ends with the process: it waits for connections as long as the test may open one.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
                started.send(listener.local_addr().expect("an address")).expect("the test waits");
                while let Ok((stream, _)) = listener.accept().await {
                    let serving =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
                    tokio::spawn(async move { drop(serving.await) });
                }
            });
        });
        S3 { address: running.recv().expect("the server starts"), folder }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The names of all objects of a bucket, sorted.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let root = self.folder.path().join(bucket);
        let mut keys = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path: PathBuf = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let key = path.strip_prefix(&root).expect("below the bucket");
                    keys.push(key.to_string_lossy().into_owned());
                }
            }
        }
        keys.sort();
        keys
    }

    pub fn object(&self, bucket: &str, key: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(bucket).join(key)).expect("the object is there")
    }
}
