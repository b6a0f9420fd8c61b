//! What S3, its relatives and the proxies in between really answer, and what becomes of the run.

use serde_json::{Value, json};

use crate::exports_s3::{BEGUN, backfilled_to, capture_megabytes, seen};
use crate::support::exports::{capture, completed, latest, log, patient, run_in_time};
use crate::support::{Org, Receiver, Reply, SILENCE, Server, reply};

/// What a server with a private address says is shown by its known codes only.
const HIDDEN: &str = "(what a server in a private network answers is not shown)";
const PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body>\r\n</html>";
const NAMESPACE: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

enum Wanted {
    /// The attempt ends well, after so many requests.
    Sent(usize),
    /// The attempt ends with this error, and the next one ends well.
    Later(String),
    /// The run fails at once with this error.
    Never(String),
}

use Wanted::{Later, Never, Sent};

fn error(status: u16, code: &str) -> Reply {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>m</Message><RequestId>1</RequestId></Error>"
    );
    reply(status, &xml)
}

fn refused(status: u16, text: &str) -> Wanted {
    Never(format!("ClientError: (status: {status}) {text}"))
}

fn busy(status: u16, text: &str) -> Wanted {
    Later(format!("IntermittentUploadPartTimeoutError: (status: {status}) {text}"))
}

#[track_caller]
fn check(
    server: &Server,
    org: &Org,
    records: usize,
    from: &str,
    replies: Vec<Reply>,
    wanted: &Wanted,
) -> Receiver {
    let receiver = Receiver::replying(replies);
    let export = backfilled_to(org, &receiver);
    let run = run_in_time(server, org, &export);
    let errors = log(org, &export, "failed with");
    match wanted {
        Sent(requests) => {
            assert_eq!((&errors, receiver.received().len()), (&Vec::new(), *requests), "{from}");
            completed(&run, records);
        }
        Later(error) => {
            assert_eq!(errors, [format!("Batch export failed with error: {error}")], "{from}");
            completed(&run, records);
        }
        Never(error) => {
            assert_eq!(errors, [format!("Batch export failed with non-retryable error: {error}")], "{from}");
            assert_eq!((&run["status"], &run["latest_error"]), (&json!("Failed"), &json!(error)), "{from}");
        }
    }
    receiver
}

/// Answers, from whom they come, and what becomes of the attempt.
type Cases = Vec<(&'static str, Vec<Reply>, Wanted)>;

fn page(status: u16) -> Reply {
    reply(status, PAGE).header("Content-Type", "text/html")
}

/// The file is there.
fn good_answers() -> Cases {
    vec![
        ("Amazon", vec![reply(200, "").header("ETag", "\"abc\"")], Sent(1)),
        ("an ETag without quotes", vec![reply(200, "").header("ETag", "abc")], Sent(1)),
        ("no ETag", vec![reply(200, "")], Sent(1)),
        ("204", vec![reply(204, "")], Sent(1)),
        ("blanks", vec![reply(200, " \r\n ")], Sent(1)),
    ]
}

/// The same attempt sends the file again.
fn answers_that_pass_at_once() -> Cases {
    vec![
        ("Amazon is busy", vec![error(503, "SlowDown")], Sent(2)),
        ("Amazon fails", vec![error(500, "InternalError"), error(503, "ServiceUnavailable")], Sent(3)),
        (
            "Ceph, busy",
            vec![reply(503, &format!("<Error {NAMESPACE}><Code>SlowDown</Code><Message></Message></Error>"))],
            Sent(2),
        ),
        (
            "another namespace",
            vec![reply(503, "<a:Error xmlns:a='urn:x'><a:Code>SlowDown</a:Code></a:Error>")],
            Sent(2),
        ),
        ("Backblaze", vec![error(503, "ServiceUnavailable").header("Retry-After", "3")], Sent(2)),
        ("Google", vec![error(429, "RequestLimitExceeded")], Sent(2)),
        ("MinIO starts", vec![error(503, "XMinioServerNotInitialized")], Sent(2)),
        ("Dell", vec![reply(503, "<error><code>SlowDown</code></error>")], Sent(2)),
        ("Cloudflare in between", vec![reply(520, "error code: 520"), reply(524, "")], Sent(3)),
        ("nginx in between", vec![page(502), page(504), reply(502, "")], Sent(4)),
        ("came too slowly", vec![error(400, "RequestTimeout"), reply(408, "")], Sent(3)),
        ("the body got lost", vec![error(400, "IncompleteBody"), error(400, "BadDigest")], Sent(3)),
        ("two at once", vec![error(409, "OperationAborted"), reply(409, "")], Sent(3)),
        ("an error in a good answer", vec![error(200, "InternalError"), error(200, "SlowDown")], Sent(3)),
        (
            "an error after blanks",
            vec![reply(200, "\n \n<?xml version='1.0'?>\n<Error><Code>InternalError</Code></Error>")],
            Sent(2),
        ),
        (
            "an error after a byte order mark",
            vec![reply(200, "\u{feff}<Error><Code>InternalError</Code></Error>")],
            Sent(2),
        ),
        ("an unknown error in a good answer", vec![reply(200, "<Error/>")], Sent(2)),
        ("a page in a good answer", vec![page(200)], Sent(2)),
        ("a good answer breaks off", vec![reply(200, "").of_length(100)], Sent(2)),
        ("a connection is lost after an answer", vec![error(503, "SlowDown"), reply(0, "")], Sent(3)),
    ]
}

/// Another attempt sends the file again.
fn answers_that_pass_later() -> Cases {
    let skewed = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
    vec![
        ("busy for long", vec![error(503, "SlowDown"); 5], busy(503, "SlowDown")),
        (
            "wants a long pause",
            vec![error(503, "SlowDown").header("Retry-After", "61")],
            busy(503, "SlowDown"),
        ),
        (
            "a bucket that has just been made",
            vec![error(307, "TemporaryRedirect")],
            busy(307, "TemporaryRedirect"),
        ),
        (
            "a wrong clock",
            vec![error(403, "RequestTimeTooSkewed")],
            busy(403, "RequestTimeTooSkewed (The clocks of this server and of the bucket differ)"),
        ),
        (
            "a wrong clock, in other words",
            vec![reply(403, skewed)],
            busy(403, "AccessDenied (The clocks of this server and of the bucket differ)"),
        ),
    ]
}

/// Nothing is sent again.
fn answers_that_stay() -> Cases {
    let region = |answer: Reply| answer.header("x-amz-bucket-region", "eu-west-1");
    vec![
        ("no right", vec![error(403, "AccessDenied")], refused(403, "AccessDenied")),
        (
            "Ceph, no such key",
            vec![reply(403, "<Error><Code>InvalidAccessKeyId</Code><Message></Message></Error>")],
            refused(403, "InvalidAccessKeyId"),
        ),
        ("Ceph is full", vec![error(403, "QuotaExceeded")], refused(403, "QuotaExceeded")),
        ("no bucket", vec![error(404, "NoSuchBucket")], refused(404, "NoSuchBucket")),
        (
            "wrapped",
            vec![reply(
                403,
                "<ErrorResponse xmlns='urn:x'><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>",
            )],
            refused(403, "SignatureDoesNotMatch"),
        ),
        (
            "another region",
            vec![region(error(301, "PermanentRedirect"))],
            refused(301, "PermanentRedirect (The bucket is in another region)"),
        ),
        (
            "another region, nothing said",
            vec![region(reply(301, ""))],
            refused(301, &format!("{HIDDEN} (The bucket is in another region)")),
        ),
        (
            "another region in the signature",
            vec![region(error(400, "AuthorizationHeaderMalformed"))],
            refused(400, "AuthorizationHeaderMalformed (The bucket is in another region)"),
        ),
        ("Cloudflare does not encrypt", vec![error(501, "NotImplemented")], refused(501, "NotImplemented")),
        ("501 of a proxy", vec![reply(501, "")], refused(501, HIDDEN)),
        (
            "an error in a good answer, for good",
            vec![error(200, "AccessDenied")],
            Never("ClientError: AccessDenied".into()),
        ),
        (
            "a firewall",
            vec![page(403)],
            refused(403, &format!("{HIDDEN} (This is a page for people, and not from a bucket)")),
        ),
        (
            "a proxy with a small limit",
            vec![page(413)],
            refused(
                413,
                &format!(
                    "{HIDDEN} (The file is sent in bodies that are too large for a server on the way, which must take 16 MiB)"
                ),
            ),
        ),
        ("no word", vec![reply(401, "")], refused(401, HIDDEN)),
        ("an unknown code", vec![error(403, "NoSuchThing")], refused(403, HIDDEN)),
    ]
}

#[test]
fn every_answer_to_a_file_has_its_meaning() {
    let server = patient();
    let org = server.org();
    capture(&server, &org, &[seen(1)]);
    let all = [good_answers(), answers_that_pass_at_once(), answers_that_pass_later(), answers_that_stay()];
    for (from, replies, wanted) in all.into_iter().flatten() {
        check(&server, &org, 1, from, replies, &wanted);
    }
}

/// An upload in two parts.
struct InParts {
    begun: Reply,
    parts: [Reply; 2],
    completed: Vec<Reply>,
}

const COMPLETED: &str =
    "<CompleteMultipartUploadResult><Key>k</Key><ETag>\"abc-2\"</ETag></CompleteMultipartUploadResult>";
const LISTED: &str = "<ListPartsResult><Part><PartNumber>1</PartNumber><ETag>\"a1\"</ETag></Part><Part><PartNumber>2</PartNumber><ETag>a2</ETag></Part></ListPartsResult>";
const BEGUN_AT: &str = "Fri, 01 Jan 2021 12:00:00 GMT";

impl InParts {
    /// As everything is well.
    fn good() -> InParts {
        InParts {
            begun: reply(200, BEGUN).header("Date", BEGUN_AT),
            parts: ["\"a1\"", "\"a2\""].map(|etag| reply(200, "").header("ETag", etag)),
            completed: vec![reply(200, COMPLETED)],
        }
    }

    fn begun(body: &str) -> InParts {
        InParts { begun: reply(200, body), ..InParts::good() }
    }

    fn etags(etags: [&str; 2]) -> InParts {
        InParts { parts: etags.map(|etag| reply(200, "").header("ETag", etag)), ..InParts::good() }
    }

    fn completed(completed: Vec<Reply>) -> InParts {
        InParts { completed, ..InParts::good() }
    }

    fn replies(self) -> Vec<Reply> {
        [vec![self.begun], self.parts.to_vec(), self.completed].concat()
    }
}

/// The size of the file that was put in parts.
fn size(receiver: &Receiver) -> usize {
    let parts = receiver.received().into_iter().filter(|request| request.line.starts_with("PUT"));
    parts.map(|request| request.body.len()).sum()
}

#[test]
fn every_answer_to_an_upload_in_parts_has_its_meaning() {
    const RECORDS: usize = 10;
    let server = patient();
    let org = server.org();
    capture_megabytes(&server, &org, RECORDS);
    let receiver = check(&server, &org, RECORDS, "Amazon", InParts::good().replies(), &Sent(4));
    let size = size(&receiver);
    let again = |mut first: InParts| {
        first.completed.extend(InParts::good().replies());
        first
    };
    let head = |size: usize, changed: &str| reply(200, "").of_length(size).header("Last-Modified", changed);
    let there = || head(size, "Fri, 01 Jan 2021 12:00:07 GMT");
    let plain = BEGUN.replace(&format!(" {NAMESPACE}"), "");
    let doubtful = "ClientError: The answer does not say that the upload is complete";
    let lost = "ClientError: A part has no ETag: the server, or a proxy, leaves it out";
    for (from, upload, wanted) in [
        ("no namespace", InParts::begun(&plain), Sent(4)),
        (
            "another namespace",
            InParts::begun(&plain.replace("Result>", "Result xmlns='urn:x'>").replace(
                "</InitiateMultipartUploadResult xmlns='urn:x'>",
                "</InitiateMultipartUploadResult>",
            )),
            Sent(4),
        ),
        ("blanks first", InParts::begun(&format!("\n \n<?xml version='1.0'?>\n{BEGUN}")), Sent(4)),
        (
            "blanks, then the result",
            InParts::completed(vec![reply(200, &format!("  \n  <?xml version='1.0'?>\n{COMPLETED}"))]),
            Sent(4),
        ),
        (
            "a result with a namespace",
            InParts::completed(vec![reply(
                200,
                &COMPLETED.replace("Result><K", &format!("Result {NAMESPACE}><K")),
            )]),
            Sent(4),
        ),
        (
            "the result breaks off",
            InParts::completed(vec![reply(200, &COMPLETED[..40]).of_length(400)]),
            Sent(4),
        ),
        (
            "busy, then the result",
            InParts::completed(vec![error(503, "SlowDown"), reply(404, ""), reply(200, COMPLETED)]),
            Sent(6),
        ),
        (
            "an error in a good answer",
            InParts::completed(vec![error(200, "InternalError"), reply(404, ""), reply(200, COMPLETED)]),
            Sent(6),
        ),
        ("nothing, and it is there", InParts::completed(vec![reply(200, ""), there()]), Sent(5)),
        (
            "blanks only, and it is there",
            InParts::completed(vec![reply(200, "  \n ").of_length(900), there()]),
            Sent(5),
        ),
        ("JSON, and it is there", InParts::completed(vec![reply(200, "{\"ok\": true}"), there()]), Sent(5)),
        ("a page of a proxy, and it is there", InParts::completed(vec![reply(504, PAGE), there()]), Sent(5)),
        ("the connection is lost, and it is there", InParts::completed(vec![reply(0, ""), there()]), Sent(5)),
        (
            "done before",
            InParts::completed(vec![reply(0, ""), reply(500, ""), error(404, "NoSuchUpload"), there()]),
            Sent(7),
        ),
        (
            "nothing, and an older one is there",
            InParts::completed(vec![
                reply(200, ""),
                head(size, "Fri, 01 Jan 2021 11:59:59 GMT"),
                reply(200, COMPLETED),
            ]),
            Sent(6),
        ),
        (
            "nothing, and another one is there",
            InParts::completed(vec![reply(200, ""), head(size - 1, BEGUN_AT), reply(200, COMPLETED)]),
            Sent(6),
        ),
        (
            "the upload is gone",
            again(InParts::completed(vec![error(404, "NoSuchUpload"), reply(404, ""), reply(204, "")])),
            busy(404, "NoSuchUpload"),
        ),
        (
            "a part is gone",
            again(InParts::completed(vec![error(400, "InvalidPart"), reply(404, ""), reply(204, "")])),
            busy(400, "InvalidPart"),
        ),
        (
            "never a result",
            again(InParts::completed(
                [vec![[reply(200, ""), reply(404, "")]; 5].concat(), vec![reply(204, "")]].concat(),
            )),
            Later(doubtful.into()),
        ),
        (
            "parts that are too small",
            InParts::completed(vec![error(400, "EntityTooSmall")]),
            refused(400, "EntityTooSmall"),
        ),
        (
            "ETags that a proxy leaves out",
            InParts {
                parts: [reply(200, ""), reply(200, "")],
                completed: vec![reply(200, LISTED), reply(200, COMPLETED)],
                ..InParts::good()
            },
            Sent(5),
        ),
        ("an ETag that is nowhere", InParts::etags(["\"a1\"", "\"\""]), Never(lost.into())),
    ] {
        check(&server, &org, RECORDS, from, upload.replies(), &wanted);
    }
    for (from, first) in [("an empty answer", reply(200, "")), ("a page first", reply(502, PAGE))] {
        let replies = [vec![first], InParts::good().replies()].concat();
        check(&server, &org, RECORDS, from, replies, &Sent(5));
    }
    for (from, etags, sent) in [
        ("quoted", ["\"a1\"", "\"a2\""], ["\"a1\"", "\"a2\""]),
        ("not quoted", ["a1", "a2"], ["a1", "a2"]),
        ("made weak by a proxy", ["W/\"a1\"", "W/\"a2\""], ["\"a1\"", "\"a2\""]),
    ] {
        let receiver = check(&server, &org, RECORDS, from, InParts::etags(etags).replies(), &Sent(4));
        let body = String::from_utf8(receiver.received().remove(3).body).expect("text");
        let body = body.replace("&quot;", "\"");
        for etag in sent {
            assert!(body.contains(&format!("<ETag>{etag}</ETag>")), "{from}: {body}");
        }
    }
}

#[test]
fn a_bucket_that_says_nothing_leaves_the_next_attempt_to_try() {
    let server = Server::start();
    let org = server.org();
    capture(&server, &org, &[seen(1)]);
    let receiver = Receiver::answering(&[(SILENCE, "")]);
    let export = backfilled_to(&org, &receiver);
    server.until("the request is there", || receiver.received().len() == 1);
    server.pass(std::time::Duration::from_secs(11));
    server.until("the attempt has failed", || log(&org, &export, "ConnectionClosedError").len() == 1);
    let run: Value = latest(&org, &export);
    assert_eq!((&run["status"], &run["latest_error"]), (&json!("Running"), &Value::Null));
    server.pass(std::time::Duration::from_secs(31));
    completed(&run_in_time(&server, &org, &export), 1);
}
