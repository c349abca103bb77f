//! Reads the weights out of an ONNX file: names, shapes and bytes of its initialisers; the graph itself is not run.
//!
//! Of the protocol buffer only what holds weights is looked at: `ModelProto.graph` (7), `GraphProto.initializer` (5), and
//! of `TensorProto` its `dims` (1), `data_type` (2), `name` (8) and `raw_data` (9). Every length is a claim that is
//! checked against the bytes that are there; nothing is copied, so nothing can be made to grow.

use crate::error::LoadError;

const MAX_TENSORS: usize = 4_096;
const MAX_DIMENSIONS: usize = 4;

/// How a tensor's numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    I8,
    /// Anything else: shapes and masks of the graph.
    Other,
}

/// An initialiser. For [`Kind::F32`] and [`Kind::I8`] the bytes are known to be as many as the shape asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tensor<'f> {
    pub(crate) name: &'f str,
    pub(crate) shape: Vec<usize>,
    pub(crate) kind: Kind,
    pub(crate) bytes: &'f [u8],
}

fn malformed(what: impl Into<String>) -> LoadError {
    LoadError::Malformed(what.into())
}

/// The initialisers of the model in `file`, in the order of the file.
pub(crate) fn tensors(file: &[u8]) -> Result<Vec<Tensor<'_>>, LoadError> {
    let mut found = Vec::new();
    for field in Fields(file) {
        let (7, Value::Bytes(graph)) = field? else { continue };
        for field in Fields(graph) {
            let (5, Value::Bytes(tensor)) = field? else { continue };
            if found.len() == MAX_TENSORS {
                return Err(malformed(format!("it holds more than {MAX_TENSORS} tensors")));
            }
            found.push(self::tensor(tensor)?);
        }
    }
    Ok(found)
}

fn tensor(message: &[u8]) -> Result<Tensor<'_>, LoadError> {
    let mut tensor = Tensor { name: "", shape: Vec::new(), kind: Kind::Other, bytes: &[] };
    let dimension = |shape: &mut Vec<usize>, claim: u64| {
        if shape.len() == MAX_DIMENSIONS {
            return Err(malformed(format!("a tensor has more than {MAX_DIMENSIONS} dimensions")));
        }
        shape.push(usize::try_from(claim).map_err(|_| malformed("a tensor's size overflows"))?);
        Ok(())
    };
    for field in Fields(message) {
        match field? {
            (1, Value::Number(claim)) => dimension(&mut tensor.shape, claim)?,
            (1, Value::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    dimension(&mut tensor.shape, number(&mut packed)?)?;
                }
            }
            (2, Value::Number(1)) => tensor.kind = Kind::F32,
            (2, Value::Number(3)) => tensor.kind = Kind::I8,
            (8, Value::Bytes(name)) => {
                tensor.name = std::str::from_utf8(name).map_err(|_| malformed("a tensor's name is not UTF-8"))?;
            }
            (9, Value::Bytes(bytes)) => tensor.bytes = bytes,
            _ => {}
        }
    }
    let width = match tensor.kind {
        Kind::F32 => 4,
        Kind::I8 => 1,
        Kind::Other => return Ok(tensor),
    };
    let wanted = tensor.shape.iter().try_fold(width, |size: usize, n| size.checked_mul(*n));
    if wanted == Some(tensor.bytes.len()) {
        return Ok(tensor);
    }
    let (name, shape, bytes) = (tensor.name, &tensor.shape, tensor.bytes.len());
    Err(malformed(format!("the tensor {name} of shape {shape:?} has {bytes} bytes")))
}

enum Value<'f> {
    Number(u64),
    Bytes(&'f [u8]),
    /// A number of fixed width, which nothing here needs.
    Fixed,
}

/// The fields of a message; ends after the first error.
struct Fields<'f>(&'f [u8]);

impl<'f> Iterator for Fields<'f> {
    type Item = Result<(u64, Value<'f>), LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = field(&mut self.0);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn field<'f>(rest: &mut &'f [u8]) -> Result<(u64, Value<'f>), LoadError> {
    let key = number(rest)?;
    let value = match key & 7 {
        0 => Value::Number(number(rest)?),
        1 => take(rest, 8).map(|_| Value::Fixed)?,
        2 => {
            let length = number(rest)?;
            Value::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| Value::Fixed)?,
        other => return Err(malformed(format!("it has a field of the unknown wire type {other}"))),
    };
    Ok((key >> 3, value))
}

fn take<'f>(rest: &mut &'f [u8], length: u64) -> Result<&'f [u8], LoadError> {
    let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
    let length = length.ok_or_else(|| malformed("a field is longer than what is left of the file"))?;
    let (taken, left) = rest.split_at(length);
    *rest = left;
    Ok(taken)
}

/// A variable-length integer of at most ten bytes.
fn number(rest: &mut &[u8]) -> Result<u64, LoadError> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (&byte, left) = rest.split_first().ok_or_else(|| malformed("the file ends inside a number"))?;
        *rest = left;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(malformed("a number has more than ten bytes"))
}

#[cfg(test)]
mod tests;
