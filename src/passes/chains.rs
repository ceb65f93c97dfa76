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
        for (step, value, further) in own {
            let Some(node) = site.graph().producer(value) else { continue };
            let Some((mut steps, mut joined)) = chain_of(site, &node.op, &node.inputs) else { continue };
            if site.graph().ty(value) != site.graph().ty(joined[0]) {
                continue;
            }
            let joins = format!("joined with `{}`", node.name);
            joined.extend(further);
            if site.uses(value) != 1 {
                site.refused.push(format!("not {joins}: its result is read elsewhere as well"));
            } else if joined.len() > most + 1 {
                site.refused.push(format!("not {joins}: more than {most} further inputs"));
            } else {
                steps.push(step);
                site.applied.push(joins);
                return site.emit(Chain { steps }, &joined).map(Some);
            }
        }
        Ok(None)
    }
}

/// Whether small errors of what comes in stay small.
fn continuous(function: UnaryFn) -> bool {
    !function.is_stepped() && !matches!(function, UnaryFn::HardShrink { .. } | UnaryFn::Threshold { .. })
}

/// As [`continuous`], of a value that is the second operand if `reversed`.
fn continuous_of_two(function: BinaryFn, reversed: bool) -> bool {
    match function {
        BinaryFn::Equal | BinaryFn::Less | BinaryFn::LessEqual | BinaryFn::Greater | BinaryFn::GreaterEqual => false,
        // Negative numbers have powers of whole numbers only.
        BinaryFn::Pow => !reversed,
        _ => true,
    }
}

/// A step, the value it goes on with, and its further input.
type Link = (ChainStep, ValueId, Option<ValueId>);

/// The ways in which a node can be a step of a chain. Functions that jump can only be its `first`, which reads what is stored.
fn links(site: &Site<'_>, op: &Op, inputs: &[ValueId], first: bool) -> Option<Vec<Link>> {
    match (op, inputs) {
        (Op::Unary(unary), &[x]) if first || continuous(unary.function) => {
            Some(vec![(ChainStep::Unary(unary.function), x, None)])
        }
        (Op::Binary(binary), &[a, b]) if a != b => {
            let shape = |id: ValueId| &site.graph().ty(id).shape;
            let meets = |value: ValueId, other: ValueId| ChainOperand::of(shape(other), shape(value)).is_some();
            let step = |reversed| ChainStep::Binary { function: binary.function, reversed };
            let ways = [(false, a, b), (true, b, a)].into_iter();
            let ways = ways.filter(|&(reversed, value, other)| {
                (first || continuous_of_two(binary.function, reversed)) && meets(value, other)
            });
            Some(ways.map(|(reversed, value, other)| (step(reversed), value, Some(other))).collect())
        }
        _ => None,
    }
}

/// A node as a chain: its steps, and its inputs with the value first.
fn chain_of(site: &Site<'_>, op: &Op, inputs: &[ValueId]) -> Option<(Vec<ChainStep>, Vec<ValueId>)> {
    if let Op::Chain(chain) = op {
        return Some((chain.steps.clone(), inputs.to_vec()));
    }
    let (step, value, further) = links(site, op, inputs, true)?.into_iter().next()?;
    Some((vec![step], [value].into_iter().chain(further).collect()))
}
