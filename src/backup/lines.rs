//! All rows as text, one JSON object in a line: for other programs, other machines, and versions to come.
//!
//! The first line says what follows: `{"orgd_rows": 1, "program": …, "schema": …, "sequence": …}`. Each row is
//! `{"table": name, "key": hexadecimal digits, "record": base64}`, tables by name and rows by key. A record's first
//! byte is the number of its encoding, the rest is the record in the layout of the schema that the first line names:
//! a program of a newer schema has the steps that bring it up. The last line is `{"end": {"digest", "rows",
//! "tables"}}`; a text without it is not whole.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Made, Outcome, Place};
use crate::store::{Contents, Digester, Header, Rows, Step, StoreError, hex};

/// The number of this form.
const FORM: u32 = 1;
/// No line is longer, in bytes.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct First {
    orgd_rows: u32,
    #[serde(flatten)]
    header: Header,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    table: std::borrow::Cow<'a, str>,
    key: String,
    record: String,
}

#[derive(Serialize, Deserialize)]
struct Last {
    end: Contents,
}

/// Writes all rows into a new text, reads it again, and gives it its name.
///
/// # Errors
/// One sentence for the operator; nothing has the name then that had it not before.
pub fn export(rows: &mut dyn Rows, place: &Place) -> Outcome<Made> {
    let started = Instant::now();
    let header = rows.header().clone();
    let contents = place.fill(|part| write(rows, part))?;
    let found = place.judge(|part| {
        let mut text = LineReader::open(part)?;
        digest(&mut text).map_err(|cause| cause.to_string())
    })?;
    if found != contents {
        return place.judge(|_| Err("the text does not hold what was written to it".to_owned()));
    }
    place.publish()?;
    Ok(Made::at(place, &header, contents, started))
}

fn write(rows: &mut dyn Rows, part: &Path) -> Outcome<Contents> {
    let cannot = |cause: std::io::Error| format!("cannot write {}: {cause}", part.display());
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = BufWriter::new(options.open(part).map_err(cannot)?);
    let first = First { orgd_rows: FORM, header: rows.header().clone() };
    put(&mut out, &first).map_err(cannot)?;
    let mut table = String::new();
    loop {
        match rows.next().map_err(|cause| cause.to_string())? {
            Step::Table(name) => table = name,
            Step::Row(key, record) => {
                let line = Line { table: (&*table).into(), key: hex(&key), record: STANDARD.encode(&record) };
                put(&mut out, &line).map_err(cannot)?;
            }
            Step::End(end) => {
                let last = Last { end };
                put(&mut out, &last).map_err(cannot)?;
                let file = out.into_inner().map_err(|cause| cannot(cause.into_error()))?;
                file.sync_all().map_err(cannot)?;
                return Ok(last.end);
            }
        }
    }
}

fn put(out: &mut impl Write, value: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Reads the rows of such a text.
pub struct LineReader<R> {
    from: R,
    header: Header,
    number: u64,
    table: String,
    /// The row after the name of its table.
    waiting: Option<Step>,
}

impl LineReader<BufReader<std::fs::File>> {
    /// Opens a text.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn open(path: &Path) -> Outcome<Self> {
        let shown = path.display();
        let file = std::fs::File::open(path).map_err(|cause| format!("cannot read {shown}: {cause}"))?;
        LineReader::new(BufReader::new(file)).map_err(|cause| format!("{shown}: {cause}"))
    }
}

impl<R: BufRead> LineReader<R> {
    fn new(from: R) -> Result<LineReader<R>, StoreError> {
        let header = Header { program: String::new(), schema: 0, sequence: 0 };
        let mut reader = LineReader { from, header, number: 0, table: String::new(), waiting: None };
        let line = reader.line()?;
        let first: First = serde_json::from_slice(&line).map_err(|_| {
            StoreError::record("these are no rows that `orgd export --all` has written".into())
        })?;
        if first.orgd_rows != FORM {
            let form = first.orgd_rows;
            return Err(StoreError::record(format!(
                "the rows are in form {form}, not {FORM}: use a newer orgd"
            )));
        }
        reader.header = first.header;
        Ok(reader)
    }

    fn line(&mut self) -> Result<Vec<u8>, StoreError> {
        self.number += 1;
        let mut line = Vec::new();
        let read = self.from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        read.map_err(|cause| self.wrong(&cause.to_string()))?;
        match line.last() {
            Some(b'\n') => Ok(line),
            _ => Err(self.wrong("the text breaks off here: its end is missing")),
        }
    }

    fn wrong(&self, cause: &str) -> StoreError {
        StoreError::record(format!("line {}: {cause}", self.number))
    }
}

impl<R: BufRead> Rows for LineReader<R> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self) -> Result<Step, StoreError> {
        if let Some(step) = self.waiting.take() {
            return Ok(step);
        }
        let line = self.line()?;
        if let Ok(last) = serde_json::from_slice::<Last>(&line) {
            return Ok(Step::End(last.end));
        }
        let row: Line<'_> = serde_json::from_slice(&line).map_err(|cause| self.wrong(&cause.to_string()))?;
        let key = unhex(&row.key).ok_or_else(|| self.wrong("the key is not hexadecimal"))?;
        let record = STANDARD.decode(&row.record).map_err(|_| self.wrong("the record is not base64"))?;
        let step = Step::Row(key, record);
        if row.table == self.table {
            return Ok(step);
        }
        self.waiting = Some(step);
        self.table = row.table.into_owned();
        Ok(Step::Table(self.table.clone()))
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok()
        })
        .collect()
}

/// What the rows are together, whatever their end says.
fn digest(rows: &mut dyn Rows) -> Result<Contents, StoreError> {
    let mut digester = Digester::default();
    loop {
        match rows.next()? {
            Step::Table(name) => digester.table(&name),
            Step::Row(key, record) => digester.row(&key, &record),
            Step::End(_) => return Ok(digester.finish()),
        }
    }
}
