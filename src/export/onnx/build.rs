//! The ONNX graph under construction: values in the orders of axes in which they exist, nodes, initializers and names.
//!
//! A value of this crate has its channels last. What ONNX computes with channels first stays so, and is transposed only for
//! a reader that needs another order, so that no transpose stands between two convolutions.

use std::collections::{BTreeMap, HashMap, HashSet};

use prost::bytes::Bytes;

use crate::import::onnx::WeightOrder;
use crate::import::onnx::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};
use crate::ops::Transpose;
use crate::tensor::{Tensor, little_endian};

/// A tensor of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name(usize);

impl Name {
    /// An optional input that is left out.
    pub const NONE: Name = Name(0);
}

/// A value of the graph that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known(usize);

/// A value with its axes in this crate's order, and the tensors of the file that hold it in one order or another.
#[derive(Debug, Clone)]
struct Value {
    /// `None` where the size is open.
    sizes: Vec<Option<usize>>,
    /// Axis `i` of the tensor is axis `order[i]` of the value. The first one is how it was computed.
    forms: Vec<(Vec<usize>, Name)>,
    constant: Option<Constant>,
}

/// A weight or another constant.
#[derive(Debug, Clone)]
struct Constant {
    name: String,
    tensor: Tensor,
    /// How the tensor was made of the named one; `None` if that was otherwise than by a reshape and then a transpose.
    made: Option<WeightOrder>,
}

/// An axis of a shape to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// This size.
    Fixed(usize),
    /// The size of this axis of the source.
    Same(usize),
    /// What is left over.
    Rest,
}

#[derive(Debug)]
struct Pending {
    op: &'static str,
    name: String,
    inputs: Vec<Name>,
    output: Name,
    attributes: Vec<AttributeProto>,
}

/// The graph under construction.
#[derive(Debug)]
pub(super) struct Builder {
    /// Name of the node of this crate's graph that is being written.
    pub scope: String,
    values: Vec<Value>,
    names: Vec<String>,
    nodes: Vec<Pending>,
    inputs: Vec<(Name, ValueInfoProto)>,
    initializers: Vec<(Name, TensorProto)>,
    orders: Vec<(Name, String, WeightOrder)>,
    scalars: HashMap<u32, Name>,
    lists: HashMap<Vec<i64>, Name>,
}

/// A finished graph.
pub(super) struct Built {
    pub graph: GraphProto,
    /// For initializers that hold the elements of one constant, how.
    pub orders: BTreeMap<String, WeightOrder>,
}

/// `0, 1, ..`: every axis where it was.
pub(super) fn identity(rank: usize) -> Vec<usize> {
    (0..rank).collect()
}

/// `0, rank - 1, 1, ..`: the channels after the batch.
pub(super) fn channels_first(rank: usize) -> Vec<usize> {
    std::iter::once(0).chain(rank.checked_sub(1)).chain(1..rank.saturating_sub(1)).take(rank).collect()
}

/// The position of an axis in an order.
pub(super) fn place_of(axis: usize, order: &[usize]) -> usize {
    order.iter().position(|&own| own == axis).unwrap_or(axis)
}

fn transposed(tensor: &Tensor, order: &[usize]) -> Result<Tensor, String> {
    Transpose::of(tensor, order).map_err(|error| error.to_string())
}

impl Builder {
    pub fn new() -> Builder {
        Builder {
            scope: String::new(),
            values: Vec::new(),
            names: vec![String::new()],
            nodes: Vec::new(),
            inputs: Vec::new(),
            initializers: Vec::new(),
            orders: Vec::new(),
            scalars: HashMap::new(),
            lists: HashMap::new(),
        }
    }

    fn named(&mut self, wanted: impl Into<String>) -> Name {
        self.names.push(wanted.into());
        Name(self.names.len() - 1)
    }

    /// Adds an input of the file.
    pub fn input(&mut self, sizes: Vec<Option<usize>>, info: ValueInfoProto) -> Known {
        let name = self.named(info.name.clone());
        self.inputs.push((name, info));
        let order = identity(sizes.len());
        self.value(sizes, order, name)
    }

    /// Adds a constant; it comes into the file once something reads it.
    pub fn constant(&mut self, name: String, tensor: Tensor) -> Known {
        let (shape, order) = (tensor.shape().to_vec(), identity(tensor.shape().rank()));
        let sizes = shape.iter().map(|&size| Some(size)).collect();
        let constant = Some(Constant { name, tensor, made: Some(WeightOrder { shape, order }) });
        self.values.push(Value { sizes, forms: Vec::new(), constant });
        Known(self.values.len() - 1)
    }

    /// Adds a value that a tensor of the file holds in an order.
    pub fn value(&mut self, sizes: Vec<Option<usize>>, order: Vec<usize>, name: Name) -> Known {
        self.values.push(Value { sizes, forms: vec![(order, name)], constant: None });
        Known(self.values.len() - 1)
    }

    pub fn sizes(&self, value: Known) -> &[Option<usize>] {
        &self.values[value.0].sizes
    }

    pub fn rank(&self, value: Known) -> usize {
        self.sizes(value).len()
    }

    pub fn tensor(&self, value: Known) -> Option<&Tensor> {
        self.values[value.0].constant.as_ref().map(|constant| &constant.tensor)
    }

    /// The order in which a value was computed.
    pub fn native(&self, value: Known) -> Vec<usize> {
        let Value { sizes, forms, .. } = &self.values[value.0];
        forms.first().map_or_else(|| identity(sizes.len()), |(order, _)| order.clone())
    }

    /// The order in which values of one rank are best read together: channels first if one of them was computed so.
    pub fn common(&self, values: &[Known]) -> Vec<usize> {
        let rank = values.iter().map(|&value| self.rank(value)).max().unwrap_or(0);
        let computed = values.iter().filter(|value| self.tensor(**value).is_none() && self.rank(**value) == rank);
        let orders: Vec<Vec<usize>> = computed.map(|&value| self.native(value)).collect();
        let turned = orders.iter().find(|order| !order.iter().copied().eq(0..rank));
        turned.or(orders.first()).cloned().unwrap_or_else(|| identity(rank))
    }

    /// The tensor that holds a value in an order, transposed if there is none yet.
    pub fn form(&mut self, value: Known, order: &[usize]) -> Result<Name, String> {
        let Value { sizes, forms, constant } = &self.values[value.0];
        if let Some((_, name)) = forms.iter().find(|(own, _)| own == order) {
            return Ok(*name);
        }
        let name = match (constant.clone(), forms.first().cloned()) {
            (Some(Constant { name, tensor, made }), _) => {
                let stored = self.named(name.clone());
                self.orders.extend(made.map(|made| (stored, name, made.then(order))));
                self.initializers.push((stored, floats(&transposed(&tensor, order)?)?));
                stored
            }
            (None, Some((own, name))) => {
                let sizes = sizes.clone();
                let scope = self.scope.clone();
                self.scope.push_str("/transpose");
                let perm: Vec<usize> = order.iter().map(|&axis| place_of(axis, &own)).collect();
                // Axes of one element may change places without a transpose.
                let long = |at: &usize| sizes[own[*at]] != Some(1);
                let open = order.iter().filter(|&&axis| sizes[axis].is_none()).count();
                let turned = if perm.iter().copied().filter(long).is_sorted() && open <= 1 {
                    let target: Vec<Target> =
                        order.iter().map(|&axis| sizes[axis].map_or(Target::Rest, Target::Fixed)).collect();
                    self.reshape(name, &target)
                } else {
                    self.emit("Transpose", &[name], vec![ints("perm", perm.iter().map(|&axis| axis as i64))])
                };
                self.scope = scope;
                turned
            }
            (None, None) => return Err("a value that nothing computes".into()),
        };
        self.values[value.0].forms.push((order.to_vec(), name));
        Ok(name)
    }

    /// The tensor that holds a value in this crate's order.
    pub fn plain(&mut self, value: Known) -> Result<Name, String> {
        self.form(value, &identity(self.rank(value)))
    }

    /// The tensor that broadcasts as a value does beside values in an order.
    pub fn beside(&mut self, value: Known, order: &[usize]) -> Result<Name, String> {
        let Some(missing) = order.len().checked_sub(self.rank(value)).filter(|&missing| missing > 0) else {
            return self.form(value, order);
        };
        let one = self.tensor(value).is_some_and(|tensor| tensor.shape().elements() == 1);
        if one || order.iter().copied().eq(0..order.len()) {
            return self.plain(value);
        }
        let full: Vec<Option<usize>> =
            std::iter::repeat_n(Some(1), missing).chain(self.sizes(value).iter().copied()).collect();
        let known: Option<Vec<usize>> = full.iter().copied().collect();
        let full = match (self.tensor(value).is_some(), known) {
            (true, Some(shape)) => self.reshaped_constant(value, &shape)?,
            _ => {
                let (plain, axes) = (self.plain(value)?, self.list((0..missing as i64).collect()));
                let name = self.emit("Unsqueeze", &[plain, axes], vec![]);
                let own = identity(full.len());
                self.value(full, own, name)
            }
        };
        self.form(full, order)
    }

    /// A value with its axes in another order, which takes no node.
    pub fn turned(&mut self, value: Known, perm: &[usize]) -> Result<Known, String> {
        let Value { sizes, forms, constant } = self.values[value.0].clone();
        let forms = forms
            .into_iter()
            .map(|(order, name)| (order.iter().map(|&axis| place_of(axis, perm)).collect(), name))
            .collect();
        let constant = match constant {
            Some(Constant { name, tensor, made }) => {
                Some(Constant { name, tensor: transposed(&tensor, perm)?, made: made.map(|made| made.then(perm)) })
            }
            None => None,
        };
        let sizes = perm.iter().map(|&axis| sizes[axis]).collect();
        // A constant is written anew, so that each tensor of it has its order noted.
        let forms = if constant.is_some() { Vec::new() } else { forms };
        self.values.push(Value { sizes, forms, constant });
        Ok(Known(self.values.len() - 1))
    }

    /// A constant under another shape, which takes no node.
    pub fn reshaped_constant(&mut self, value: Known, shape: &[usize]) -> Result<Known, String> {
        let constant = self.values[value.0].constant.clone().ok_or("it is computed at run time")?;
        let tensor = constant.tensor.reshaped(shape.to_vec()).map_err(|error| error.to_string())?;
        let untouched = constant.made.filter(|made| made.order.is_sorted());
        let made = untouched.map(|made| WeightOrder { order: identity(shape.len()), ..made });
        let sizes = shape.iter().map(|&size| Some(size)).collect();
        let constant = Some(Constant { name: constant.name, tensor, made });
        self.values.push(Value { sizes, forms: Vec::new(), constant });
        Ok(Known(self.values.len() - 1))
    }

    /// Adds a node of one output.
    pub fn emit(&mut self, op: &'static str, inputs: &[Name], attributes: Vec<AttributeProto>) -> Name {
        let output = self.named(self.scope.clone());
        let name = self.scope.clone();
        self.nodes.push(Pending { op, name, inputs: inputs.to_vec(), output, attributes });
        output
    }

    /// A number in the file; each once.
    pub fn scalar(&mut self, value: f32) -> Name {
        if let Some(&name) = self.scalars.get(&value.to_bits()) {
            return name;
        }
        let name = self.named(format!("{value:?}"));
        let raw_data = Bytes::copy_from_slice(&value.to_le_bytes());
        self.initializers.push((name, TensorProto { data_type: 1, raw_data, ..TensorProto::default() }));
        self.scalars.insert(value.to_bits(), name);
        name
    }

    /// A list of integers in the file; each once.
    pub fn list(&mut self, values: Vec<i64>) -> Name {
        if let Some(&name) = self.lists.get(&values) {
            return name;
        }
        let name = self.named(format!("{values:?}").replace(' ', ""));
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into();
        let dims = vec![values.len() as i64];
        self.initializers.push((name, TensorProto { data_type: 7, dims, raw_data, ..TensorProto::default() }));
        self.lists.insert(values, name);
        name
    }

    /// A list of numbers in the file.
    pub fn numbers(&mut self, values: Vec<f32>) -> Result<Name, String> {
        let tensor = Tensor::from_f32([values.len()], values).map_err(|error| error.to_string())?;
        let value = self.constant(format!("{}/numbers", self.scope), tensor);
        self.plain(value)
    }

    /// The elements of a tensor under another shape, which may refer to the sizes of the source.
    pub fn reshape(&mut self, source: Name, target: &[Target]) -> Name {
        let mut rests = target.iter().filter(|target| **target == Target::Rest).count();
        let entry = |(axis, target): (usize, &Target)| match *target {
            Target::Fixed(size) => Some(size as i64),
            Target::Same(own) if own == axis => Some(0),
            Target::Same(_) if rests == 0 => {
                rests += 1;
                Some(-1)
            }
            Target::Same(_) => None,
            Target::Rest => Some(-1),
        };
        let entries: Vec<Option<i64>> = target.iter().enumerate().map(entry).collect();
        let shape = match entries.iter().copied().collect::<Option<Vec<i64>>>() {
            Some(shape) => self.list(shape),
            None => {
                let parts: Vec<Name> = target
                    .iter()
                    .zip(entries)
                    .map(|(target, entry)| match (target, entry) {
                        (Target::Same(axis), None) => self.size(source, *axis),
                        (_, entry) => self.list(vec![entry.unwrap_or(-1)]),
                    })
                    .collect();
                self.emit("Concat", &parts, vec![int("axis", 0)])
            }
        };
        self.emit("Reshape", &[source, shape], vec![])
    }

    /// The size of an axis, computed at run time.
    pub fn size(&mut self, source: Name, axis: usize) -> Name {
        let (start, end) = (axis as i64, axis as i64 + 1);
        self.emit("Shape", &[source], vec![int("start", start), int("end", end)])
    }

    /// Names everything, inputs and outputs first, and puts the graph together.
    pub fn finish(mut self, name: &str, outputs: Vec<(Name, ValueInfoProto)>) -> Built {
        let mut last: Vec<(Name, ValueInfoProto)> = Vec::with_capacity(outputs.len());
        for (value, info) in outputs {
            // A name is either an input's or an output's, and one output's.
            let taken =
                !self.nodes.iter().any(|node| node.output == value) || last.iter().any(|(own, _)| *own == value);
            self.scope = info.name.clone();
            let value = if taken { self.emit("Identity", &[value], vec![]) } else { value };
            last.push((value, info));
        }
        let mut unique = Unique::default();
        let mut names = vec![None; self.names.len()];
        names[0] = Some(String::new());
        let outer = self.inputs.iter().chain(&last).map(|(value, info)| (*value, info.name.clone()));
        let stored = self.initializers.iter().map(|(value, _)| (*value, self.names[value.0].clone()));
        let computed = self.nodes.iter().map(|node| (node.output, self.names[node.output.0].clone()));
        for (value, wanted) in outer.chain(stored).chain(computed) {
            if names[value.0].is_none() {
                names[value.0] = Some(unique.take(wanted));
            }
        }
        let named = |value: Name| names.get(value.0).cloned().flatten().unwrap_or_default();
        let info = |(value, info): &(Name, ValueInfoProto)| ValueInfoProto { name: named(*value), ..info.clone() };
        let mut of_nodes = Unique::default();
        let node = |node: Pending| NodeProto {
            input: node.inputs.iter().map(|&input| named(input)).collect(),
            output: vec![named(node.output)],
            name: of_nodes.take(node.name),
            op_type: node.op.into(),
            attribute: node.attributes,
            ..NodeProto::default()
        };
        let orders = self.orders.iter().filter(|(value, wanted, _)| named(*value) == *wanted);
        let orders = orders.map(|(_, wanted, order)| (wanted.clone(), order.clone())).collect();
        let graph = GraphProto {
            name: name.into(),
            input: self.inputs.iter().map(info).collect(),
            output: last.iter().map(info).collect(),
            initializer: self
                .initializers
                .into_iter()
                .map(|(value, tensor)| TensorProto { name: named(value), ..tensor })
                .collect(),
            node: self.nodes.into_iter().map(node).collect(),
        };
        Built { graph, orders }
    }
}

/// Names that are taken.
#[derive(Default)]
struct Unique {
    taken: HashSet<String>,
    next: HashMap<String, usize>,
}

impl Unique {
    fn take(&mut self, wanted: String) -> String {
        let mut name = wanted.clone();
        while !self.taken.insert(name.clone()) {
            let next = self.next.entry(wanted.clone()).or_insert(0);
            *next += 1;
            name = format!("{wanted}_{next}");
        }
        name
    }
}

fn floats(tensor: &Tensor) -> Result<TensorProto, String> {
    struct Elements(Tensor);
    impl AsRef<[u8]> for Elements {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(self.0.f32s().unwrap_or_default())
        }
    }
    let dims = tensor.shape().iter().map(|&size| size as i64).collect();
    let values = tensor.f32s().map_err(|error| error.to_string())?;
    let raw_data = match cfg!(target_endian = "little") {
        true => Bytes::from_owner(Elements(tensor.clone())),
        false => little_endian(values).into_owned().into(),
    };
    Ok(TensorProto { data_type: 1, dims, raw_data, ..TensorProto::default() })
}

/// An attribute that is an integer.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: 2, i: value, ..AttributeProto::default() }
}

/// An attribute that is a number.
pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: 1, f: value, ..AttributeProto::default() }
}

/// An attribute that is a list of integers.
pub(super) fn ints(name: &str, values: impl IntoIterator<Item = i64>) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: 7, ints: values.into_iter().collect(), ..AttributeProto::default() }
}

/// An attribute that is a text.
pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: 3, s: value.as_bytes().to_vec(), ..AttributeProto::default() }
}
