//! The headers that every request is judged by, found in one walk: looking each of them up by its name
//! would cost more than most handlers do.

use hyper::HeaderMap;
use hyper::header::HeaderValue;

/// Of a header that comes more than once, the first counts.
#[derive(Default)]
pub(super) struct Asked<'a> {
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

/// Headers besides `X-Forwarded-*` that only something in between adds.
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

impl<'a> Asked<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Asked<'a> {
        let mut asked = Asked::default();
        for (name, value) in headers {
            let place = match name.as_str() {
                "accept" => &mut asked.accept,
                "authorization" => &mut asked.authorization,
                "content-type" => &mut asked.content_type,
                "host" => {
                    asked.hosts += 1;
                    &mut asked.host
                }
                "origin" => &mut asked.origin,
                "x-request-id" => &mut asked.request_id,
                "x-setup-code" => &mut asked.setup_code,
                "user-agent" => &mut asked.user_agent,
                "x-forwarded-for" => &mut asked.forwarded_for,
                "x-forwarded-host" => &mut asked.forwarded_host,
                "x-forwarded-proto" => &mut asked.forwarded_proto,
                "x-forwarded" => &mut asked.other_proxy,
                name if name.starts_with("x-forwarded-") || PROXY_SIGNS.contains(&name) => {
                    &mut asked.other_proxy
                }
                _ => continue,
            };
            place.get_or_insert(value);
        }
        asked
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
