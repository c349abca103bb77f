//! Parquet: the same rows in typed columns. Where it comes from is in the file's metadata, too.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use psyche_core::event::Event;
use psyche_core::record::Record;

use super::columns::{Cell, Column, Kind, columns};
use super::rows::{Rows, Utterance};
use super::survey::Survey;
use super::{Encoder, ExportError};

/// Rows of a group: what is in memory at a time.
const GROUP: usize = 2_000;

/// Bytes on their way from the library's writer to ours.
#[derive(Clone, Default)]
struct Outlet(Arc<Mutex<Vec<u8>>>);

impl Outlet {
    fn drain(&self, out: &mut Vec<u8>) {
        out.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[derive(Default)]
pub struct Parquet {
    rows: Rows,
    columns: Vec<(Column, Values)>,
    pending: usize,
    outlet: Outlet,
    writer: Option<SerializedFileWriter<Outlet>>,
}

/// Values of a column that wait for their group, and for each row whether it has one.
struct Values {
    present: Vec<i16>,
    values: Typed,
}

enum Typed {
    Whole(Vec<i64>),
    Number(Vec<f64>),
    Flag(Vec<bool>),
    Text(Vec<ByteArray>),
}

impl From<ParquetError> for ExportError {
    fn from(error: ParquetError) -> Self {
        Self::Encode(error.to_string())
    }
}

impl Encoder for Parquet {
    fn begin(&mut self, survey: &Survey, out: &mut Vec<u8>) -> Result<(), ExportError> {
        self.rows = Rows::new(survey);
        self.columns = columns(survey)
            .into_iter()
            .map(|column| {
                let values = Values::of(column.kind);
                (column, values)
            })
            .collect();
        let fields: Vec<String> = self.columns.iter().map(|(column, _)| field(column)).collect();
        let schema = parse_message_type(&format!("message utterances {{ {} }}", fields.concat()))?;
        let provenance = serde_json::to_string(&survey.provenance).map_err(|e| ExportError::Encode(e.to_string()))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(format!("psyche {}", survey.provenance.program_version))
            .set_key_value_metadata(Some(vec![KeyValue::new("psyche".to_owned(), provenance)]))
            .build();
        self.writer = Some(SerializedFileWriter::new(self.outlet.clone(), Arc::new(schema), Arc::new(properties))?);
        self.outlet.drain(out);
        Ok(())
    }

    fn event(&mut self, record: &Record, event: &Event, out: &mut Vec<u8>) -> Result<(), ExportError> {
        match self.rows.take(record, event) {
            Some(said) => self.put(&said, out),
            None => Ok(()),
        }
    }

    fn end(&mut self, _: &Survey, out: &mut Vec<u8>) -> Result<(), ExportError> {
        if let Some(said) = self.rows.end() {
            self.put(&said, out)?;
        }
        self.group()?;
        if let Some(writer) = self.writer.take() {
            writer.close()?;
        }
        self.outlet.drain(out);
        Ok(())
    }
}

impl Parquet {
    fn put(&mut self, said: &Utterance, out: &mut Vec<u8>) -> Result<(), ExportError> {
        for (column, values) in &mut self.columns {
            values.push(column.cell(said));
        }
        self.pending += 1;
        if self.pending == GROUP {
            self.group()?;
            self.outlet.drain(out);
        }
        Ok(())
    }

    /// Writes the rows that wait as a group.
    fn group(&mut self) -> Result<(), ExportError> {
        let Some(writer) = self.writer.as_mut().filter(|_| self.pending > 0) else { return Ok(()) };
        self.pending = 0;
        let mut group = writer.next_row_group()?;
        for (_, values) in &mut self.columns {
            if let Some(column) = group.next_column()? {
                values.write(column)?;
            }
        }
        group.close()?;
        Ok(())
    }
}

fn field(column: &Column) -> String {
    let name = &column.name;
    match column.kind {
        Kind::Count => format!("optional int64 {name} (INTEGER(64,false)); "),
        Kind::Number => format!("optional double {name}; "),
        Kind::Flag => format!("optional boolean {name}; "),
        Kind::Time => format!("optional int64 {name} (TIMESTAMP(MICROS,true)); "),
        Kind::Text => format!("optional binary {name} (STRING); "),
    }
}

impl Values {
    fn of(kind: Kind) -> Self {
        let values = match kind {
            Kind::Count | Kind::Time => Typed::Whole(Vec::new()),
            Kind::Number => Typed::Number(Vec::new()),
            Kind::Flag => Typed::Flag(Vec::new()),
            Kind::Text => Typed::Text(Vec::new()),
        };
        Self { present: Vec::new(), values }
    }

    fn push(&mut self, cell: Option<Cell<'_>>) {
        self.present.push(i16::from(cell.is_some()));
        match (&mut self.values, cell) {
            // The bits of an unsigned number, as the format keeps them.
            (Typed::Whole(values), Some(Cell::Count(count))) => values.push(count.cast_signed()),
            (Typed::Whole(values), Some(Cell::Time(time))) => values.push(time.micros()),
            (Typed::Number(values), Some(Cell::Number(number))) => values.push(number),
            (Typed::Flag(values), Some(Cell::Flag(flag))) => values.push(flag),
            (Typed::Text(values), Some(Cell::Text(text))) => values.push(text.into_owned().into_bytes().into()),
            _ => {}
        }
    }

    fn write(&mut self, mut column: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let present = Some(self.present.as_slice());
        match &mut self.values {
            Typed::Whole(values) => {
                column.typed::<Int64Type>().write_batch(values, present, None).map(|_| values.clear())
            }
            Typed::Number(values) => {
                column.typed::<DoubleType>().write_batch(values, present, None).map(|_| values.clear())
            }
            Typed::Flag(values) => {
                column.typed::<BoolType>().write_batch(values, present, None).map(|_| values.clear())
            }
            Typed::Text(values) => {
                column.typed::<ByteArrayType>().write_batch(values, present, None).map(|_| values.clear())
            }
        }?;
        self.present.clear();
        column.close()
    }
}
