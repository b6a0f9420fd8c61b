//! The way out, as the environment sets it: certificates, proxies, the public sites, and how much memory
//! those who mean harm can take.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use ureq::Agent;

use crate::archives::{tar_gz, zip};
use crate::support::{Serving, agent, ask, orgd, until};
use crate::web::{Page, Web};

const MANIFEST: &[u8] = br#"{"name": "p"}"#;

const KEY: &str = "phx_a-key-of-the-first-owner-0123456789";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A server with these variables and no others, and with a first owner.
struct Server {
    process: Serving,
    agent: Agent,
}

impl Server {
    fn start(folder: &Path, variables: &[(&str, &str)]) -> Server {
        let mut command = orgd(&["serve", "--listen", "127.0.0.1:0"]);
        command
            .env_clear()
            .env("ORGD_DATA", folder.join("orgd.redb"))
            .envs([("ORGD_BOOTSTRAP_EMAIL", "owner@example.com"), ("ORGD_BOOTSTRAP_API_KEY", KEY)])
            .envs(variables.iter().copied());
        Server { process: Serving::of(&mut command), agent: agent() }
    }

    fn ask(&self, method: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/api/organizations/@current/plugins/", self.process.base);
        ask(&self.agent, method, &url, Some(KEY), body).expect("an answer")
    }

    /// Installs a plugin, and says with which status.
    fn install(&self, url: &str) -> u16 {
        self.ask("POST", &json!({"url": url})).0
    }

    /// Why a plugin could not be installed.
    #[track_caller]
    fn refusal(&self, url: &str) -> String {
        let (status, answer) = self.ask("POST", &json!({"url": url}));
        assert_eq!((status, &answer["type"]), (400, &json!("validation_error")), "{answer}");
        answer["detail"].as_str().expect("a sentence").to_owned()
    }

    /// Why an export to this address fails.
    fn export_to(&self, url: &str) -> String {
        let ask = |method: &str, path: &str, body: Value| {
            let url = format!("{}/api/organizations/@current/{path}", self.process.base);
            ask(&self.agent, method, &url, Some(KEY), &body).expect("an answer").1
        };
        let project = ask("GET", "projects/", json!({}))["results"][0]["id"].clone();
        let token = ask("GET", &format!("projects/{project}/"), json!({}))["api_token"].clone();
        let batch = json!([{"event": "a", "distinct_id": "d", "timestamp": "2021-01-01T10:00:00Z"}]);
        let capture = format!("{}/batch/", self.process.base);
        let sent = json!({"api_key": token, "batch": batch});
        assert_eq!(
            crate::support::ask(&self.agent, "POST", &capture, None, &sent).expect("an answer").0,
            200
        );
        let destination = json!({"type": "HTTP", "config": {"url": url, "token": "phc"}});
        let export = json!({"name": "n", "interval": "hour", "paused": true, "destination": destination});
        let one = format!(
            "batch_exports/{}/",
            ask("POST", "batch_exports/", export)["id"].as_str().expect("an id")
        );
        let range = json!({"start_at": "2021-01-01T10:00:00Z", "end_at": "2021-01-01T11:00:00Z"});
        ask("POST", &format!("{one}backfill/"), range);
        let mut run = Value::Null;
        until("the run is over", || {
            run = ask("GET", &one, json!({}))["latest_runs"][0].clone();
            run["finished_at"].is_string()
        });
        run["latest_error"].as_str().unwrap_or_default().to_owned()
    }

    /// The most memory that the process has held so far, in MiB.
    fn peak_mib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.child.id());
        let status = std::fs::read_to_string(path).expect("the process runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: u64 = peak.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok()).expect("a peak");
        kib / 1024
    }
}

/// A web server for these names, whose authority's certificate is written into `folder`.
fn secure_web(folder: &Path, names: &[&str]) -> Web {
    const MADE: &str = "the certificate is made";
    let mut params = CertificateParams::new(Vec::new()).expect(MADE);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect(MADE);
    std::fs::write(folder.join("ca.pem"), params.self_signed(&key).expect(MADE).pem()).expect(MADE);
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect(MADE);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).expect(MADE).signed_by(&key, &issuer).expect(MADE);
    let provider = rustls::crypto::ring::default_provider().into();
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect(MADE);
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    Web::start_tls(
        config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).expect(MADE),
    )
}

fn plugin() -> Page {
    Page::Body(zip(&[("r/plugin.json", MANIFEST), ("r/index.js", b"")]))
}

#[test]
fn plugins_come_over_https_from_hosts_whose_certificates_are_good() {
    let folder = tempfile::tempdir().unwrap();
    let web = secure_web(folder.path(), &["localhost"]);
    let authority = folder.path().join("ca.pem").display().to_string();
    web.put("/u/r/archive/1.zip", plugin());
    web.put(&format!("/u/r/archive/{COMMIT}.zip"), plugin());
    let base = format!("https://localhost:{}", web.address.port());
    let variables = [
        ("SSL_CERT_FILE", authority.as_str()),
        ("ORGD_GITHUB_URL", base.as_str()),
        ("ORGD_GITHUB_TOKEN", "tok"),
    ];
    let server = Server::start(folder.path(), &variables);
    assert_eq!(server.install("https://github.com/u/r/archive/1.zip"), 201);
    assert_eq!(web.requests()[0].header("authorization"), Some("token tok"));

    // Another name than the certificate's, and an authority that nobody knows.
    let folder = tempfile::tempdir().unwrap();
    let base = format!("https://127.0.0.1:{}", web.address.port());
    let server = Server::start(folder.path(), &[("SSL_CERT_FILE", &authority), ("ORGD_GITHUB_URL", &base)]);
    let detail = server.refusal("https://github.com/u/r/archive/1.zip");
    assert!(detail.contains("could not be reached: invalid peer certificate"), "{detail}");
    assert_eq!(web.requests().len(), 1);
}

#[test]
fn the_public_sites_are_reached_through_the_proxy_and_lead_to_no_inner_address() {
    let folder = tempfile::tempdir().unwrap();
    let web =
        secure_web(folder.path(), &["github.com", "api.github.com", "gitlab.com", "codeload.example.com"]);
    let inner = Web::start();
    inner.put("/secret", plugin());
    let authority = folder.path().join("ca.pem").display().to_string();
    let proxy = format!("http://{}", web.address);
    let server = Server::start(folder.path(), &[("SSL_CERT_FILE", &authority), ("HTTPS_PROXY", &proxy)]);

    web.put("/repos/u/r/commits?sha=&path=", Page::Body(format!("[{{\"sha\": \"{COMMIT}\"}}]").into()));
    web.put(&format!("/u/r/archive/{COMMIT}.zip"), Page::Redirect("https://codeload.example.com/zip".into()));
    web.put("/zip", plugin());
    assert_eq!(server.install("https://github.com/u/r?private_token=secret"), 201);
    assert_eq!(web.targets(), ["api.github.com:443", "github.com:443", "codeload.example.com:443"]);
    let shown: Vec<_> =
        web.requests().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    assert_eq!(shown, [Some("Bearer secret".to_owned()), Some("token secret".to_owned()), None]);

    let port = inner.address.port();
    for target in [
        format!("http://127.0.0.1:{port}/secret"),
        format!("https://127.0.0.1:{port}/secret"),
        format!("http://localhost:{port}/secret"),
        format!("https://LOCALHOST.:{port}/secret"),
        format!("http://127.1:{port}/secret"),
        format!("http://2130706433:{port}/secret"),
        format!("http://[::ffff:127.0.0.1]:{port}/secret"),
        format!("http://0.0.0.0:{port}/secret"),
        "http://10.0.0.1/".into(),
        "http://169.254.169.254/latest/meta-data/".into(),
        "http://[fd00::1]/".into(),
        "//192.168.0.1/x".into(),
    ] {
        web.put("/u/r/archive/2.zip", Page::Redirect(target.clone()));
        let detail = server.refusal("https://github.com/u/r/archive/2.zip");
        assert!(detail.contains(" is not an address that this server may connect to"), "{target}: {detail}");
    }
    assert!(inner.requests().is_empty());
    assert!(web.targets().iter().all(|target| target.ends_with(".com:443")), "{:?}", web.targets());
    assert_eq!(server.ask("GET", &json!({})).1["count"], 1);
}

#[test]
fn what_a_proxy_leads_to_is_listed_by_its_name_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let web = secure_web(folder.path(), &["localhost", "db.internal"]);
    let authority = folder.path().join("ca.pem").display().to_string();
    let proxy = format!("http://{}", web.address);
    web.put("/batch/", Page::Status(418));
    let variables = [
        ("SSL_CERT_FILE", authority.as_str()),
        ("HTTPS_PROXY", &proxy),
        ("ORGD_OUTBOUND_ALLOW", "localhost:9999"),
    ];
    let server = Server::start(folder.path(), &variables);
    let hidden = "NonRetryableResponseError: NonRetryableResponseError (status: 418): (what a server in a private network answers is not shown)";
    let refused = "is not an address that this server may connect to; the operator can allow it with ORGD_OUTBOUND_ALLOW";
    for (host, wanted) in [
        ("db.internal", hidden.to_owned()),
        ("localhost:9999", hidden.to_owned()),
        ("localhost:9998", format!("AddressNotAllowedError: localhost {refused}")),
        ("127.1:9999", format!("AddressNotAllowedError: 127.0.0.1 {refused}")),
        ("10.0.0.1", format!("AddressNotAllowedError: 10.0.0.1 {refused}")),
    ] {
        assert_eq!(server.export_to(&format!("https://{host}/batch/")), wanted, "{host}");
    }
    assert_eq!(web.targets(), ["db.internal:443", "localhost:9999"]);
}

#[test]
fn no_proxy_leaves_hosts_out() {
    let folder = tempfile::tempdir().unwrap();
    let web = secure_web(folder.path(), &["localhost"]);
    web.put("/u/r/archive/1.zip", plugin());
    let authority = folder.path().join("ca.pem").display().to_string();
    let base = format!("https://localhost:{}", web.address.port());
    let variables = [
        ("SSL_CERT_FILE", authority.as_str()),
        ("ORGD_GITHUB_URL", &base),
        ("HTTPS_PROXY", "http://nobody.invalid:3128"),
        ("NO_PROXY", "localhost"),
    ];
    let server = Server::start(folder.path(), &variables);
    assert_eq!(server.install("https://github.com/u/r/archive/1.zip"), 201);
    assert!(web.targets().is_empty());
}

#[test]
fn a_machine_without_root_certificates_still_reaches_servers_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, secure) = (Web::start(), secure_web(folder.path(), &["localhost"]));
    plain.put("/u/r/archive/1.zip", plugin());
    let bases = (plain.url(), format!("https://localhost:{}", secure.address.port()));
    std::fs::write(folder.path().join("none.pem"), "").unwrap();
    let none = folder.path().join("none.pem").display().to_string();
    let variables =
        [("SSL_CERT_FILE", none.as_str()), ("ORGD_GITHUB_URL", &bases.0), ("ORGD_GITLAB_URL", &bases.1)];
    let server = Server::start(folder.path(), &variables);
    assert_eq!(server.install("https://github.com/u/r/archive/1.zip"), 201);
    let detail = server.refusal("https://gitlab.com/g/p/-/archive/1");
    assert!(detail.contains("could not be reached: invalid peer certificate"), "{detail}");
}

#[test]
fn a_bad_setting_stops_the_start_with_a_message() {
    for (name, value, wanted) in [
        ("ORGD_PLUGINS_ACCESS_LEVEL", "5", "one of 0, 3, 6 and 9 is needed"),
        ("ORGD_PLUGIN_FETCH_TIMEOUT", "0", "0 is not in 1..=600"),
        ("ORGD_GITHUB_URL", "github.com", "relative URL"),
        ("ORGD_GITLAB_URL", "file:///etc", "the address of a web server is needed"),
        ("ORGD_OUTBOUND_ALLOW", "10.0.0.0/33", "'10.0.0.0/33' is neither a network"),
        ("ORGD_OUTBOUND_ALLOW", "any,http://db", "'http://db' is neither a network"),
        ("ORGD_EXPORT_ROOT_CERTS", "/nowhere.pem", "No such file"),
        ("ORGD_EXPORT_FIRST_ANSWER_SECONDS", "0", "0 is not in 1..=86400"),
        ("ORGD_NPM_REGISTRY_URL", "http://npm/?x", "an address without ? and # is needed"),
        ("ORGD_PLUGIN_REPOSITORY_URL", "list.json", "relative URL"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = orgd(&["serve"]);
        command.env_clear().env("ORGD_DATA", folder.path().join("f")).env(name, value);
        let ended = command.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && said.contains(wanted), "{name}: {said}");
        assert!(!folder.path().join("f").exists());
    }
}

/// What four installs at once of the worst kind may take, in MiB: the answers as they come (20 each), what
/// is unpacked of them, and what the program holds anyway.
const PEAK_MIB_MAX: u64 = 200;

#[test]
fn memory_stays_bounded_whatever_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let web = Web::start();
    let base = web.url();
    let server = Server::start(folder.path(), &[("ORGD_GITHUB_URL", &base)]);
    let zeros = vec![0; 63 * 1024 * 1024];
    // Bytes that don't compress, so that the archive is as large as may be.
    let mut noise = 1_u32;
    let bytes = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    });
    let filler: Vec<u8> = bytes.take(19 * 1024 * 1024).collect();
    let code = vec![b' '; 2 * 1024 * 1024];
    let pages = [
        Page::Body(tar_gz(&[("r/a", &zeros), ("r/plugin.json", b"{")])),
        Page::Body(zip(&[
            ("r/plugin.json", MANIFEST),
            ("r/index.js", &code),
            ("r/index.ts", &code),
            ("r/site.ts", &code),
            ("r/a", &filler),
        ])),
        Page::Body(zip(&[("r/plugin.json", MANIFEST), ("r/index.js", &zeros), ("r/a", &filler)])),
        Page::Endless("HTTP/1.1 200 OK\r\n\r\n".into()),
    ];
    for (number, page) in pages.iter().enumerate() {
        web.put(&format!("/u/r/archive/{number}.zip"), page.clone());
    }
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let installs = (0..12).map(|number| {
            let url = format!("https://github.com/u/r/archive/{}.zip?{number}", number % pages.len());
            let server = &server;
            scope.spawn(move || server.install(&url))
        });
        let installs: Vec<_> = installs.collect();
        installs.into_iter().map(|install| install.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 201 | 400)), "{statuses:?}");
    let peak = server.peak_mib();
    assert!(peak < PEAK_MIB_MAX, "{peak} MiB");
}
