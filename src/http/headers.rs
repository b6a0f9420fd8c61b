//! The headers that every request needs, found in one walk: looking each of them up by its name
//! would cost more than most handlers do.

use hyper::HeaderMap;
use hyper::header::HeaderValue;

/// Of a header that comes more than once, the first value wins.
#[derive(Default)]
pub(super) struct RequestHeaders<'a> {
    /// What the caller's program calls itself.
    pub(super) client: Option<&'a HeaderValue>,
    pub(super) accept: Option<&'a HeaderValue>,
    pub(super) authorization: Option<&'a HeaderValue>,
    pub(super) content_type: Option<&'a HeaderValue>,
    pub(super) host: Option<&'a HeaderValue>,
    /// How many `Host` headers there are.
    pub(super) hosts: usize,
    pub(super) origin: Option<&'a HeaderValue>,
    pub(super) request_id: Option<&'a HeaderValue>,
    pub(super) setup_code: Option<&'a HeaderValue>,
    pub(super) user_agent: Option<&'a HeaderValue>,
    pub(super) forwarded_for: Option<&'a HeaderValue>,
    pub(super) forwarded_host: Option<&'a HeaderValue>,
    pub(super) forwarded_proto: Option<&'a HeaderValue>,
    /// Another header that proxies add, whichever came first.
    other_proxy: Option<&'a HeaderValue>,
}

/// Headers besides `X-Forwarded-*` that only a proxy adds.
const PROXY_SIGNS: [&str; 11] = [
    "cf-connecting-ip",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "forwarded-for",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-real-ip",
];

impl<'a> RequestHeaders<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> RequestHeaders<'a> {
        let mut found = RequestHeaders::default();
        for (name, value) in headers {
            let field = match name.as_str() {
                "accept" => &mut found.accept,
                "authorization" => &mut found.authorization,
                "content-type" => &mut found.content_type,
                "host" => {
                    found.hosts += 1;
                    &mut found.host
                }
                "origin" => &mut found.origin,
                "x-posthog-client" => &mut found.client,
                "x-request-id" => &mut found.request_id,
                "x-setup-code" => &mut found.setup_code,
                "user-agent" => &mut found.user_agent,
                "x-forwarded-for" => &mut found.forwarded_for,
                "x-forwarded-host" => &mut found.forwarded_host,
                "x-forwarded-proto" => &mut found.forwarded_proto,
                "x-forwarded" => &mut found.other_proxy,
                name if name.starts_with("x-forwarded-") || PROXY_SIGNS.contains(&name) => {
                    &mut found.other_proxy
                }
                _ => continue,
            };
            field.get_or_insert(value);
        }
        found
    }

    /// Whether a header says that a proxy stood in between.
    pub(super) fn is_forwarded(&self) -> bool {
        let signs = [self.forwarded_for, self.forwarded_host, self.forwarded_proto, self.other_proxy];
        signs.iter().any(Option::is_some)
    }
}

/// The header as text, where it is any.
pub(super) fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok()
}
