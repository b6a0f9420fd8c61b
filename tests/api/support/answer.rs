//! What the server said, and what it should have.

use serde_json::{Value, json};
use ureq::Body;
use ureq::http::{HeaderMap, Response};

/// One answer, whole.
pub struct Answer {
    /// Method and path, for messages.
    request: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn read(request: String, response: Response<Body>) -> Answer {
        let (head, mut body) = response.into_parts();
        let body = body.with_config().limit(u64::MAX).read_to_vec();
        let body = body.unwrap_or_else(|cause| panic!("{request}: the body broke: {cause}"));
        Answer { request, status: head.status.as_u16(), headers: head.headers, body }
    }

    /// The JSON body, after a look at the status.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.request, self.text());
        self.value()
    }

    /// The JSON body, whatever the status.
    #[track_caller]
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}: no JSON: {}", self.request, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn no_content(&self) {
        assert_eq!((self.status, self.text().as_str()), (204, ""), "{}", self.request);
    }

    /// The rows of a page.
    #[track_caller]
    pub fn results(&self) -> Vec<Value> {
        self.json(200)["results"].as_array().expect("a page has results").clone()
    }

    /// An error of exactly these four values.
    #[track_caller]
    pub fn refused(&self, status: u16, kind: &str, code: &str, detail: &str, attr: Option<&str>) {
        let wanted = json!({"type": kind, "code": code, "detail": detail, "attr": attr});
        assert_eq!((self.status, self.value()), (status, wanted), "{}", self.request);
    }

    /// 400 for a field, or with `None` for the whole body.
    #[track_caller]
    pub fn invalid<'a>(&self, attr: impl Into<Option<&'a str>>, code: &str, detail: &str) {
        self.refused(400, "validation_error", code, detail, attr.into());
    }

    /// The sentence of a 400 of any kind.
    #[track_caller]
    pub fn reason(&self) -> String {
        let value = self.json(400);
        assert_eq!(value["type"], "validation_error", "{}: {value}", self.request);
        value["detail"].as_str().expect("a sentence").to_owned()
    }

    #[track_caller]
    pub fn denied(&self, detail: &str) {
        self.refused(403, "authentication_error", "permission_denied", detail, None);
    }

    /// 403 as a stranger hears it.
    #[track_caller]
    pub fn forbidden(&self) {
        self.denied("You do not have permission to perform this action.");
    }

    /// 403 as somebody with too low a level hears it.
    #[track_caller]
    pub fn level_too_low(&self) {
        self.denied("Your organization access level is insufficient.");
    }

    #[track_caller]
    pub fn unauthenticated(&self) {
        let detail = "Authentication credentials were not provided.";
        self.refused(401, "authentication_error", "not_authenticated", detail, None);
    }

    /// 404 for an object.
    #[track_caller]
    pub fn not_found(&self) {
        self.missing("Not found.");
    }

    #[track_caller]
    pub fn missing(&self, detail: &str) {
        self.refused(404, "invalid_request", "not_found", detail, None);
    }

    #[track_caller]
    pub fn not_allowed(&self, method: &str) {
        let detail = format!("Method \"{method}\" not allowed.");
        self.refused(405, "invalid_request", "method_not_allowed", &detail, None);
        assert!(self.headers.contains_key("allow"), "{}: no Allow header", self.request);
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("{}: no header {name}", self.request));
        value.to_str().expect("a header of text").to_owned()
    }

    /// All values of a header.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let values = self.headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect()
    }

    /// The value of a cookie that the answer sets.
    #[track_caller]
    pub fn cookie(&self, name: &str) -> String {
        let cookies = self.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
        cookies
            .filter_map(|cookie| cookie.strip_prefix(name)?.strip_prefix('='))
            .map(|rest| rest.split(';').next().unwrap_or_default().to_owned())
            .next()
            .unwrap_or_else(|| panic!("{}: no cookie {name}", self.request))
    }
}
