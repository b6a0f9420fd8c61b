//! Records as Parquet files: texts for all that has no type of its own there, moments in microseconds of
//! UTC, and every column may be null.
//! Invariant: all columns of the records that wait are of the same length.

use std::borrow::Cow;
use std::sync::Arc;

use ::parquet::basic::{self, LogicalType, Repetition, TimeUnit};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types;
use bytes::Bytes;

use super::compression::Compression;
use super::encoder::{Encoder, Shape};
use crate::background::exports::error::{AttemptError, Result as AttemptResult};
use crate::error::Error;
use crate::resources::batch_exports::columns::{Type, Value};
use crate::resources::batch_exports::isoformat;

struct File {
    columns: Vec<ParquetColumn>,
    /// What the waiting values take.
    bytes: usize,
    /// A group of about this size is written: so many bytes wait, since a file holds one column of a group
    /// after the other. Readers like groups of ten thousand rows and more.
    bytes_max: usize,
    writer: SerializedFileWriter<Vec<u8>>,
}

pub(super) fn begin(shape: &Shape) -> AttemptResult<Box<dyn Encoder>> {
    // Files that are to be small have small groups, or they would not end in time.
    let file_bytes_max = shape.bytes_max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
    let properties = WriterProperties::builder()
        .set_created_by(concat!("orgd version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(codec(shape.compression))
        .build();
    let writer = schema(&shape.columns)
        .and_then(|schema| SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)));
    Ok(Box::new(File {
        columns: shape.columns.iter().map(|(_, kind)| ParquetColumn::of(*kind)).collect(),
        bytes: 0,
        bytes_max: file_bytes_max.min(shape.group_bytes_max),
        writer: writer.map_err(broken)?,
    }))
}

impl Encoder for File {
    fn push(&mut self, values: &[Value<'_>]) -> AttemptResult<()> {
        for (column, value) in self.columns.iter_mut().zip(values) {
            self.bytes += column.push(value);
        }
        Ok(())
    }

    fn encode(&mut self) -> AttemptResult<Vec<u8>> {
        if self.bytes < self.bytes_max {
            return Ok(Vec::new());
        }
        self.write_group().map_err(broken)
    }

    fn end(&mut self) -> AttemptResult<Vec<u8>> {
        let mut last = self.write_group().map_err(broken)?;
        self.writer.finish().map_err(broken)?;
        last.append(self.writer.inner_mut());
        Ok(last)
    }
}

impl File {
    /// Writes what waits; returns its bytes.
    fn write_group(&mut self) -> Result<Vec<u8>> {
        if self.bytes > 0 {
            let mut group = self.writer.next_row_group()?;
            for column in &mut self.columns {
                column.take().write(&mut group)?;
            }
            group.close()?;
            self.bytes = 0;
        }
        self.writer.flush()?;
        Ok(std::mem::take(self.writer.inner_mut()))
    }
}

fn broken(cause: ParquetError) -> AttemptError {
    AttemptError::Internal(Error::internal(format!("a Parquet file could not be written: {cause}")))
}

fn codec(compression: Compression) -> basic::Compression {
    match compression {
        Compression::None => basic::Compression::UNCOMPRESSED,
        Compression::Gzip => basic::Compression::GZIP(Default::default()),
        Compression::Brotli => basic::Compression::BROTLI(Default::default()),
        Compression::Zstd => basic::Compression::ZSTD(Default::default()),
        // The other kind of LZ4 is deprecated, since its frames were never specified.
        Compression::Lz4 => basic::Compression::LZ4_RAW,
        Compression::Snappy => basic::Compression::SNAPPY,
    }
}

fn schema(columns: &[(String, Type)]) -> Result<types::Type> {
    let field = |(name, kind): &(String, Type)| {
        let (physical, logical) = match kind {
            Type::Uuid | Type::Text | Type::Json => (basic::Type::BYTE_ARRAY, Some(LogicalType::String)),
            Type::BigInteger => (basic::Type::INT64, None),
            Type::Integer => (basic::Type::INT32, None),
            Type::Float => (basic::Type::DOUBLE, None),
            Type::Boolean => (basic::Type::BOOLEAN, None),
            Type::Time => (basic::Type::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        };
        let field = types::Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical);
        field.build().map(Arc::new)
    };
    let fields = columns.iter().map(field).collect::<Result<Vec<_>>>()?;
    types::Type::group_type_builder("schema").with_fields(fields).build()
}

/// A column of the records that wait.
struct ParquetColumn {
    kind: Type,
    values: ColumnValues,
    /// 1 for each value, 0 for each null.
    levels: Vec<i16>,
}

/// The values that are not null.
enum ColumnValues {
    Texts(Texts),
    Longs(Vec<i64>),
    Integers(Vec<i32>),
    Floats(Vec<f64>),
    Booleans(Vec<bool>),
}

impl ParquetColumn {
    fn of(kind: Type) -> ParquetColumn {
        let values = match kind {
            Type::Uuid | Type::Text | Type::Json => ColumnValues::Texts(Texts::default()),
            Type::BigInteger | Type::Time => ColumnValues::Longs(Vec::new()),
            Type::Integer => ColumnValues::Integers(Vec::new()),
            Type::Float => ColumnValues::Floats(Vec::new()),
            Type::Boolean => ColumnValues::Booleans(Vec::new()),
        };
        ParquetColumn { kind, values, levels: Vec::new() }
    }

    /// Leaves an empty one.
    fn take(&mut self) -> ParquetColumn {
        std::mem::replace(self, ParquetColumn::of(self.kind))
    }

    /// Adds a value; returns what it takes in memory. One that the type cannot hold is null.
    fn push(&mut self, value: &Value<'_>) -> usize {
        let level = size_of::<i16>();
        let taken = match &mut self.values {
            ColumnValues::Texts(all) => text(value).map(|text| all.push(&text)),
            ColumnValues::Longs(all) => keep(all, long(self.kind, value)),
            ColumnValues::Integers(all) => {
                keep(all, long(self.kind, value).and_then(|number| i32::try_from(number).ok()))
            }
            ColumnValues::Floats(all) => keep(all, float(value)),
            ColumnValues::Booleans(all) => keep(all, boolean(value)),
        };
        self.levels.push(taken.is_some().into());
        level + taken.unwrap_or_default()
    }

    fn write(self, group: &mut SerializedRowGroupWriter<'_, Vec<u8>>) -> Result<()> {
        match self.values {
            ColumnValues::Texts(values) => write::<ByteArrayType>(group, &values.split(), &self.levels),
            ColumnValues::Longs(values) => write::<Int64Type>(group, &values, &self.levels),
            ColumnValues::Integers(values) => write::<Int32Type>(group, &values, &self.levels),
            ColumnValues::Floats(values) => write::<DoubleType>(group, &values, &self.levels),
            ColumnValues::Booleans(values) => write::<BoolType>(group, &values, &self.levels),
        }
    }
}

/// Texts one after the other: a hundred thousand small allocations would leave memory in pieces.
#[derive(Default)]
struct Texts {
    all: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    /// Adds one; returns what it takes in memory until it is written.
    fn push(&mut self, text: &str) -> usize {
        self.all.extend_from_slice(text.as_bytes());
        self.ends.push(self.all.len());
        size_of::<usize>() + size_of::<ByteArray>() + text.len()
    }

    fn split(self) -> Vec<ByteArray> {
        let all = Bytes::from(self.all);
        let mut start = 0;
        let next = |end| ByteArray::from(all.slice(std::mem::replace(&mut start, end)..end));
        self.ends.into_iter().map(next).collect()
    }
}

fn keep<T>(all: &mut Vec<T>, value: Option<T>) -> Option<usize> {
    all.push(value?);
    Some(size_of::<T>())
}

fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[T::T],
    levels: &[i16],
) -> Result<()> {
    let column = group.next_column()?;
    let mut column = column.ok_or_else(|| ParquetError::General("there are too many columns".into()))?;
    column.typed::<T>().write_batch(values, Some(levels), None)?;
    column.close()
}

/// Everything has a text.
fn text<'a>(value: &'a Value<'_>) -> Option<Cow<'a, str>> {
    let text = match value {
        Value::Null => return None,
        Value::Text(text) | Value::Json(text) => return Some(Cow::Borrowed(text)),
        Value::Uuid(id) => id.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Time(time) => isoformat(*time),
    };
    Some(text.into())
}

fn long(kind: Type, value: &Value<'_>) -> Option<i64> {
    match (kind, value) {
        (Type::Time, Value::Time(time)) => Some(time.0),
        (Type::BigInteger | Type::Integer, Value::Integer(number)) => Some(*number),
        (Type::BigInteger | Type::Integer, Value::Boolean(flag)) => Some((*flag).into()),
        _ => None,
    }
}

fn float(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        #[expect(clippy::cast_precision_loss, reason = "the column holds numbers of this precision")]
        Value::Integer(number) => Some(*number as f64),
        _ => None,
    }
}

fn boolean(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Boolean(flag) => Some(*flag),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::Field;
    use uuid::Uuid;

    use super::*;
    use crate::clock::Time;

    const ALL: [Type; 8] = [
        Type::Uuid,
        Type::Text,
        Type::Json,
        Type::BigInteger,
        Type::Integer,
        Type::Float,
        Type::Boolean,
        Type::Time,
    ];

    /// A file with a column of every type.
    fn shape(bytes_max: Option<u64>) -> Shape {
        let columns = ALL.map(|kind| (format!("{kind:?}"), kind)).to_vec();
        Shape { columns, compression: Compression::None, bytes_max, group_bytes_max: 16 * 1024 * 1024 }
    }

    fn fields(bytes: Vec<u8>) -> Vec<Vec<Field>> {
        let file = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
        let rows = file.get_row_iter(None).unwrap().map(|row| row.unwrap().into_columns());
        rows.map(|row| row.into_iter().map(|(_, field)| field).collect()).collect()
    }

    fn encoded(shape: &Shape, records: &[Vec<Value<'_>>]) -> Vec<u8> {
        let Ok(mut file) = begin(shape) else { panic!("it does not begin") };
        let mut bytes = Vec::new();
        for record in records {
            assert!(file.push(record).is_ok());
            bytes.extend(file.encode().ok().unwrap());
        }
        bytes.extend(file.end().ok().unwrap());
        bytes
    }

    fn record() -> Vec<Value<'static>> {
        vec![
            Value::Uuid(Uuid::nil()),
            Value::Text("Zoë".into()),
            Value::Json("{}".into()),
            Value::Integer(i64::MAX),
            Value::Integer(i32::MIN.into()),
            Value::Float(0.5),
            Value::Boolean(true),
            Value::Time(Time(-1)),
        ]
    }

    #[test]
    fn values_of_every_type_and_nulls_are_read_back() {
        let nulls = vec![Value::Null; ALL.len()];
        let read = fields(encoded(&shape(None), &[nulls.clone(), record(), nulls]));
        let wanted = vec![
            Field::Str(Uuid::nil().to_string()),
            Field::Str("Zoë".into()),
            Field::Str("{}".into()),
            Field::Long(i64::MAX),
            Field::Int(i32::MIN),
            Field::Double(0.5),
            Field::Bool(true),
            Field::TimestampMicros(-1),
        ];
        let nulls = vec![Field::Null; ALL.len()];
        assert_eq!(read, [nulls.clone(), wanted, nulls]);
    }

    #[test]
    fn a_value_of_another_type_is_its_text_or_what_the_type_holds_of_it_or_null() {
        let texts = |values: [Value<'static>; 3]| {
            let shape = Shape { columns: vec![("a".into(), Type::Text)], ..shape(None) };
            fields(encoded(&shape, &values.map(|value| vec![value]))).concat()
        };
        assert_eq!(
            texts([Value::Integer(7), Value::Time(Time(0)), Value::Json("[1]".into())]),
            ["7", "1970-01-01T00:00:00+00:00", "[1]"].map(|text| Field::Str(text.into()))
        );
        let odd = |value: Value<'static>| fields(encoded(&shape(None), &[vec![value; ALL.len()]])).remove(0);
        let large = odd(Value::Integer(i64::MAX));
        assert_eq!(
            large[3..],
            [
                Field::Long(i64::MAX),
                Field::Null,
                Field::Double(9_223_372_036_854_775_807.0),
                Field::Null,
                Field::Null
            ]
        );
        let text = odd(Value::Text("1".into()));
        assert_eq!(text[3..], [Field::Null, Field::Null, Field::Null, Field::Null, Field::Null]);
    }

    #[test]
    fn groups_end_by_their_size_and_hold_all_records() {
        let file = encoded(&shape(Some(400)), &vec![record(); 10]);
        let groups = SerializedFileReader::new(Bytes::from(file.clone())).unwrap().num_row_groups();
        assert!((2..10).contains(&groups), "{groups}");
        assert_eq!(fields(file).len(), 10);
    }
}
