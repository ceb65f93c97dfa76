//! Tensor messages: elements in the message, in the field of their type, or in a file of their own.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::proto::{AttributeProto, NodeProto, TensorProto};
use super::tensor::{Elem, HostData, HostTensor, elements};
use crate::tensor::{Tensor, from_bf16, from_f16};

/// Bytes of a file of elements that are held at a time; a multiple of every element's size.
const PART: usize = 1 << 20;

/// Reads a tensor message. Data outside of the file must lie in `folder`.
///
/// # Errors
/// What does not fit: shape, element type, length, location.
pub(super) fn read_tensor(proto: TensorProto, folder: &Path) -> Result<HostTensor, String> {
    let name = proto.name.clone();
    read(proto, folder).map_err(|what| format!("tensor `{name}`: {what}"))
}

/// Bytes that the tensors take which nodes hold, those of branches included, and of data in the file alone.
pub(super) fn held(nodes: &[NodeProto]) -> usize {
    let attributes = nodes.iter().flat_map(|node| &node.attribute);
    let tensors = |attribute: &AttributeProto| {
        let branch = attribute.g.as_ref().map(|graph| {
            let own: usize = graph.initializer.iter().map(bytes_held).sum();
            own.saturating_add(held(&graph.node))
        });
        attribute.t.as_ref().map_or(0, bytes_held).saturating_add(branch.unwrap_or(0))
    };
    attributes.map(tensors).fold(0, usize::saturating_add)
}

/// Bytes that a tensor takes once it is read.
fn bytes_held(proto: &TensorProto) -> usize {
    let Ok(elem) = Elem::from_code(proto.data_type.into()) else { return 0 };
    let typed = [proto.float_data.len(), proto.int32_data.len(), proto.int64_data.len()];
    let wide = [proto.double_data.len(), proto.uint64_data.len()];
    let count = match proto.raw_data.len() / elem.size() {
        0 => typed.into_iter().chain(wide).fold(0, usize::saturating_add),
        raw => raw,
    };
    let width = if matches!(elem, Elem::F32 | Elem::F16 | Elem::Bf16) { 4 } else { 8 };
    count.saturating_mul(width)
}

fn read(proto: TensorProto, folder: &Path) -> Result<HostTensor, String> {
    let elem = Elem::from_code(i64::from(proto.data_type))?;
    let size = |&size: &i64| usize::try_from(size).map_err(|_| format!("an axis of {size} elements"));
    let shape: Vec<usize> = proto.dims.iter().map(size).collect::<Result<_, _>>()?;
    let count = elements(&shape)?;
    let expected = count * elem.size();
    let mut found = Elements::new(elem);
    if proto.data_location == EXTERNAL {
        read_external(&proto, folder, expected, &mut found)?;
    } else if proto.raw_data.is_empty() {
        found = typed(proto, elem);
    } else {
        check_length(proto.raw_data.len() as u64, expected)?;
        found.reserve(count);
        found.extend(elem, &proto.raw_data);
    }
    if found.len() != count {
        return Err(format!("{} elements where {shape:?} holds {count}", found.len()));
    }
    let data = match found {
        Elements::F32(values) => HostData::Floats(Tensor::from_f32(shape.clone(), values).map_err(|e| e.to_string())?),
        Elements::F64(values) => HostData::Doubles(values.into()),
        Elements::Int(values) => HostData::Ints(values.into()),
    };
    Ok(HostTensor { shape, elem, data })
}

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

fn check_length(found: u64, expected: usize) -> Result<(), String> {
    match found == expected as u64 {
        true => Ok(()),
        false => Err(format!("{found} bytes of elements where {expected} are needed")),
    }
}

enum Elements {
    F32(Vec<f32>),
    F64(Vec<f64>),
    Int(Vec<i64>),
}

impl Elements {
    fn new(elem: Elem) -> Elements {
        match elem {
            Elem::F32 | Elem::F16 | Elem::Bf16 => Elements::F32(Vec::new()),
            Elem::F64 => Elements::F64(Vec::new()),
            _ => Elements::Int(Vec::new()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Elements::F32(values) => values.len(),
            Elements::F64(values) => values.len(),
            Elements::Int(values) => values.len(),
        }
    }

    /// Takes memory for so many elements, whose bytes are there.
    fn reserve(&mut self, count: usize) {
        match self {
            Elements::F32(values) => values.reserve_exact(count),
            Elements::F64(values) => values.reserve_exact(count),
            Elements::Int(values) => values.reserve_exact(count),
        }
    }

    /// Adds elements as ONNX stores them: little-endian, bool as a byte.
    fn extend(&mut self, elem: Elem, raw: &[u8]) {
        fn each<const N: usize, T>(values: &mut Vec<T>, raw: &[u8], convert: impl Fn([u8; N]) -> T) {
            values.extend(raw.as_chunks::<N>().0.iter().map(|&bytes| convert(bytes)));
        }
        match self {
            Elements::F32(values) => match elem {
                Elem::F16 => each(values, raw, |bytes| from_f16(u16::from_le_bytes(bytes))),
                Elem::Bf16 => each(values, raw, |bytes| from_bf16(u16::from_le_bytes(bytes))),
                _ => each(values, raw, f32::from_le_bytes),
            },
            Elements::F64(values) => each(values, raw, f64::from_le_bytes),
            Elements::Int(values) => match elem {
                Elem::I8 => each(values, raw, |bytes| i64::from(i8::from_le_bytes(bytes))),
                Elem::U8 => each(values, raw, |[byte]| i64::from(byte)),
                Elem::Bool => each(values, raw, |[byte]| i64::from(byte != 0)),
                Elem::I16 => each(values, raw, |bytes| i64::from(i16::from_le_bytes(bytes))),
                Elem::U16 => each(values, raw, |bytes| i64::from(u16::from_le_bytes(bytes))),
                Elem::I32 => each(values, raw, |bytes| i64::from(i32::from_le_bytes(bytes))),
                Elem::U32 => each(values, raw, |bytes| i64::from(u32::from_le_bytes(bytes))),
                Elem::U64 => each(values, raw, |bytes| u64::from_le_bytes(bytes) as i64),
                _ => each(values, raw, i64::from_le_bytes),
            },
        }
    }
}

/// The typed field that holds a type's elements.
fn typed(proto: TensorProto, elem: Elem) -> Elements {
    let half = |convert: fn(u16) -> f32| proto.int32_data.iter().map(|&v| convert(v as u16)).collect();
    match elem {
        Elem::F32 => Elements::F32(proto.float_data),
        Elem::F64 => Elements::F64(proto.double_data),
        Elem::F16 => Elements::F32(half(from_f16)),
        Elem::Bf16 => Elements::F32(half(from_bf16)),
        Elem::I64 => Elements::Int(proto.int64_data),
        Elem::U32 | Elem::U64 => Elements::Int(
            proto.uint64_data.iter().map(|&v| if elem == Elem::U32 { v as u32 as i64 } else { v as i64 }).collect(),
        ),
        elem => Elements::Int(proto.int32_data.iter().map(|&v| elem.wrap(i64::from(v))).collect()),
    }
}

/// The file that holds a tensor's elements: inside the model's folder, also once links are followed.
fn external_file(location: &str, folder: &Path) -> Result<PathBuf, String> {
    let path = folder.join(location);
    let outside = || format!("external data at `{location}`; it must lie in the model's folder");
    let mut parts = Path::new(location).components().peekable();
    if parts.peek().is_none() || parts.any(|part| !matches!(part, Component::Normal(_))) {
        return Err(outside());
    }
    let failed = |error: std::io::Error| format!("external data at `{}`: {error}", path.display());
    let (home, real) = (folder.canonicalize().map_err(failed)?, path.canonicalize().map_err(failed)?);
    if real.starts_with(home) { Ok(real) } else { Err(outside()) }
}

fn read_external(proto: &TensorProto, folder: &Path, expected: usize, found: &mut Elements) -> Result<(), String> {
    let entry = |key: &str| proto.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let number = |key: &str| {
        entry(key)
            .map(|text| text.parse::<u64>().map_err(|_| format!("external data with the {key} `{text}`")))
            .transpose()
    };
    let location = entry("location").ok_or("external data without a location")?;
    let path = external_file(location, folder)?;
    let failed = |error: std::io::Error| format!("external data at `{}`: {error}", path.display());
    let mut file = File::open(&path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(format!("external data at `{}`, which is no file", path.display()));
    }
    let offset = number("offset")?.unwrap_or(0);
    let there = about.len().checked_sub(offset);
    let length = number("length")?.or(there).unwrap_or(0);
    if there.is_none_or(|there| length > there) {
        let end = offset.saturating_add(length);
        return Err(format!("external data up to byte {end} of `{}`, which has {}", path.display(), about.len()));
    }
    check_length(length, expected)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let elem = Elem::from_code(i64::from(proto.data_type))?;
    found.reserve(expected / elem.size());
    let mut part = vec![0; expected.min(PART)];
    let mut left = expected;
    while left > 0 {
        let part = &mut part[..left.min(PART)];
        file.read_exact(part).map_err(failed)?;
        found.extend(elem, part);
        left -= part.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::bytes::Bytes;

    use super::super::proto::StringStringEntryProto;
    use super::*;

    fn read_here(proto: TensorProto) -> Result<HostTensor, String> {
        read_tensor(proto, Path::new("."))
    }

    fn numbers(proto: TensorProto) -> Vec<f64> {
        read_here(proto).unwrap_or_else(|what| panic!("{what}")).to_f64()
    }

    fn tensor(data_type: i32, dims: &[i64]) -> TensorProto {
        TensorProto { name: "w".into(), data_type, dims: dims.to_vec(), ..TensorProto::default() }
    }

    /// Every element type: its number, its name, and three elements raw, as `to_le_bytes` gives them.
    fn raw() -> Vec<(i32, Elem, Vec<u8>, [f64; 3])> {
        fn bytes<const N: usize>(elements: [[u8; N]; 3]) -> Vec<u8> {
            elements.concat()
        }
        let halves = |bits: [u16; 3]| bytes(bits.map(u16::to_le_bytes));
        vec![
            (1, Elem::F32, bytes([1.5f32, -0.25, 1e30].map(f32::to_le_bytes)), [1.5, -0.25, f64::from(1e30f32)]),
            (2, Elem::U8, vec![0, 7, 255], [0.0, 7.0, 255.0]),
            (3, Elem::I8, vec![0, 127, 0x80], [0.0, 127.0, -128.0]),
            (4, Elem::U16, halves([0, 1, 65535]), [0.0, 1.0, 65535.0]),
            (5, Elem::I16, halves([0, 1, 0x8000]), [0.0, 1.0, -32768.0]),
            (6, Elem::I32, bytes([3i32, -3, i32::MIN].map(i32::to_le_bytes)), [3.0, -3.0, -2147483648.0]),
            (7, Elem::I64, bytes([3i64, -3, 1 << 40].map(i64::to_le_bytes)), [3.0, -3.0, 1099511627776.0]),
            (9, Elem::Bool, vec![0, 1, 2], [0.0, 1.0, 1.0]),
            (10, Elem::F16, halves([0x3c00, 0xc000, 0x0001]), [1.0, -2.0, 5.960464477539063e-8]),
            (11, Elem::F64, bytes([1.5f64, -0.1, 1e300].map(f64::to_le_bytes)), [1.5, -0.1, 1e300]),
            (12, Elem::U32, bytes([3u32, 0, u32::MAX].map(u32::to_le_bytes)), [3.0, 0.0, 4294967295.0]),
            (13, Elem::U64, bytes([3u64, 0, 1 << 40].map(u64::to_le_bytes)), [3.0, 0.0, 1099511627776.0]),
            (16, Elem::Bf16, halves([0x3f80, 0xc000, 0xc2f7]), [1.0, -2.0, -123.5]),
        ]
    }

    /// The same elements in the field of their type.
    fn in_field(data_type: i32, elem: Elem, raw: &[u8], values: [f64; 3]) -> TensorProto {
        let empty = tensor(data_type, &[3]);
        match elem {
            Elem::F32 => TensorProto { float_data: values.map(|v| v as f32).to_vec(), ..empty },
            Elem::F64 => TensorProto { double_data: values.to_vec(), ..empty },
            Elem::I64 => TensorProto { int64_data: values.map(|v| v as i64).to_vec(), ..empty },
            Elem::U32 | Elem::U64 => TensorProto { uint64_data: values.map(|v| v as u64).to_vec(), ..empty },
            Elem::F16 | Elem::Bf16 => {
                let bits = raw.as_chunks::<2>().0.iter().map(|&bytes| i32::from(u16::from_le_bytes(bytes)));
                TensorProto { int32_data: bits.collect(), ..empty }
            }
            _ => TensorProto { int32_data: values.map(|v| v as i32).to_vec(), ..empty },
        }
    }

    #[test]
    fn every_element_type_is_read_in_every_place() {
        let folder = tempfile::tempdir().unwrap();
        for (code, elem, bytes, values) in raw() {
            let inside = TensorProto { raw_data: Bytes::from(bytes.clone()), ..tensor(code, &[3]) };
            assert_eq!(numbers(inside.clone()), values, "{elem:?} raw");
            assert_eq!(read_here(inside).unwrap().elem, elem);
            assert_eq!(numbers(in_field(code, elem, &bytes, values)), values, "{elem:?} in its field");
            std::fs::write(folder.path().join("data"), [b"before", &bytes[..], b"after"].concat()).unwrap();
            let outside =
                external(code, &[("location", "data"), ("offset", "6"), ("length", &bytes.len().to_string())]);
            assert_eq!(read_tensor(outside, folder.path()).unwrap().to_f64(), values, "{elem:?} outside");
            let cut = TensorProto { raw_data: Bytes::from(bytes[1..].to_vec()), ..tensor(code, &[3]) };
            assert!(read_here(cut).unwrap_err().contains("`w`"), "{elem:?} cut short");
            let mut short = in_field(code, elem, &bytes, values);
            short.dims = vec![4];
            assert!(read_here(short).unwrap_err().contains("3 elements"), "{elem:?} with one too few");
        }
    }

    #[test]
    fn what_is_no_tensor_of_numbers_is_refused_before_memory_is_taken() {
        for (what, proto) in [
            ("element type 8", tensor(8, &[1])),
            ("element type 0", tensor(0, &[1])),
            ("element type 23", tensor(23, &[1])),
            ("too large", tensor(1, &[1 << 60])),
            ("too large", tensor(1, &[1 << 32, 1 << 32])),
            ("-1", tensor(1, &[-1])),
            ("0 elements", tensor(1, &[1 << 27])),
        ] {
            let said = read_here(proto).unwrap_err();
            assert!(said.contains(what), "{said}");
        }
        assert_eq!(read_here(tensor(1, &[0, 7])).unwrap().len(), 0);
        assert!(read_here(tensor(1, &[])).unwrap_err().contains("0 elements"));
    }

    fn external(data_type: i32, entries: &[(&str, &str)]) -> TensorProto {
        let entry = |&(key, value): &(&str, &str)| StringStringEntryProto { key: key.into(), value: value.into() };
        let external_data = entries.iter().map(entry).collect();
        TensorProto { data_location: EXTERNAL, external_data, ..tensor(data_type, &[3]) }
    }

    #[test]
    fn data_outside_of_the_folder_or_of_its_file_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("model");
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        std::fs::write(home.path().join("secret"), [0; 12]).unwrap();
        std::fs::write(folder.join("inner/data"), [0; 20]).unwrap();
        let at = |entries: &[(&str, &str)]| read_tensor(external(1, entries), &folder);
        assert_eq!(at(&[("location", "inner/data"), ("offset", "8")]).unwrap().to_f64(), [0.0; 3]);
        let absolute = home.path().join("secret").display().to_string();
        for location in ["../secret", "inner/../../secret", absolute.as_str(), "", ".", "..", "/"] {
            let said = at(&[("location", location)]).unwrap_err();
            assert!(said.contains("in the model's folder"), "{location}: {said}");
        }
        #[cfg(unix)]
        for (name, target) in [("link", "../secret"), ("away", "..")] {
            std::os::unix::fs::symlink(target, folder.join(name)).unwrap();
            let location = if name == "away" { "away/secret" } else { name };
            assert!(at(&[("location", location)]).unwrap_err().contains("in the model's folder"), "{location}");
        }
        let there = ("location", "inner/data");
        for (entries, part) in [
            (vec![there, ("offset", "9")], "11 bytes"),
            (vec![there, ("offset", "21")], "up to byte 21"),
            (vec![there, ("offset", "18446744073709551615"), ("length", "12")], "which has 20"),
            (vec![there, ("length", "1152921504606846976")], "which has 20"),
            (vec![there, ("length", "8")], "12 are needed"),
            (vec![there, ("offset", "-1")], "the offset `-1`"),
            (vec![("location", "inner")], "no file"),
            (vec![("location", "nothing")], "nothing"),
            (vec![("offset", "0")], "without a location"),
        ] {
            let said = at(&entries).unwrap_err();
            assert!(said.contains(part), "{entries:?}: {said}");
        }
    }
}
