//! Options of a zoo name: `alpha=0.25&size=96`.

use std::cell::RefCell;

use crate::error::ZooError;

/// The options of one zoo name, and which of them were asked after.
pub(super) struct Options<'a> {
    name: &'a str,
    /// The options that the architecture has.
    all: &'a str,
    given: Vec<(&'a str, &'a str)>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Options<'a> {
    /// Options from a query, for an architecture that has `all` of these, separated by commas.
    pub fn parse(name: &'a str, all: &'a str, query: &'a str) -> Result<Options<'a>, ZooError> {
        let options = Options { name, all, given: Vec::new(), known: RefCell::default() };
        let given: Option<Vec<_>> =
            query.split('&').filter(|part| !part.is_empty()).map(|p| p.split_once('=')).collect();
        match given {
            Some(given) => Ok(Options { given, ..options }),
            None => Err(options.wrong(format!("`{query}` is no list of NAME=VALUE joined by &"))),
        }
    }

    pub fn wrong(&self, what: String) -> ZooError {
        let known = self.all.split(", ").map(String::from).collect();
        ZooError::Option { name: self.name.into(), what, known }
    }

    pub fn text(&self, option: &'static str, default: &'static str) -> &str {
        self.known.borrow_mut().push(option);
        self.given.iter().rev().find(|(name, _)| *name == option).map_or(default, |(_, value)| value)
    }

    fn parsed<T: std::str::FromStr>(&self, option: &'static str, default: T, expected: &str) -> Result<T, ZooError> {
        match self.text(option, "") {
            "" => Ok(default),
            text => text.parse().map_err(|_| self.wrong(format!("`{option}={text}` is not {expected}"))),
        }
    }

    pub fn whole(&self, option: &'static str, default: usize) -> Result<usize, ZooError> {
        self.parsed(option, default, "a whole number")
    }

    pub fn flag(&self, option: &'static str, default: bool) -> Result<bool, ZooError> {
        self.parsed(option, default, "true or false")
    }

    /// A width multiplier.
    pub fn alpha(&self) -> Result<f64, ZooError> {
        let alpha = self.parsed("alpha", 1.0, "a number")?;
        match alpha > 0.0 && alpha <= 8.0 {
            true => Ok(alpha),
            false => Err(self.wrong(format!("`alpha={alpha}` is not between 0 and 8"))),
        }
    }

    /// Side of the square input and number of classes.
    pub fn size_and_classes(&self, side: usize) -> Result<(usize, usize), ZooError> {
        let (size, classes) = (self.whole("size", side)?, self.whole("classes", 1000)?);
        match (32..=4096).contains(&size) && (1..=1_000_000).contains(&classes) {
            true => Ok((size, classes)),
            false => {
                Err(self.wrong(format!("size {size} is not between 32 and 4096, or classes {classes} not from 1")))
            }
        }
    }

    /// Complains about options that nothing asked after.
    pub fn finish(&self) -> Result<(), ZooError> {
        let known = self.known.borrow().clone();
        match self.given.iter().find(|(name, _)| !known.contains(name)) {
            Some((name, _)) => Err(self.wrong(format!("there is no option `{name}`"))),
            None => Ok(()),
        }
    }
}
