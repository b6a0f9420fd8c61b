//! What S3 and its relatives answer, read from XML. Servers differ in namespaces, prologs and further elements, so
//! elements count by their local names. Input is untrusted: sizes are bounded by the caller, and nesting by the
//! reader.

use std::borrow::Cow;

use instant_xml::de::Node;
use instant_xml::{Deserializer, Error, FromXml, Id, Kind};

/// Documented codes of S3. They say what to do, and nothing about the network that they come from.
const KNOWN_CODES: &[&str] = &[
    "AccessDenied",
    "BadDigest",
    "EntityTooLarge",
    "EntityTooSmall",
    "ExpiredToken",
    "InternalError",
    "InvalidAccessKeyId",
    "InvalidArgument",
    "InvalidBucketName",
    "InvalidPart",
    "InvalidRequest",
    "InvalidToken",
    "MalformedXML",
    "NoSuchBucket",
    "NoSuchUpload",
    "PermanentRedirect",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "SlowDown",
];

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
        KNOWN_CODES.iter().copied().find(|known| self.is(known))
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
    id.filter(|id| !id.is_empty())
}

#[derive(Default)]
struct UploadId(Option<String>);

/// Reads a document with the right root element. What was found before a fault of the XML counts.
fn parse<'xml, T: FromXml<'xml, Accumulator = Option<T>>>(answer: &'xml str) -> Option<T> {
    // Some servers send blanks while they work, and the prolog after them.
    Deserializer::new(answer.trim_start()).ok()?.deserialize().ok()
}

impl<'xml> FromXml<'xml> for S3Error {
    fn matches(id: Id<'_>, _: Option<Id<'_>>) -> bool {
        matches!(id.name, "Error" | "ErrorResponse")
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
        id.name == "InitiateMultipartUploadResult"
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

/// Code and message, also where the error is wrapped in a response.
fn read_error(error: &mut S3Error, element: &mut Deserializer<'_, '_>) -> Result<(), Error> {
    each_child(element, |name, child| match name {
        "Code" => keep_first(&mut error.code, child),
        "Message" => keep_first(&mut error.message, child),
        "Error" => read_error(error, child),
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
