//! Reads the weights and the model config out of every file format that Keras saves.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::h5::{self, H5Error};
use super::stored::{StoredLayer, is_model_key, keyed_layers, named_layers};

/// Why a saved model cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened or read at all.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is neither a zip archive nor HDF5, or holds nothing that Keras writes.
    #[error(
        "{} is not a file that Keras saves: {found}; expected a .keras archive, an .h5 model or a \
         .weights.h5 file, so save the model again with `model.save(\"model.keras\")`",
        path.display()
    )]
    Unrecognized {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// The zip archive, or one of its members, is damaged.
    #[error(
        "cannot read {member} of {}: {reason}; the archive is damaged or incomplete, so copy it \
         again or save the model again",
        path.display()
    )]
    Archive {
        /// The file.
        path: PathBuf,
        /// The member, or "the table of contents".
        member: String,
        /// What the zip reader said.
        reason: String,
    },
    /// The zip archive lacks a member that every `.keras` file has.
    #[error(
        "{} has no member {member}{hint}; expected config.json and model.weights.h5, so save the \
         model again with `model.save(\"model.keras\")`",
        path.display()
    )]
    MissingMember {
        /// The file.
        path: PathBuf,
        /// The member.
        member: &'static str,
        /// What the archive holds in its place, as the end of a clause.
        hint: &'static str,
    },
    /// The model config is not JSON.
    #[error(
        "{place} of {} is not valid JSON ({source}); expected the config that Keras writes, so \
         save the model again",
        path.display()
    )]
    Config {
        /// The file.
        path: PathBuf,
        /// The member or attribute that holds the config.
        place: &'static str,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
    /// The HDF5 part is damaged or holds something unexpected.
    #[error("{}: {source}", path.display())]
    Hdf5 {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: H5Error,
    },
}

/// How a file lays out its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A `.keras` archive, from Keras 3 or from Keras 2.12 and later.
    Archive,
    /// A `.weights.h5` file whose groups are named after classes, as in a `.keras` archive.
    Weights,
    /// An `.h5` model, whose groups are named after layers.
    LegacyModel,
    /// An `.h5` file of weights alone, whose groups are named after layers.
    LegacyWeights,
}

impl Format {
    /// Whether groups are named after layers rather than after classes.
    pub fn is_legacy(self) -> bool {
        matches!(self, Format::LegacyModel | Format::LegacyWeights)
    }
}

/// A model file that Keras saved, or the weights of one.
#[derive(Clone, Debug)]
pub struct KerasFile {
    /// Where it was read from.
    pub path: PathBuf,
    /// The model config; `None` where the file holds weights alone.
    pub config: Option<Value>,
    /// How the file lays out its contents.
    pub format: Format,
    /// The layers, with and without weights, in the file's order.
    pub layers: Vec<StoredLayer>,
    /// The version of Keras that saved the file, where it says.
    pub keras_version: Option<String>,
}

const WEIGHTS: &str = "model.weights.h5";

/// Bytes that a member may unpack to, however well it is compressed.
const LEAST_MEMBER: u64 = 1 << 26;

/// The most by which larger members may be compressed. Weights hardly are; a file of zeros unpacks to a thousand times its size.
const MOST_COMPRESSION: u64 = 16;

/// Reads a `.keras`, `.h5` or `.weights.h5` file, told apart by content and not by name.
pub fn read(path: &Path) -> Result<KerasFile, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    if path.is_dir() {
        return Err(unrecognized(path, "it is a directory, perhaps a SavedModel"));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    if bytes.starts_with(b"PK") {
        return read_archive(path, bytes);
    }
    if hdf5_pure::is_hdf5_bytes(&bytes) {
        return read_h5(path, bytes);
    }
    let found = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => "it is empty",
        Some(b'{' | b'[') => "it looks like JSON, which holds a config but no weights",
        Some(_) => "it starts like neither a zip archive nor an HDF5 file",
    };
    Err(unrecognized(path, found))
}

fn read_archive(path: &Path, bytes: Vec<u8>) -> Result<KerasFile, Error> {
    let mut zip =
        zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(path, "the table of contents", error))?;
    let lacks = |member, hint| Error::MissingMember { path: path.to_owned(), member, hint };
    let config = member(path, &mut zip, "config.json")?.ok_or_else(|| lacks("config.json", ""))?;
    let config = serde_json::from_slice(&config).map_err(|source| Error::Config {
        path: path.to_owned(),
        place: "config.json",
        source,
    })?;
    // Only the version is wanted from the metadata, so a file without it stays readable.
    let metadata = member(path, &mut zip, "metadata.json")?.unwrap_or_default();
    let metadata: Value = serde_json::from_slice(&metadata).unwrap_or_default();
    let Some(weights) = member(path, &mut zip, WEIGHTS)? else {
        let hint = match zip.index_for_name("model.weights.json") {
            Some(_) => ", only weights in shards, which `max_shard_size` asked for",
            None => "",
        };
        return Err(lacks(WEIGHTS, hint));
    };
    let root = h5::open(weights).map_err(|source| hdf5(path, source))?;
    Ok(KerasFile {
        path: path.to_owned(),
        config: Some(config),
        format: Format::Archive,
        layers: keyed_layers(&root).map_err(|source| hdf5(path, source))?,
        keras_version: metadata.get("keras_version").and_then(Value::as_str).map(str::to_owned),
    })
}

fn member(path: &Path, zip: &mut zip::ZipArchive<Cursor<Vec<u8>>>, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let mut file = match zip.by_name(name) {
        Ok(file) => file,
        Err(zip::result::ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(damaged(path, name, error)),
    };
    // The declared size is not trusted with an allocation: it may be damaged. Keras does not compress what it saves.
    let most = LEAST_MEMBER.saturating_add(file.compressed_size().saturating_mul(MOST_COMPRESSION));
    let mut bytes = Vec::new();
    file.by_ref().take(most + 1).read_to_end(&mut bytes).map_err(|error| damaged(path, name, error))?;
    match bytes.len() as u64 > most {
        true => Err(damaged(path, name, format!("it unpacks to more than {most} bytes"))),
        false => Ok(Some(bytes)),
    }
}

fn read_h5(path: &Path, bytes: Vec<u8>) -> Result<KerasFile, Error> {
    let wrap = |source| hdf5(path, source);
    let root = h5::open(bytes).map_err(wrap)?;
    let groups = root.groups().map_err(wrap)?;
    let model_weights = groups.iter().find(|(name, _)| name == "model_weights");
    let legacy = model_weights.map_or(&root, |(_, group)| group);
    let (format, layers) = match legacy.strings("layer_names").map_err(wrap)? {
        Some(names) => {
            let format = match model_weights {
                Some(_) => Format::LegacyModel,
                None => Format::LegacyWeights,
            };
            (format, named_layers(legacy, &names).map_err(wrap)?)
        }
        None => {
            if !groups.iter().any(|(name, _)| is_model_key(name)) {
                let found = "its HDF5 groups hold neither layer names nor layers";
                return Err(unrecognized(path, found));
            }
            (Format::Weights, keyed_layers(&root).map_err(wrap)?)
        }
    };
    let config = match root.string("model_config").map_err(wrap)? {
        None => None,
        Some(text) => Some(serde_json::from_str(&text).map_err(|source| Error::Config {
            path: path.to_owned(),
            place: "the attribute model_config",
            source,
        })?),
    };
    let keras_version = match root.string("keras_version").map_err(wrap)? {
        Some(version) => Some(version),
        None => legacy.string("keras_version").map_err(wrap)?,
    };
    Ok(KerasFile { path: path.to_owned(), config, format, layers, keras_version })
}

fn unrecognized(path: &Path, found: &str) -> Error {
    Error::Unrecognized { path: path.to_owned(), found: found.to_owned() }
}

fn damaged(path: &Path, member: &str, reason: impl std::fmt::Display) -> Error {
    Error::Archive { path: path.to_owned(), member: member.to_owned(), reason: reason.to_string() }
}

fn hdf5(path: &Path, source: H5Error) -> Error {
    Error::Hdf5 { path: path.to_owned(), source }
}
