//! Damage: ways to break files that hold protocol buffers or tables of words, repeatable from a seed, and the run that holds a reader
//! against them.

// Each test file uses its own part of these.
#![allow(dead_code)]

mod run;

pub use run::{Came, planned, withstand};

/// A generator of 64-bit numbers (xorshift), the same from the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(0x9e37_79b9_7f4a_7c15 ^ (seed + 1).wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Numbers at which arithmetic breaks.
const EXTREMES: [u64; 26] = [
    0,
    1,
    2,
    3,
    7,
    64,
    255,
    1000,
    1 << 12,
    1 << 14,
    1 << 16,
    1 << 20,
    (1 << 24) + 1,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 36,
    1 << 40,
    1 << 60,
    (1 << 62) + 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
    u64::MAX - 1,
    u64::MAX - 6,
];

/// A field of a message.
#[derive(Clone)]
struct Field {
    key: u64,
    value: Value,
}

#[derive(Clone)]
enum Value {
    Number(u64),
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The fields of a message, where bytes that read as a message become one.
fn parse(bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let (mut at, mut fields) = (0, Vec::new());
    while at < bytes.len() {
        let key = varint(bytes, &mut at)?;
        let take = |at: &mut usize, length: usize| {
            let part = bytes.get(*at..at.checked_add(length)?)?;
            *at += length;
            Some(part)
        };
        let value = match key & 7 {
            0 => Value::Number(varint(bytes, &mut at)?),
            1 => Value::Fixed(take(&mut at, 8)?.to_vec()),
            5 => Value::Fixed(take(&mut at, 4)?.to_vec()),
            2 => {
                let length = usize::try_from(varint(bytes, &mut at)?).ok()?;
                let part = take(&mut at, length)?;
                let text = part.iter().all(|&byte| byte >= b' ' && byte < 0x7f);
                match (depth > 0 && !text && part.len() < 1 << 16).then(|| parse(part, depth - 1)).flatten() {
                    Some(inner) => Value::Message(inner),
                    None => Value::Bytes(part.to_vec()),
                }
            }
            _ => return None,
        };
        if !(1..=40).contains(&(key >> 3)) {
            return None;
        }
        fields.push(Field { key, value });
    }
    Some(fields)
}

fn write(fields: &[Field], out: &mut Vec<u8>) {
    for Field { key, value } in fields {
        put(out, *key);
        match value {
            Value::Number(number) => put(out, *number),
            Value::Fixed(bytes) => out.extend(bytes),
            Value::Bytes(bytes) => {
                put(out, bytes.len() as u64);
                out.extend(bytes);
            }
            Value::Message(inner) => {
                let mut bytes = Vec::new();
                write(inner, &mut bytes);
                put(out, bytes.len() as u64);
                out.extend(bytes);
            }
        }
    }
}

/// Changes one field somewhere, or its place among the others.
fn change(fields: &mut Vec<Field>, texts: &[Vec<u8>], random: &mut Random) {
    if fields.is_empty() {
        return;
    }
    let at = random.below(fields.len());
    // Most of the time further down, where most of the fields are.
    if let Value::Message(inner) = &mut fields[at].value
        && random.below(8) > 0
    {
        return change(inner, texts, random);
    }
    let other = random.below(fields.len());
    match random.below(10) {
        0 => drop(fields.remove(at)),
        1 => {
            let twice = fields[at].clone();
            fields.insert(other, twice);
        }
        2 => fields.swap(at, other),
        3 => fields[at].key = (fields[at].key & 7) | ((1 + random.below(20) as u64) << 3),
        4 => {
            let Field { key, value } = fields[other].clone();
            fields[at] = Field { key: (fields[at].key & !7) | (key & 7), value };
        }
        _ => match &mut fields[at].value {
            Value::Number(number) => {
                *number = match random.below(3) {
                    0 => number.wrapping_add(1),
                    1 => number.wrapping_sub(1),
                    _ => random.pick(&EXTREMES),
                }
            }
            Value::Fixed(bytes) => {
                let special = [0.0, -0.0, 1.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e38, 1e-40, 0.5];
                let number = random.pick(&special);
                *bytes = if bytes.len() == 4 {
                    number.to_le_bytes().to_vec()
                } else {
                    f64::from(number).to_le_bytes().to_vec()
                };
            }
            Value::Bytes(bytes) => match random.below(4) {
                0 if !texts.is_empty() => *bytes = texts[random.below(texts.len())].clone(),
                1 if bytes.len() % 8 == 0 && !bytes.is_empty() => {
                    // Integers are raw bytes, too.
                    let at = random.below(bytes.len() / 8) * 8;
                    bytes[at..at + 8].copy_from_slice(&random.pick(&EXTREMES).to_le_bytes());
                }
                2 => bytes.truncate(random.below(bytes.len() + 1)),
                _ if !bytes.is_empty() => {
                    let at = random.below(bytes.len());
                    bytes[at] = random.next() as u8;
                }
                _ => bytes.push(random.next() as u8),
            },
            Value::Message(inner) => {
                let copies: Vec<Field> = inner.iter().cycle().take(inner.len() * random.below(5)).cloned().collect();
                *inner = copies;
            }
        },
    }
}

/// Texts of a file, for others to stand in their place.
fn texts(fields: &[Field], found: &mut Vec<Vec<u8>>) {
    for field in fields {
        match &field.value {
            Value::Bytes(bytes) if bytes.len() < 64 => found.push(bytes.clone()),
            Value::Message(inner) => texts(inner, found),
            _ => {}
        }
    }
}

/// A sample, damaged: bits, bytes, ends or parts of another sample. `None` leaves it to damage of its format.
fn broken(sample: &[u8], other: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut bytes = sample.to_vec();
    match random.below(16) {
        0 => {
            for _ in 0..1 + random.below(4) {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
        }
        1 => {
            for _ in 0..1 + random.below(8) {
                let at = random.below(bytes.len());
                bytes[at] = random.next() as u8;
            }
        }
        2 => bytes.truncate(random.below(bytes.len())),
        3 if !other.is_empty() => {
            let (at, from) = (random.below(bytes.len()), random.below(other.len()));
            let length = random.below(other.len() - from).min(4096);
            let end = (at + random.below(64)).min(bytes.len());
            bytes.splice(at..end, other[from..from + length].iter().copied());
        }
        _ => return None,
    }
    Some(bytes)
}

/// A file of tables (flatbuffers), damaged: mostly words that are small numbers, for weights say little.
pub fn damaged_tables(sample: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    if let Some(bytes) = broken(sample, other, random) {
        return bytes;
    }
    let mut bytes = sample.to_vec();
    let word = |bytes: &[u8], at: usize| i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let place = |bytes: &[u8], random: &mut Random| {
        let place = |random: &mut Random| random.below(bytes.len() / 4) * 4;
        (0..64).map(|_| place(random)).find(|&at| word(bytes, at).unsigned_abs() < 1 << 16).unwrap_or(0)
    };
    for _ in 0..1 + random.below(4) {
        let at = place(&bytes, random);
        let number = match random.below(6) {
            0 => word(&bytes, at).wrapping_add(1),
            1 => word(&bytes, at).wrapping_sub(1),
            2 => word(&bytes, place(&bytes, random)),
            3 => {
                // Two fields of a table, or two bytes of options.
                let half = at + 2 * random.below(2);
                bytes[half] = random.next() as u8;
                continue;
            }
            _ => random.pick(&EXTREMES) as i32,
        };
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// A file of messages (protocol buffers), damaged: lengths, or fields of its messages.
pub fn damaged_messages(sample: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    if let Some(bytes) = broken(sample, other, random) {
        return bytes;
    }
    let mut bytes = sample.to_vec();
    match random.below(12) {
        0 => {
            // A length, or whatever stands there, of ten bytes.
            let at = random.below(bytes.len());
            let mut number = Vec::new();
            put(&mut number, random.pick(&EXTREMES));
            bytes.splice(at..at + 1, number);
        }
        _ => {
            let Some(mut fields) = parse(sample, 12) else { return bytes };
            let mut known = Vec::new();
            texts(&fields, &mut known);
            for _ in 0..1 + random.below(4) {
                change(&mut fields, &known, random);
            }
            bytes.clear();
            write(&fields, &mut bytes);
        }
    }
    bytes
}
