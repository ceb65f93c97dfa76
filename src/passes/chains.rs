//! Functions of each element that follow each other become one op.

use crate::error::GraphError;
use crate::graph::{Rewrite, Site, ValueId};
use crate::kernels::{DeviceTraits, chain_operands};
use crate::ops::{BinaryFn, Chain, ChainOperand, ChainStep, Op, UnaryFn};

/// Joins functions whose results nothing else reads, with as many further inputs as a device binds.
pub(super) struct JoinChains<'a> {
    pub traits: &'a DeviceTraits,
}

impl Rewrite for JoinChains<'_> {
    fn name(&self) -> &'static str {
        "join_chains"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        let Some(own) = links(site, &site.node.op, &site.inputs, false) else { return Ok(None) };
        let most = chain_operands(self.traits);
        for link in own {
            let value = link.value;
            let Some(node) = site.graph().producer(value) else { continue };
            let Some((mut steps, mut joined)) = chain_of(site, &node.op, &node.inputs) else { continue };
            if site.graph().ty(value) != site.graph().ty(joined[0]) {
                continue;
            }
            let joins = format!("joined with `{}`", node.name);
            steps.push(link.step(site, &mut joined));
            if site.uses(value) != 1 {
                site.refused.push(format!("not {joins}: its result is read elsewhere as well"));
            } else if joined.len() > most + 1 {
                site.refused.push(format!("not {joins}: more than {most} further inputs"));
            } else {
                site.applied.push(joins);
                return site.emit(Chain { steps }, &joined).map(Some);
            }
        }
        Ok(None)
    }
}

/// Whether a function may take what a chain has computed rather than what is stored: small errors stay small there, or, where values are
/// rounded to whole numbers, it is known how far they can grow ([`Chain::slack`]). Other steps decide over more than a last place.
fn follows(function: UnaryFn) -> bool {
    (!function.is_stepped() || function == UnaryFn::Round)
        && !matches!(function, UnaryFn::HardShrink { .. } | UnaryFn::Threshold { .. })
}

/// Whether small errors of a value stay small, which is the second operand if `reversed`.
fn continuous_of_two(function: BinaryFn, reversed: bool) -> bool {
    match function {
        BinaryFn::Equal | BinaryFn::Less | BinaryFn::LessEqual | BinaryFn::Greater | BinaryFn::GreaterEqual => false,
        // Negative numbers have powers of whole numbers only.
        BinaryFn::Pow => !reversed,
        _ => true,
    }
}

/// A step, and the value it goes on with.
struct Link {
    function: Function,
    value: ValueId,
}

enum Function {
    Unary(UnaryFn),
    Binary { function: BinaryFn, reversed: bool, further: ValueId },
}

impl Link {
    /// As a step of a chain that reads `inputs`, the value first, to which its further input is added if it is not there.
    fn step(&self, site: &Site<'_>, inputs: &mut Vec<ValueId>) -> ChainStep {
        match self.function {
            Function::Unary(function) => ChainStep::Unary(function),
            Function::Binary { function, reversed, further } => {
                let there = inputs[1..].iter().position(|&other| same(site, further, other));
                let operand = there.unwrap_or_else(|| {
                    inputs.push(further);
                    inputs.len() - 2
                });
                ChainStep::Binary { function, reversed, operand }
            }
        }
    }
}

/// Whether two values are one: the same, or one number twice, as scales of quantised models are.
fn same(site: &Site<'_>, a: ValueId, b: ValueId) -> bool {
    let number = |id: ValueId| {
        let tensor = site.graph().as_constant(id)?;
        tensor.f32s().ok().filter(|values| values.len() == 1).map(|values| values[0].to_bits())
    };
    a == b || number(a).is_some_and(|a| number(b) == Some(a))
}

/// The ways in which a node can be a step of a chain. Functions that jump can only be its `first`, which reads what is stored.
fn links(site: &Site<'_>, op: &Op, inputs: &[ValueId], first: bool) -> Option<Vec<Link>> {
    match (op, inputs) {
        (Op::Unary(unary), &[value]) if first || follows(unary.function) => {
            Some(vec![Link { function: Function::Unary(unary.function), value }])
        }
        (Op::Binary(binary), &[a, b]) if a != b => {
            let function = binary.function;
            let shape = |id: ValueId| &site.graph().ty(id).shape;
            let meets = |value: ValueId, other: ValueId| ChainOperand::of(shape(other), shape(value)).is_some();
            let ways = [(false, a, b), (true, b, a)].into_iter();
            let ways = ways.filter(|&(reversed, value, other)| {
                (first || continuous_of_two(function, reversed)) && meets(value, other)
            });
            let link =
                |(reversed, value, further)| Link { function: Function::Binary { function, reversed, further }, value };
            Some(ways.map(link).collect())
        }
        _ => None,
    }
}

/// A node as a chain: its steps, and its inputs with the value first.
fn chain_of(site: &Site<'_>, op: &Op, inputs: &[ValueId]) -> Option<(Vec<ChainStep>, Vec<ValueId>)> {
    if let Op::Chain(chain) = op {
        return Some((chain.steps.clone(), inputs.to_vec()));
    }
    let link = links(site, op, inputs, true)?.into_iter().next()?;
    let mut inputs = vec![link.value];
    let step = link.step(site, &mut inputs);
    Some((vec![step], inputs))
}
