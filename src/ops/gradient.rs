//! What an op says about its derivative.

/// The derivative of an op, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gradient {
    /// Training does not go through this op, for the reason given.
    NotDifferentiable(&'static str),
}

impl Gradient {
    /// The answer of ops whose derivative no training plan can use yet.
    pub(super) const UNAVAILABLE: Gradient = Gradient::NotDifferentiable("this version plans inference only");
}
