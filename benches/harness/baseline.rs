//! A bare hyper server: the least that an answer over HTTP can cost here.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;

/// What a bare server answers with.
pub enum Fixed {
    /// The same bytes each time.
    Bytes(Bytes),
    /// A page of organizations, written as JSON from memory each time.
    Page(Page),
}

#[derive(Serialize, Deserialize)]
pub struct Page {
    count: u64,
    next: Option<String>,
    previous: Option<String>,
    results: Vec<Organization>,
}

#[derive(Serialize, Deserialize)]
struct Organization {
    id: String,
    name: String,
    slug: String,
    created_at: String,
    updated_at: String,
    membership_level: u8,
    plugins_access_level: u8,
    teams: Vec<Team>,
    available_product_features: Vec<Value>,
    is_member_join_email_enabled: bool,
    metadata: Metadata,
    customer_id: Option<String>,
    enforce_2fa: Option<bool>,
    member_count: u64,
    members_can_invite: Option<bool>,
    members_can_create_projects: Option<bool>,
    members_can_use_personal_api_keys: bool,
    members_can_see_org_members: bool,
    enforce_verified_domains: bool,
    allow_publicly_shared_resources: bool,
    default_role_id: Option<String>,
    default_anonymize_ips: bool,
    is_ai_data_processing_approved: Option<bool>,
    is_ai_training_opted_in: Option<bool>,
    read_only_mcp_access: bool,
    default_experiment_stats_method: Option<String>,
    logo_media_id: Option<String>,
    projects: Vec<Project>,
    is_ai_training_locked: bool,
    is_ai_training_cta_shown: bool,
    is_active: bool,
    is_not_active_reason: Option<String>,
    is_pending_deletion: bool,
    is_hipaa: bool,
}

#[derive(Serialize, Deserialize)]
struct Project {
    organization_id: String,
    id: u32,
    uuid: String,
    organization: String,
    api_token: String,
    name: String,
    completed_snippet_onboarding: bool,
    has_completed_onboarding_for: Option<Value>,
    ingested_event: bool,
    is_demo: bool,
    timezone: String,
    access_control: bool,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    instance_tag: String,
}

#[derive(Serialize, Deserialize)]
struct Team {
    id: u32,
    uuid: String,
    organization: String,
    api_token: String,
    name: String,
    completed_snippet_onboarding: bool,
    has_completed_onboarding_for: Option<Value>,
    ingested_event: bool,
    is_demo: bool,
    timezone: String,
    access_control: bool,
}

/// Serves for ever where the arguments say so.
pub fn serve_baseline() {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(place) = arguments.iter().position(|argument| argument == "--baseline") else { return };
    let bytes = std::fs::read(&arguments[place + 2]).expect("the answers");
    let fixed = match arguments[place + 1].as_str() {
        "page" => Fixed::Page(serde_json::from_slice(&bytes).expect("a page of organizations")),
        _ => Fixed::Bytes(bytes.into()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(serve(Arc::new(fixed)));
}

async fn serve(fixed: Arc<Fixed>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    eprintln!("listening on http://{}", listener.local_addr().expect("an address"));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        let fixed = Arc::clone(&fixed);
        let answer = service_fn(move |request: Request<Incoming>| {
            let fixed = Arc::clone(&fixed);
            async move {
                let mut body = request.into_body();
                while body.frame().await.is_some() {}
                let body = match &*fixed {
                    Fixed::Bytes(bytes) => bytes.clone(),
                    Fixed::Page(page) => serde_json::to_vec(page).expect("JSON").into(),
                };
                let mut answer = Response::new(Full::new(body));
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Ok::<_, Infallible>(answer)
            }
        });
        tokio::spawn(async move {
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await)
        });
    }
}
