//! What S3 and its relatives answer, read from XML. Servers differ in namespaces, prologs and further elements, so
//! elements count by their local names. Input is untrusted: sizes are bounded by the caller, and nesting by the
//! reader.

use std::borrow::Cow;

use instant_xml::de::Node;
use instant_xml::{Deserializer, Error, FromXml, Id, Kind};

/// What an answer means for the request that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The same request may succeed later.
    Resend,
    /// The same request would fail again, but another attempt, from the beginning, may succeed.
    Restart,
    /// No attempt can succeed.
    Never,
}

/// Documented codes of S3 and its relatives, with what they mean. A code says what to do, and nothing about the
/// network that it comes from.
const CODES: &[(&str, Fate)] = &[
    ("AccessDenied", Fate::Never),
    ("AccountProblem", Fate::Never),
    ("AllAccessDisabled", Fate::Never),
    ("AuthorizationHeaderMalformed", Fate::Never),
    ("AuthorizationQueryParametersError", Fate::Never),
    // A byte changed on the way.
    ("BadDigest", Fate::Resend),
    ("BandwidthLimitExceeded", Fate::Resend),
    ("Busy", Fate::Resend),
    ("EntityTooLarge", Fate::Never),
    ("EntityTooSmall", Fate::Never),
    ("ExpiredToken", Fate::Never),
    ("IllegalLocationConstraintException", Fate::Never),
    ("IncompleteBody", Fate::Resend),
    ("InternalError", Fate::Resend),
    ("InvalidAccessKeyId", Fate::Never),
    ("InvalidArgument", Fate::Never),
    ("InvalidBucketName", Fate::Never),
    ("InvalidBucketState", Fate::Never),
    // Parts that are gone: the next attempt sends them anew.
    ("InvalidPart", Fate::Restart),
    ("InvalidPartOrder", Fate::Restart),
    ("InvalidRequest", Fate::Never),
    ("InvalidSecurity", Fate::Never),
    ("InvalidStorageClass", Fate::Never),
    ("InvalidToken", Fate::Never),
    ("InvalidURI", Fate::Never),
    ("KeyTooLongError", Fate::Never),
    ("MalformedXML", Fate::Never),
    ("MethodNotAllowed", Fate::Never),
    ("MissingContentLength", Fate::Never),
    ("NoSuchBucket", Fate::Never),
    ("NoSuchKey", Fate::Never),
    ("NoSuchUpload", Fate::Restart),
    ("NotImplemented", Fate::Never),
    ("NotSignedUp", Fate::Never),
    ("OperationAborted", Fate::Resend),
    ("PermanentRedirect", Fate::Never),
    ("QuotaExceeded", Fate::Never),
    ("RequestLimitExceeded", Fate::Resend),
    // A clock is wrong, which is no fault of the export, and clocks are set right.
    ("RequestTimeTooSkewed", Fate::Restart),
    ("RequestTimeout", Fate::Resend),
    ("ServerNotInitialized", Fate::Resend),
    ("ServiceUnavailable", Fate::Resend),
    ("SignatureDoesNotMatch", Fate::Never),
    ("SlowDown", Fate::Resend),
    // Until the names of a new bucket are known everywhere.
    ("TemporaryRedirect", Fate::Restart),
    ("Throttling", Fate::Resend),
    ("ThrottlingException", Fate::Resend),
    ("TooManyParts", Fate::Never),
    ("TooManyRequests", Fate::Resend),
    ("TooManyRequestsException", Fate::Resend),
    ("XAmzContentSHA256Mismatch", Fate::Resend),
    ("XMinioInvalidObjectName", Fate::Never),
    ("XMinioServerNotInitialized", Fate::Resend),
    ("XMinioStorageFull", Fate::Restart),
];

/// What an answer without success means: its code where that is known, or else its status. Proxies in between
/// answer pages of their own.
pub(super) fn fate(status: u16, error: Option<&S3Error>) -> Fate {
    if error.is_some_and(S3Error::is_about_time) {
        return Fate::Restart;
    }
    if let Some(fate) = error.and_then(S3Error::known_fate) {
        return fate;
    }
    match status {
        // An error of an unknown kind in an answer that began well.
        200..=299 => Fate::Resend,
        408 | 409 | 425 | 429 => Fate::Resend,
        // What the server does not know, it will not learn.
        501 | 505 => Fate::Never,
        500..=599 => Fate::Resend,
        307 => Fate::Restart,
        _ => Fate::Never,
    }
}

/// An error of S3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct S3Error {
    code: Option<String>,
    message: Option<String>,
}

impl S3Error {
    /// `None` where the answer is no error of S3.
    pub(super) fn parse(answer: &str) -> Option<S3Error> {
        parse(answer)
    }

    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// The code, where it is one that S3 documents.
    pub(super) fn known_code(&self) -> Option<&'static str> {
        self.known().map(|(code, _)| *code)
    }

    fn known_fate(&self) -> Option<Fate> {
        self.known().map(|(_, fate)| *fate)
    }

    fn known(&self) -> Option<&'static (&'static str, Fate)> {
        CODES.iter().find(|(known, _)| self.is(known))
    }

    /// Whether the clocks of both sides differ. Of a signature in an address, servers say that in words only.
    pub(super) fn is_about_time(&self) -> bool {
        const WORDS: [&str; 3] = ["has expired", "not yet valid", "not valid yet"];
        let message = self.message.as_deref().unwrap_or_default().to_ascii_lowercase();
        let is_said = self.is("AccessDenied") && WORDS.iter().any(|words| message.contains(words));
        is_said || self.is("RequestTimeTooSkewed")
    }
}

/// Code and sentence of an error, or the whole answer where it is something else.
pub(super) fn error_text(answer: &str) -> String {
    match S3Error::parse(answer) {
        Some(S3Error { code: Some(code), message: Some(message) }) => format!("{code}: {message}"),
        Some(S3Error { code: Some(code), message: None }) => code,
        _ => answer.trim().to_owned(),
    }
}

/// The identifier of an upload in parts, from the answer that began it.
pub(super) fn upload_id(answer: &str) -> Option<String> {
    let UploadId(id) = parse(answer)?;
    id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// The ETags of parts by their numbers, from a list of them; empty where it is none.
pub(super) fn etags(answer: &str) -> Vec<(u16, String)> {
    parse(answer).map(|EtagsOfParts(etags)| etags).unwrap_or_default()
}

#[derive(Default)]
struct EtagsOfParts(Vec<(u16, String)>);

/// Whether the answer says that an upload in parts has become a file.
pub(super) fn is_completed(answer: &str) -> bool {
    parse::<Completed>(answer).is_some()
}

struct Completed;

/// Whether an answer is a page for people, which no server of S3's kind sends for a file that it has taken.
pub(super) fn is_page(answer: &str) -> bool {
    let start: String = trimmed(answer).chars().take("<!doctype html".len()).collect();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

/// Some servers send blanks while they work, and the prolog after them; some begin with a byte order mark.
fn trimmed(answer: &str) -> &str {
    answer.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}')
}

#[derive(Default)]
struct UploadId(Option<String>);

/// Reads a document with the right root element. What was found before a fault of the XML counts.
fn parse<'xml, T: FromXml<'xml, Accumulator = Option<T>>>(answer: &'xml str) -> Option<T> {
    Deserializer::new(trimmed(answer)).ok()?.deserialize().ok()
}

impl<'xml> FromXml<'xml> for S3Error {
    fn matches(id: Id<'_>, _: Option<Id<'_>>) -> bool {
        ["Error", "ErrorResponse"].iter().any(|name| id.name.eq_ignore_ascii_case(name))
    }

    fn deserialize<'cx>(
        into: &mut Option<S3Error>,
        _: &'static str,
        root: &mut Deserializer<'cx, 'xml>,
    ) -> Result<(), Error> {
        let mut error = S3Error::default();
        // A fault after the root element leaves it an error.
        let _ = read_error(&mut error, root);
        *into = Some(error);
        Ok(())
    }

    type Accumulator = Option<S3Error>;
    const KIND: Kind = Kind::Element;
}

impl<'xml> FromXml<'xml> for UploadId {
    fn matches(id: Id<'_>, _: Option<Id<'_>>) -> bool {
        ["InitiateMultipartUploadResult", "CreateMultipartUploadResult"].contains(&id.name)
    }

    fn deserialize<'cx>(
        into: &mut Option<UploadId>,
        _: &'static str,
        root: &mut Deserializer<'cx, 'xml>,
    ) -> Result<(), Error> {
        let mut id = None;
        each_child(root, |name, child| match name {
            "UploadId" => keep_first(&mut id, child),
            _ => child.ignore(),
        })?;
        *into = Some(UploadId(id));
        Ok(())
    }

    type Accumulator = Option<UploadId>;
    const KIND: Kind = Kind::Element;
}

impl<'xml> FromXml<'xml> for Completed {
    fn matches(id: Id<'_>, _: Option<Id<'_>>) -> bool {
        id.name == "CompleteMultipartUploadResult"
    }

    fn deserialize<'cx>(
        into: &mut Option<Completed>,
        _: &'static str,
        root: &mut Deserializer<'cx, 'xml>,
    ) -> Result<(), Error> {
        // A fault after the root element leaves it a result.
        let _ = root.ignore();
        *into = Some(Completed);
        Ok(())
    }

    type Accumulator = Option<Completed>;
    const KIND: Kind = Kind::Element;
}

impl<'xml> FromXml<'xml> for EtagsOfParts {
    fn matches(id: Id<'_>, _: Option<Id<'_>>) -> bool {
        id.name == "ListPartsResult"
    }

    fn deserialize<'cx>(
        into: &mut Option<EtagsOfParts>,
        _: &'static str,
        root: &mut Deserializer<'cx, 'xml>,
    ) -> Result<(), Error> {
        let mut etags = Vec::new();
        each_child(root, |name, child| match name {
            "Part" => {
                let (mut number, mut etag) = (None, None);
                each_child(child, |name, child| match name {
                    "PartNumber" => keep_first(&mut number, child),
                    "ETag" => keep_first(&mut etag, child),
                    _ => child.ignore(),
                })?;
                let number = number.and_then(|number| number.trim().parse().ok());
                etags.extend(number.zip(etag));
                Ok(())
            }
            _ => child.ignore(),
        })?;
        *into = Some(EtagsOfParts(etags));
        Ok(())
    }

    type Accumulator = Option<EtagsOfParts>;
    const KIND: Kind = Kind::Element;
}

/// Code and message, also where the error is wrapped in a response.
fn read_error(error: &mut S3Error, element: &mut Deserializer<'_, '_>) -> Result<(), Error> {
    each_child(element, |name, child| match name {
        "Code" | "code" => keep_first(&mut error.code, child),
        "Message" | "message" => keep_first(&mut error.message, child),
        "Error" | "error" => read_error(error, child),
        _ => child.ignore(),
    })
}

/// Calls `read` for each child element with its local name.
fn each_child<'xml>(
    element: &mut Deserializer<'_, 'xml>,
    mut read: impl FnMut(&str, &mut Deserializer<'_, 'xml>) -> Result<(), Error>,
) -> Result<(), Error> {
    while let Some(node) = element.next() {
        let Node::Open(child) = node? else { continue };
        let name = element.element_id(&child)?.name;
        read(name, &mut element.nested(child))?;
    }
    Ok(())
}

/// Keeps the text of an element, where it has one, unless there is one already.
fn keep_first(text: &mut Option<String>, element: &mut Deserializer<'_, '_>) -> Result<(), Error> {
    let mut found = Cow::Borrowed("");
    while let Some(node) = element.next() {
        match node? {
            Node::Text(part) => found.to_mut().push_str(&part),
            Node::Open(child) => element.nested(child).ignore()?,
            _ => {}
        }
    }
    if !found.is_empty() {
        text.get_or_insert(found.into_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers in the forms of servers, with code and message.
    const ERRORS: &[(&str, &str, &str, &str)] = &[
        (
            "AWS",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message><BucketName>b</BucketName><RequestId>4442587FB7D0A2F9</RequestId><HostId>a/b=</HostId></Error>",
            "NoSuchBucket",
            "The specified bucket does not exist",
        ),
        (
            "AWS in a 200 body, after blanks that keep the connection open",
            "  \n \n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\n<Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message></Error>",
            "InternalError",
            "We encountered an internal error. Please try again.",
        ),
        (
            "with the namespace of S3",
            "<Error xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
            "SlowDown",
            "Please reduce your request rate.",
        ),
        (
            "with a prefix",
            "<s3:Error xmlns:s3='http://s3.amazonaws.com/doc/2006-03-01/'><s3:Code>AccessDenied</s3:Code><s3:Message>no</s3:Message></s3:Error>",
            "AccessDenied",
            "no",
        ),
        (
            "MinIO",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>The &#34;signature&#34; does not match.</Message><Key>a/b</Key><BucketName>b</BucketName><Resource>/b/a/b</Resource><RequestId>17</RequestId><HostId>dd</HostId></Error>",
            "SignatureDoesNotMatch",
            "The \"signature\" does not match.",
        ),
        (
            "Ceph",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>InvalidAccessKeyId</Code><Message></Message><RequestId>tx000001-default</RequestId><HostId>default</HostId></Error>",
            "InvalidAccessKeyId",
            "",
        ),
        (
            "Cloudflare R2",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>EntityTooSmall</Code><Message>Your proposed upload is smaller than the minimum allowed object size.</Message></Error>",
            "EntityTooSmall",
            "Your proposed upload is smaller than the minimum allowed object size.",
        ),
        (
            "Google Cloud Storage",
            "<?xml version='1.0' encoding='UTF-8'?><Error><Code>AccessDenied</Code><Message>Access denied.</Message><Details>a@b does not have storage.objects.create access &amp; more &lt;here&gt;</Details></Error>",
            "AccessDenied",
            "Access denied.",
        ),
        (
            "attributes, comments, CDATA and entities",
            "<!-- sorry --><Error id=\"1\"\n  lang='en' >\n <Extra><Code>Inner</Code></Extra>\n <Code a=\"b\">BadDigest</Code><!-- x -->\n <Message>a &amp; b &#x41;<![CDATA[ <c>]]></Message>\n</Error>\n",
            "BadDigest",
            "a & b A <c>",
        ),
        (
            "wrapped",
            "<ErrorResponse xmlns=\"http://doc.example/\"><Error><Type>Sender</Type><Code>InvalidToken</Code><Message>m</Message></Error><RequestId>1</RequestId></ErrorResponse>",
            "InvalidToken",
            "m",
        ),
        (
            "broken off",
            "<Error><Code>RequestTimeout</Code><Message>Your socket connection was idle</Message><Reso",
            "RequestTimeout",
            "Your socket connection was idle",
        ),
    ];

    #[test]
    fn errors_of_all_servers_are_read() {
        for (server, answer, code, message) in ERRORS {
            let wanted = if message.is_empty() { (*code).to_owned() } else { format!("{code}: {message}") };
            assert_eq!(error_text(answer), wanted, "{server}");
            assert!(S3Error::parse(answer).is_some_and(|error| error.known_code() == Some(code)), "{server}");
            assert_eq!(upload_id(answer), None, "{server}");
        }
    }

    #[test]
    fn a_code_says_what_to_do_and_a_status_where_there_is_none() {
        use Fate::{Never, Resend, Restart};
        for (status, code, wanted) in [
            (503, "SlowDown", Resend),
            (400, "RequestTimeout", Resend),
            (400, "IncompleteBody", Resend),
            (403, "RequestTimeTooSkewed", Restart),
            (404, "NoSuchUpload", Restart),
            (409, "OperationAborted", Resend),
            (409, "InvalidBucketState", Never),
            (301, "PermanentRedirect", Never),
            (307, "TemporaryRedirect", Restart),
            (501, "NotImplemented", Never),
            (403, "AccessDenied", Never),
            (200, "InternalError", Resend),
            (200, "AccessDenied", Never),
            (200, "Unheard", Resend),
            (418, "Unheard", Never),
            (500, "Unheard", Resend),
        ] {
            let error = S3Error::parse(&format!("<Error><Code>{code}</Code></Error>"));
            assert_eq!(fate(status, error.as_ref()), wanted, "{status} {code}");
        }
        for (statuses, wanted) in [
            (&[408, 409, 425, 429, 500, 502, 503, 504, 507, 520, 599][..], Resend),
            (&[307], Restart),
            (&[100, 300, 301, 302, 308, 400, 401, 403, 404, 405, 411, 413, 414, 501, 505], Never),
        ] {
            for status in statuses {
                assert_eq!(fate(*status, None), wanted, "{status}");
            }
        }
        assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0), "sorted, each once");
    }

    #[test]
    fn a_signature_that_seems_too_old_or_too_new_is_about_clocks() {
        for (code, message, wanted) in [
            ("RequestTimeTooSkewed", "", true),
            ("AccessDenied", "Request has expired", true),
            ("AccessDenied", "Request is not yet valid", true),
            ("AccessDenied", "Request is not valid yet", true),
            ("AccessDenied", "Access Denied", false),
            ("ExpiredToken", "The provided token has expired.", false),
        ] {
            let answer = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
            let error = S3Error::parse(&answer).unwrap();
            assert_eq!(error.is_about_time(), wanted, "{answer}");
        }
    }

    #[test]
    fn nothing_but_its_result_completes_an_upload() {
        for (answer, wanted) in [
            ("<CompleteMultipartUploadResult/>", true),
            ("\u{feff}<CompleteMultipartUploadResult><ETag>a</ETag></CompleteMultipartUploadResult>", true),
            (
                " \n \n<?xml version=\"1.0\"?><CompleteMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Key>k</Key></CompleteMultipartUploadResult>",
                true,
            ),
            // Servers send its beginning when the file is there.
            ("<CompleteMultipartUploadResult><Key>k</Key>", true),
            ("<CompleteMultipartUploadRes", false),
            ("", false),
            ("  \n", false),
            ("{\"status\": 1}", false),
            ("<html></html>", false),
            ("<Error/>", false),
        ] {
            assert_eq!(is_completed(answer), wanted, "{answer}");
        }
    }

    #[test]
    fn etags_of_parts_are_read_from_their_list() {
        let part = |number: &str, etag: &str| {
            format!(
                "<Part><PartNumber>{number}</PartNumber><LastModified>x</LastModified><ETag>{etag}</ETag><Size>1</Size></Part>"
            )
        };
        let list = |attributes: &str, parts: &str| {
            format!(
                "<?xml version='1.0'?>\n<ListPartsResult{attributes}><UploadId>u</UploadId><IsTruncated>false</IsTruncated>{parts}</ListPartsResult>"
            )
        };
        let parts = [part("1", "&quot;a&quot;"), part(" 2 ", "b")].concat();
        for attributes in ["", " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"", " xmlns='urn:x'"] {
            assert_eq!(
                etags(&list(attributes, &parts)),
                [(1, "\"a\"".to_owned()), (2, "b".to_owned())],
                "{attributes}"
            );
        }
        let odd = [part("x", "a"), part("70000", "a"), "<Part/>".into(), part("3", "")].concat();
        for none in ["", "<Error/>", "<ListPartsResult>", &list("", ""), &list("", &odd)] {
            assert_eq!(etags(none), [], "{none}");
        }
    }

    #[test]
    fn pages_for_people_are_known() {
        for (answer, wanted) in [
            ("<!DOCTYPE html><html>", true),
            ("\n<HTML lang=\"en\">", true),
            ("<html", true),
            ("", false),
            ("<Error/>", false),
            ("{}", false),
            ("<!DOCTYPE", false),
        ] {
            assert_eq!(is_page(answer), wanted, "{answer}");
        }
    }

    #[test]
    fn an_error_needs_neither_a_message_nor_a_code() {
        assert_eq!(error_text("<Error><Code>SlowDown</Code></Error>"), "SlowDown");
        for answer in
            ["<Error/>", "<Error></Error>", "<Error xmlns='a'>", "<Error><Code>&nonsense;</Code></Error>"]
        {
            assert_eq!(S3Error::parse(answer), Some(S3Error::default()), "{answer}");
            assert_eq!(error_text(answer), answer);
        }
        let odd = S3Error::parse("<Error><Code>Unheard</Code></Error>").unwrap();
        assert_eq!(odd.known_code(), None);
    }

    #[test]
    fn what_is_no_error_of_s3_is_none() {
        let deep = "<a>".repeat(10_000);
        for answer in [
            "",
            "plain",
            "<html><body><Error><Code>SlowDown</Code></Error></body></html>",
            "<x:Error><Code>SlowDown</Code></x:Error>",
            "<CompleteMultipartUploadResult><Error/></CompleteMultipartUploadResult>",
            "{\"Error\": \"<Error>\"}",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><Error><Code>&b;</Code></Error>",
            &deep,
        ] {
            assert_eq!(S3Error::parse(answer), None, "{answer}");
            assert_eq!(error_text(answer), answer);
            assert_eq!(upload_id(answer), None, "{answer}");
        }
        let inside = format!("<Error>{deep}");
        assert_eq!(S3Error::parse(&inside), Some(S3Error::default()));
    }

    #[test]
    fn uploads_are_known_with_and_without_a_namespace() {
        for attributes in
            ["", " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"", " xmlns='http://other/' a='b'"]
        {
            let answer = format!(
                "<?xml version='1.0'?>\n<InitiateMultipartUploadResult{attributes}><Bucket>b</Bucket><Key>k</Key><UploadId>2~a&amp;b</UploadId></InitiateMultipartUploadResult>"
            );
            assert_eq!(upload_id(&answer).as_deref(), Some("2~a&b"), "{attributes}");
        }
        for empty in [
            "<InitiateMultipartUploadResult/>",
            "<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>",
        ] {
            assert_eq!(upload_id(empty), None);
        }
    }
}
