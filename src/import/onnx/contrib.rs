//! Quantised ops of ONNX Runtime's domain `com.microsoft`, as the nodes of ONNX that they stand for.
//!
//! Their meaning is that of `docs/ContribOperators.md` of ONNX Runtime: the op on dequantised inputs, quantised again.

use super::proto::{AttributeProto, NodeProto};

pub(super) const DOMAIN: &str = "com.microsoft";

/// Where an op has its tensors.
enum Operands {
    /// `Y scale, Y zero point, (X, X scale, X zero point)..`.
    OutputFirst,
    /// `(X, X scale, X zero point)`, so many of them, `Y scale, Y zero point`.
    OutputLast(usize),
}

/// Names that come with the op, the op of ONNX, and where the tensors are.
const QUANTISED: &[(&str, &str, Operands)] = &[
    ("QLinearAdd", "Add", Operands::OutputLast(2)),
    ("QLinearMul", "Mul", Operands::OutputLast(2)),
    ("QLinearLeakyRelu", "LeakyRelu", Operands::OutputLast(1)),
    ("QLinearSigmoid", "Sigmoid", Operands::OutputLast(1)),
    ("QLinearSoftmax", "Softmax", Operands::OutputLast(1)),
    ("QLinearAveragePool", "AveragePool", Operands::OutputLast(1)),
    ("QLinearGlobalAveragePool", "GlobalAveragePool", Operands::OutputLast(1)),
    ("QLinearReduceMean", "ReduceMean", Operands::OutputLast(1)),
    ("QLinearConcat", "Concat", Operands::OutputFirst),
];

/// The nodes of a node of that domain, and the version of the op set that they are of; `None` for ops that are not known, and for
/// nodes that say something that ONNX's op cannot.
pub(super) fn nodes(node: &NodeProto, opset: i64, prefix: &str) -> Option<(Vec<NodeProto>, i64)> {
    if node.domain != DOMAIN {
        return None;
    }
    if matches!(node.op_type.as_str(), "QuantizeLinear" | "DequantizeLinear") {
        return Some((vec![NodeProto { domain: String::new(), ..node.clone() }], opset));
    }
    let mut body = Body { node, prefix, nodes: Vec::new() };
    if node.op_type == "QGemm" {
        body.gemm();
        return Some((body.nodes, opset));
    }
    let (_, op, operands) = QUANTISED.iter().find(|(name, ..)| *name == node.op_type)?;
    if body.int("channels_last").is_some_and(|last| last != 0) {
        return None;
    }
    let (first, count, result) = match operands {
        Operands::OutputFirst => (2, node.input.len().saturating_sub(2) / 3, 0),
        Operands::OutputLast(count) => (0, *count, 3 * count),
    };
    let real = (0..count).map(|number| body.dequantized(first + 3 * number, None)).collect();
    body.computed(op, real, &["channels_last", "opset"]);
    body.quantized(result);
    let opset = body.int("opset").unwrap_or(opset);
    Some((body.nodes, opset))
}

/// The nodes in the making.
struct Body<'a> {
    node: &'a NodeProto,
    prefix: &'a str,
    nodes: Vec<NodeProto>,
}

impl Body<'_> {
    fn int(&self, name: &str) -> Option<i64> {
        self.node.attribute.iter().find(|attribute| attribute.name == name).map(|attribute| attribute.i)
    }

    /// An input's name, which is empty where it is not given.
    fn given(&self, position: usize) -> String {
        self.node.input.get(position).cloned().unwrap_or_default()
    }

    /// A node whose output bears its name.
    fn add(&mut self, op: &str, input: Vec<String>, attribute: Vec<AttributeProto>, name: &str) -> String {
        let name = format!("{}{name}", self.prefix);
        let output = vec![name.clone()];
        self.nodes.push(NodeProto {
            op_type: op.into(),
            name: name.clone(),
            input,
            output,
            attribute,
            ..Default::default()
        });
        name
    }

    /// What the tensor, scale and zero point from `position` on stand for; `axis` is that of several scales.
    fn dequantized(&mut self, position: usize, axis: Option<i64>) -> String {
        let input = (position..position + 3).map(|position| self.given(position)).collect();
        let attribute = axis.map(|i| int("axis", i)).into_iter().collect();
        self.add("DequantizeLinear", input, attribute, &format!("input_{position}"))
    }

    /// The op itself, with its own attributes but those that are not ONNX's.
    fn computed(&mut self, op: &str, input: Vec<String>, not: &[&str]) {
        let own = |attribute: &&AttributeProto| !not.contains(&attribute.name.as_str());
        let attribute = self.node.attribute.iter().filter(own).cloned().collect();
        self.add(op, input, attribute, "output");
    }

    /// The last node: the op's output by the scale and zero point from `position` on; without a scale it stays as it is.
    fn quantized(&mut self, position: usize) {
        let (scale, zero) = (self.given(position), self.given(position + 1));
        let input = format!("{}output", self.prefix);
        match scale.is_empty() {
            true => self.add("Identity", vec![input], Vec::new(), "result"),
            false => self.add("QuantizeLinear", vec![input, scale, zero], Vec::new(), "result"),
        };
        if let Some(last) = self.nodes.last_mut() {
            last.output = self.node.output.clone();
        }
    }

    /// `A, A scale, A zero point, B, B scale, B zero point, C, Y scale, Y zero point`; `C` has the scale of the products.
    fn gemm(&mut self) {
        let columns = if self.int("transB").unwrap_or(0) == 0 { 1 } else { 0 };
        let mut input = vec![self.dequantized(0, None), self.dequantized(3, Some(columns))];
        if !self.given(6).is_empty() {
            let scale = self.add("Mul", vec![self.given(1), self.given(4)], Vec::new(), "scale");
            input.push(self.add("DequantizeLinear", vec![self.given(6), scale], vec![int("axis", -1)], "input_6"));
        }
        self.computed("Gemm", input, &[]);
        self.quantized(7);
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    const INT: i32 = 2;
    AttributeProto { name: name.into(), i, r#type: INT, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(op: &str, inputs: &[&str]) -> NodeProto {
        let input = inputs.iter().map(|name| name.to_string()).collect();
        NodeProto { op_type: op.into(), domain: DOMAIN.into(), input, output: vec!["y".into()], ..Default::default() }
    }

    fn written(nodes: &[NodeProto]) -> Vec<String> {
        nodes.iter().map(|n| format!("{} = {}({})", n.output[0], n.op_type, n.input.join(", "))).collect()
    }

    #[test]
    fn an_op_runs_on_what_its_integers_stand_for() {
        let (body, opset) =
            nodes(&node("QLinearAdd", &["a", "as", "", "b", "bs", "bz", "ys", "yz"]), 13, "p/").unwrap();
        let expected = [
            "p/input_0 = DequantizeLinear(a, as, )",
            "p/input_3 = DequantizeLinear(b, bs, bz)",
            "p/output = Add(p/input_0, p/input_3)",
            "y = QuantizeLinear(p/output, ys, yz)",
        ];
        assert_eq!((written(&body), opset), (expected.map(String::from).to_vec(), 13));
        let (body, _) = nodes(&node("QLinearConcat", &["ys", "yz", "a", "as", "az", "b", "bs", "bz"]), 13, "").unwrap();
        assert_eq!(body.len(), 4);
        assert_eq!(written(&body)[1], "input_5 = DequantizeLinear(b, bs, bz)");
    }

    #[test]
    fn settings_of_the_op_are_kept_and_those_of_the_domain_are_followed() {
        let softmax = NodeProto {
            attribute: vec![int("axis", 2), int("opset", 11)],
            ..node("QLinearSoftmax", &["x", "xs", "xz", "ys", "yz"])
        };
        let (body, opset) = nodes(&softmax, 15, "").unwrap();
        assert_eq!((opset, body[1].attribute.clone()), (11, vec![int("axis", 2)]));
        let last = NodeProto { attribute: vec![int("channels_last", 1)], ..softmax };
        assert!(nodes(&last, 15, "").is_none() && nodes(&node("Attention", &["x"]), 15, "").is_none());
        assert!(nodes(&NodeProto { domain: "own".into(), ..node("QLinearAdd", &["x"]) }, 15, "").is_none());
    }
}
