//! Opens HDF5 files held in memory and reads their groups and text attributes.

use std::cell::Cell;
use std::fmt::Display;
use std::rc::Rc;

use hdf5_pure::{AttrValue, FormatError};

pub use super::array::{Array, Dataset};

/// Why an HDF5 file, or one object in it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum H5Error {
    /// The bytes do not open as HDF5.
    #[error(
        "not a readable HDF5 file ({0}); expected weights that Keras wrote, so copy the file again \
         or save the model again with `model.save(...)`"
    )]
    NotHdf5(String),
    /// One object cannot be read, usually because the file is truncated or damaged.
    #[error(
        "cannot read {what} of '{object}' ({reason}); the file is damaged, incomplete or of a newer \
         HDF5 version, so copy it again or save the model again with `model.save(...)`"
    )]
    Object {
        /// What was being read.
        what: &'static str,
        /// The path of the object inside the file.
        object: String,
        /// What the HDF5 reader said.
        reason: String,
    },
    /// A group or dataset that another part of the file names is not there.
    #[error(
        "there is no {what} '{object}', which the file itself refers to; the file is incomplete, \
         so save the model again"
    )]
    Missing {
        /// "group" or "dataset".
        what: &'static str,
        /// The path of the object inside the file.
        object: String,
    },
    /// A dataset's element type is none that weights are stored as.
    #[error(
        "dataset '{object}' holds {dtype}; expected float16, bfloat16, float32, float64 or an \
         integer type, so cast the weights to float32 in Keras and save again"
    )]
    Dtype {
        /// The path of the dataset inside the file.
        object: String,
        /// The stored element type.
        dtype: String,
    },
    /// A stored number has no `f32` that is close (floats) or equal (integers).
    #[error(
        "dataset '{object}' of {dtype} holds {value}, which float32 cannot hold; cast the weights \
         to float32 in Keras and save again"
    )]
    Value {
        /// The path of the dataset inside the file.
        object: String,
        /// The stored element type.
        dtype: String,
        /// The number.
        value: String,
    },
}

/// Bytes that may still be read before the file has yielded more than it can hold.
///
/// Links can form cycles and declared sizes can be invented, so a damaged file could otherwise
/// keep the walk busy or ask for any amount of memory.
pub(super) type Budget = Rc<Cell<u64>>;

const BUDGET_SLACK: u64 = 16 << 20;
/// Fewer bytes than any group or dataset header takes.
const MEMBER_COST: u64 = 32;

/// A group of an HDF5 file.
pub struct Group {
    inner: hdf5_pure::Group,
    path: String,
    budget: Budget,
}

/// Opens an HDF5 file and returns its root group.
pub fn open(bytes: Vec<u8>) -> Result<Group, H5Error> {
    let budget = (bytes.len() as u64).saturating_add(BUDGET_SLACK);
    let file = hdf5_pure::File::from_bytes(bytes).map_err(|error| H5Error::NotHdf5(error.to_string()))?;
    Ok(Group { inner: file.root(), path: String::new(), budget: Rc::new(Cell::new(budget)) })
}

impl Group {
    /// The path of this group inside the file.
    pub fn path(&self) -> &str {
        if self.path.is_empty() { "/" } else { &self.path }
    }

    /// The groups in this one with their names, in the file's order.
    pub fn groups(&self) -> Result<Vec<(String, Group)>, H5Error> {
        let found = self.inner.iter_groups().map_err(|error| damaged("the groups", self.path(), error))?;
        found
            .map(|(name, inner)| {
                let path = format!("{}/{name}", self.path);
                spend(&self.budget, MEMBER_COST, &path)?;
                let budget = Rc::clone(&self.budget);
                let group = Group { inner, path, budget };
                Ok((name, group))
            })
            .collect()
    }

    /// The datasets in this group with their names, in the file's order.
    pub fn datasets(&self) -> Result<Vec<(String, Dataset)>, H5Error> {
        let found = self.inner.iter_datasets().map_err(|error| damaged("the datasets", self.path(), error))?;
        found
            .map(|(name, inner)| {
                let path = format!("{}/{name}", self.path);
                spend(&self.budget, MEMBER_COST, &path)?;
                let budget = Rc::clone(&self.budget);
                Ok((name, Dataset::new(inner, path, budget)))
            })
            .collect()
    }

    /// The group at `path`, which may contain `/`.
    pub fn group(&self, path: &str) -> Result<Group, H5Error> {
        let object = format!("{}/{path}", self.path);
        spend(&self.budget, MEMBER_COST, &object)?;
        match self.inner.group(path) {
            Ok(inner) => Ok(Group { inner, path: object, budget: Rc::clone(&self.budget) }),
            Err(error) => Err(absent("group", object, error)),
        }
    }

    /// The dataset at `path`, which may contain `/`.
    pub fn dataset(&self, path: &str) -> Result<Dataset, H5Error> {
        let object = format!("{}/{path}", self.path);
        spend(&self.budget, MEMBER_COST, &object)?;
        match self.inner.dataset(path) {
            Ok(inner) => Ok(Dataset::new(inner, object, Rc::clone(&self.budget))),
            Err(error) => Err(absent("dataset", object, error)),
        }
    }

    /// The attribute `name` as one string; `None` where there is no such attribute.
    pub fn string(&self, name: &str) -> Result<Option<String>, H5Error> {
        let attributes = self.attributes()?;
        match self.attribute(&attributes, name)? {
            None => Ok(None),
            Some(value) => match value.as_str() {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(damaged("a text attribute", self.path(), not_text(name))),
            },
        }
    }

    /// The attribute `name` as strings, joined from `name0`, `name1`, ... where Keras split it;
    /// `None` where there is neither.
    pub fn strings(&self, name: &str) -> Result<Option<Vec<String>>, H5Error> {
        let attributes = self.attributes()?;
        if let Some(value) = self.attribute(&attributes, name)? {
            return self.texts(value, name).map(Some);
        }
        let mut joined = None;
        for part in 0.. {
            let name = format!("{name}{part}");
            let Some(value) = self.attribute(&attributes, &name)? else {
                break;
            };
            joined.get_or_insert_with(Vec::new).extend(self.texts(value, &name)?);
        }
        Ok(joined)
    }

    fn texts(&self, value: &AttrValue, name: &str) -> Result<Vec<String>, H5Error> {
        match value {
            // h5py writes an empty list as an empty array of float64.
            AttrValue::F64Array(numbers) if numbers.is_empty() => Ok(Vec::new()),
            _ => match value.as_strings() {
                Some(texts) => Ok(texts.to_vec()),
                None => Err(damaged("a text attribute", self.path(), not_text(name))),
            },
        }
    }

    fn attributes(&self) -> Result<Attributes, H5Error> {
        self.inner.attrs().map_err(|error| damaged("the attributes", self.path(), error))
    }

    fn attribute<'a>(&self, attributes: &'a Attributes, name: &str) -> Result<Option<&'a AttrValue>, H5Error> {
        if let Some(value) = attributes.get(name) {
            return Ok(Some(value));
        }
        // The reader leaves out an attribute that it cannot decode, which must not pass for an
        // attribute that was never there.
        let stored = self.inner.attr_datatypes().map_err(|error| damaged("the attributes", self.path(), error))?;
        if stored.contains_key(name) {
            let reason = format!("attribute '{name}' cannot be decoded");
            return Err(damaged("the attributes", self.path(), reason));
        }
        Ok(None)
    }
}

type Attributes = std::collections::HashMap<String, AttrValue>;

/// Takes `cost` bytes off the budget, or fails where a sound file could not reach this point.
pub(super) fn spend(budget: &Budget, cost: u64, object: &str) -> Result<(), H5Error> {
    match budget.get().checked_sub(cost) {
        Some(left) => {
            budget.set(left);
            Ok(())
        }
        None => Err(damaged("the contents", object, "the file describes more than it can hold")),
    }
}

pub(super) fn damaged(what: &'static str, object: &str, reason: impl Display) -> H5Error {
    H5Error::Object { what, object: object.to_owned(), reason: reason.to_string() }
}

fn absent(what: &'static str, object: String, error: hdf5_pure::Error) -> H5Error {
    match error {
        hdf5_pure::Error::Format(FormatError::PathNotFound(_)) => H5Error::Missing { what, object },
        error => damaged("the header", &object, error),
    }
}

fn not_text(name: &str) -> String {
    format!("attribute '{name}' does not hold text")
}
