//! Reads the header of a GGUF file: metadata and the table of tensors.
//!
//! Every length in the file is a claim. A claim is checked against the bytes that are really there before
//! anything is allocated, so that a hostile file is an error, never a crash or a giant allocation.

use std::collections::BTreeMap;
use std::io::Read;

use crate::error::LoadError;

/// No sound model has a header near this; vocabularies of 250,000 tokens need about 12 MiB.
const MAX_HEADER_BYTES: u64 = 64 << 20;
const MAX_ENTRIES: u64 = 65_536;
const MAX_KEY_BYTES: u64 = 65_535;
const MAX_DIMENSIONS: u32 = 4;
const MAX_ALIGNMENT: u64 = 65_536;

/// A metadata value. Integers of all widths are widened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Integer(i128),
    Float(f64),
    Bool(bool),
    Text(String),
    Texts(TextList),
    /// An array of fixed-size elements, kept as read: `(element type, little-endian bytes)`.
    Packed(u32, Vec<u8>),
}

/// Many strings in one allocation.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct TextList {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl TextList {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(self.ends.iter()).map(|(start, &end)| &self.bytes[start as usize..end as usize])
    }
}

/// How a tensor's numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TensorKind {
    F32,
    F16,
    Q4_1,
    Q8_0,
}

impl TensorKind {
    fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::F32),
            1 => Some(Self::F16),
            3 => Some(Self::Q4_1),
            8 => Some(Self::Q8_0),
            _ => None,
        }
    }

    /// Elements per block and bytes per block.
    pub(crate) fn block(self) -> (u64, u64) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 => (1, 2),
            Self::Q4_1 => (32, 20),
            Self::Q8_0 => (32, 34),
        }
    }
}

/// Where a tensor lies: `offset` and `bytes` count from the start of the file and are known to be inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tensor {
    pub(crate) kind: TensorKind,
    /// Length of a row (the fastest-moving dimension).
    pub(crate) columns: usize,
    /// Product of the other dimensions.
    pub(crate) rows: usize,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// A parsed header.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) metadata: BTreeMap<String, Value>,
    pub(crate) tensors: BTreeMap<String, Tensor>,
}

fn malformed(what: impl Into<String>) -> LoadError {
    LoadError::Malformed(what.into())
}

/// Reads the header from `input`, the beginning of a file of `file_bytes` bytes.
pub(crate) fn read_header(input: impl Read, file_bytes: u64) -> Result<Header, LoadError> {
    let mut reader = Reader { input, position: 0, limit: file_bytes.min(MAX_HEADER_BYTES) };
    if reader.bytes(4, "the magic number")? != b"GGUF" {
        return Err(malformed("it does not begin with the letters GGUF"));
    }
    let version = reader.u32()?;
    if !(2..=3).contains(&version) {
        return Err(LoadError::Unsupported(format!("GGUF version {version}, expected 2 or 3 (little-endian)")));
    }
    let tensor_count = reader.count("tensors")?;
    let metadata_count = reader.count("metadata entries")?;

    let mut metadata = BTreeMap::new();
    for _ in 0..metadata_count {
        let key = reader.name()?;
        let code = reader.u32()?;
        let value = reader.value(code)?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(malformed(format!("the metadata key {key} appears twice")));
        }
    }

    let mut described = Vec::new();
    for _ in 0..tensor_count {
        described.push(reader.tensor()?);
    }

    let alignment = match metadata.get("general.alignment") {
        None => 32,
        Some(Value::Integer(n)) => u64::try_from(*n)
            .ok()
            .filter(|n| n.is_power_of_two() && (8..=MAX_ALIGNMENT).contains(n))
            .ok_or_else(|| malformed(format!("general.alignment is {n}, expected a power of two from 8 to 65536")))?,
        Some(_) => return Err(malformed("general.alignment is not an integer")),
    };
    let data_start = reader.position.next_multiple_of(alignment);

    let mut tensors = BTreeMap::new();
    for (name, mut tensor) in described {
        let inside = tensor
            .offset
            .checked_add(data_start)
            .filter(|start| start.checked_add(tensor.bytes).is_some_and(|end| end <= file_bytes));
        tensor.offset = inside.ok_or_else(|| malformed(format!("the tensor {name} lies outside the file")))?;
        if tensors.insert(name.clone(), tensor).is_some() {
            return Err(malformed(format!("the tensor {name} appears twice")));
        }
    }
    Ok(Header { metadata, tensors })
}

struct Reader<R> {
    input: R,
    position: u64,
    limit: u64,
}

impl<R: Read> Reader<R> {
    fn exact<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let mut buffer = [0; N];
        self.input.read_exact(&mut buffer).map_err(|_| malformed("the file ends inside its header"))?;
        self.position += N as u64;
        if self.position > self.limit {
            return Err(malformed(format!("its header is longer than {} bytes", self.limit)));
        }
        Ok(buffer)
    }

    fn bytes(&mut self, length: u64, what: &str) -> Result<Vec<u8>, LoadError> {
        if length > self.limit.saturating_sub(self.position) {
            return Err(malformed(format!("{what} claims {length} bytes, more than the header can hold")));
        }
        // `read_to_end` grows with the bytes that arrive, not with the claim.
        let mut buffer = Vec::new();
        let read = (&mut self.input).take(length).read_to_end(&mut buffer);
        if !matches!(read, Ok(n) if n as u64 == length) {
            return Err(malformed(format!("the file ends inside {what}")));
        }
        self.position += length;
        Ok(buffer)
    }

    fn u32(&mut self) -> Result<u32, LoadError> {
        self.exact().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, LoadError> {
        self.exact().map(u64::from_le_bytes)
    }

    fn count(&mut self, what: &str) -> Result<u64, LoadError> {
        let count = self.u64()?;
        if count > MAX_ENTRIES {
            return Err(malformed(format!("it claims {count} {what}, more than {MAX_ENTRIES}")));
        }
        Ok(count)
    }

    fn name(&mut self) -> Result<String, LoadError> {
        let length = self.u64()?;
        if length > MAX_KEY_BYTES {
            return Err(malformed(format!("a name claims {length} bytes, more than {MAX_KEY_BYTES}")));
        }
        String::from_utf8(self.bytes(length, "a name")?).map_err(|_| malformed("a name is not UTF-8"))
    }

    fn value(&mut self, code: u32) -> Result<Value, LoadError> {
        Ok(match code {
            0 => Value::Integer(u8::from_le_bytes(self.exact()?).into()),
            1 => Value::Integer(i8::from_le_bytes(self.exact()?).into()),
            2 => Value::Integer(u16::from_le_bytes(self.exact()?).into()),
            3 => Value::Integer(i16::from_le_bytes(self.exact()?).into()),
            4 => Value::Integer(self.u32()?.into()),
            5 => Value::Integer(i32::from_le_bytes(self.exact()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.exact()?).into()),
            7 => Value::Bool(self.exact::<1>()?[0] != 0),
            8 => {
                let length = self.u64()?;
                Value::Text(String::from_utf8_lossy(&self.bytes(length, "a text")?).into_owned())
            }
            9 => self.array()?,
            10 => Value::Integer(self.u64()?.into()),
            11 => Value::Integer(i64::from_le_bytes(self.exact()?).into()),
            12 => Value::Float(f64::from_le_bytes(self.exact()?)),
            other => return Err(malformed(format!("unknown metadata type {other}"))),
        })
    }

    fn array(&mut self) -> Result<Value, LoadError> {
        let element = self.u32()?;
        let count = self.u64()?;
        let width = match element {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => {
                let mut list = TextList::default();
                // No allocation by `count`: a false count runs into the end of the file.
                for _ in 0..count {
                    let length = self.u64()?;
                    list.bytes.extend(self.bytes(length, "a text")?);
                    list.ends.push(list.bytes.len() as u32);
                }
                return Ok(Value::Texts(list));
            }
            other => return Err(malformed(format!("arrays of type {other} are not allowed"))),
        };
        let length = count.checked_mul(width).ok_or_else(|| malformed("an array's length overflows"))?;
        Ok(Value::Packed(element, self.bytes(length, "an array")?))
    }

    /// A row of the tensor table; `offset` is still relative to the data section.
    fn tensor(&mut self) -> Result<(String, Tensor), LoadError> {
        let name = self.name()?;
        let dimensions = self.u32()?;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(malformed(format!("the tensor {name} has {dimensions} dimensions, expected 1 to 4")));
        }
        let columns = self.u64()?;
        let mut rows = 1u64;
        for _ in 1..dimensions {
            rows = rows.checked_mul(self.u64()?).ok_or_else(|| malformed(format!("the size of {name} overflows")))?;
        }
        let code = self.u32()?;
        let offset = self.u64()?;
        let kind = TensorKind::from_code(code)
            .ok_or_else(|| LoadError::Unsupported(format!("the tensor {name} has storage type {code}")))?;
        let (elements, bytes) = kind.block();
        if columns == 0 || rows == 0 || columns % elements != 0 {
            return Err(malformed(format!("the tensor {name} has a row of {columns}, not a multiple of {elements}")));
        }
        let bytes = (columns / elements)
            .checked_mul(bytes)
            .and_then(|row| row.checked_mul(rows))
            .ok_or_else(|| malformed(format!("the size of {name} overflows")))?;
        let size = |n: u64| usize::try_from(n).map_err(|_| malformed(format!("the size of {name} overflows")));
        Ok((name.clone(), Tensor { kind, columns: size(columns)?, rows: size(rows)?, offset, bytes }))
    }
}

#[cfg(test)]
mod tests;
