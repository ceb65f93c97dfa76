//! Shader text: a WGSL template under `shaders/`, its options, and the declarations that Rust states once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Value, json};

use super::narrow::narrow;
use super::registry::TEMPLATES;
use super::{Binding, Dispatch, Form, LINEAR_WORKGROUP};
use crate::error::TemplateError;
use crate::ops::UnaryFn;
use crate::tensor::Precision;

/// A shader template with its options.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Shader {
    /// `shaders/<stem>.wgsl`.
    pub stem: &'static str,
    /// The WGSL `struct Params`, declared beside its Rust twin.
    #[serde(skip)]
    pub params: &'static str,
    /// What the template may ask for.
    pub options: BTreeMap<&'static str, Value>,
}

impl Shader {
    /// A template without options.
    pub fn new(stem: &'static str, params: &'static str) -> Shader {
        Shader { stem, params, options: BTreeMap::new() }
    }

    /// Adds an option.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Shader {
        self.options.insert(name, value.into());
        self
    }

    /// Adds the option `activation`, which `lib/activation.wgsl` turns into the functions `activate` and `activate4`.
    pub fn with_activation(self, activation: Option<UnaryFn>) -> Shader {
        self.with("activation", activation.map_or(Value::Null, function_options))
    }
}

/// A function as `{ "name": .., parameter: literal, .. }`, its parameters as WGSL literals.
///
/// JSON and WGSL have no infinity: a bound at infinity becomes null, which is no bound.
pub(super) fn function_options(function: UnaryFn) -> Value {
    match json!(function) {
        Value::Object(variant) => {
            let mut options = serde_json::Map::new();
            for (name, parameters) in variant {
                options.insert("name".into(), name.into());
                for (parameter, value) in parameters.as_object().into_iter().flatten() {
                    options.insert(parameter.clone(), value.as_f64().map_or(Value::Null, literal));
                }
            }
            Value::Object(options)
        }
        name => json!({ "name": name }),
    }
}

/// An `f32` as a WGSL literal.
fn literal(value: f64) -> Value {
    format!("f32({:?})", value as f32).into()
}

static ENVIRONMENT: LazyLock<Result<Environment<'static>, String>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // `//%` starts a template statement, so that a template still reads as WGSL.
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .line_statement_prefix("//%")
        .build()
        .map_err(|e| e.to_string())?;
    environment.set_syntax(syntax);
    environment.add_global("LINEAR_WORKGROUP", LINEAR_WORKGROUP);
    environment.add_global("IMAGE_WIDTH", Form::IMAGE_WIDTH);
    for (name, text) in TEMPLATES {
        environment.add_template(name, text).map_err(|e| e.to_string())?;
    }
    Ok(environment)
});

impl Dispatch {
    /// What distinguishes its pipeline from others: dispatches of one configuration have the same shader text.
    pub fn configuration(&self) -> String {
        let Shader { stem, params, options } = &self.shader;
        let stored = |binding: &Binding| format!("{:?} {}", binding.precision, binding.declaration());
        let bindings: Vec<String> = self.bindings.iter().map(stored).collect();
        format!("{stem} {options:?}\n{params}\n{}", bindings.join("\n"))
    }

    /// The complete WGSL text: parameter block, bindings, then the rendered template, its accesses to buffers stored as `f16`
    /// converted.
    ///
    /// # Errors
    /// [`TemplateError`] when the template asks for an option it was not given, or accesses a buffer in a way that cannot be
    /// converted.
    pub fn source(&self) -> Result<String, TemplateError> {
        let stem = self.shader.stem;
        let wrong = |what: String| TemplateError { stem: stem.into(), what };
        let environment = ENVIRONMENT.as_ref().map_err(|e| wrong(e.clone()))?;
        let body = environment
            .get_template(stem)
            .and_then(|template| template.render(Serde(&self.shader.options)))
            .map_err(|e| wrong(format!("{e:#}")))?;
        let mut text = format!("{}\n@group(0) @binding(0) var<uniform> params: Params;\n", self.shader.params);
        for (index, binding) in self.bindings.iter().enumerate() {
            text.push_str(&format!("@group(0) @binding({}) {}\n", index + 1, binding.declaration()));
        }
        text.push_str(&body);
        let half = |binding: &&Binding| binding.precision == Precision::F16 && binding.form.texel().is_none();
        let names: Vec<&str> = self.bindings.iter().filter(half).map(|binding| binding.name).collect();
        if names.is_empty() { Ok(text) } else { narrow(&text, &names).map_err(wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Case, DeviceTraits, candidates};
    use crate::ops::{Op, Unary};
    use crate::tensor::TensorType;

    #[test]
    fn every_function_is_valid_wgsl() {
        let functions = [
            UnaryFn::Relu,
            UnaryFn::Relu6,
            UnaryFn::ReluGeneral { max_value: f32::INFINITY, negative_slope: 0.1, threshold: -0.5 },
            UnaryFn::LeakyRelu { negative_slope: 0.2 },
            UnaryFn::Elu { alpha: 1.0 },
            UnaryFn::Selu,
            UnaryFn::Celu { alpha: 0.7 },
            UnaryFn::Gelu,
            UnaryFn::GeluTanh,
            UnaryFn::Silu,
            UnaryFn::HardSilu,
            UnaryFn::Sigmoid,
            UnaryFn::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 },
            UnaryFn::LogSigmoid,
            UnaryFn::SparseSigmoid,
            UnaryFn::Tanh,
            UnaryFn::HardTanh,
            UnaryFn::TanhShrink,
            UnaryFn::Softplus,
            UnaryFn::Softsign,
            UnaryFn::SparsePlus,
            UnaryFn::Squareplus { b: 4.0 },
            UnaryFn::HardShrink { threshold: 0.5 },
            UnaryFn::SoftShrink { threshold: 0.5 },
            UnaryFn::Threshold { threshold: 0.5, value: 20.0 },
            UnaryFn::Mish,
            UnaryFn::Exp,
            UnaryFn::Affine { scale: 1e-5, offset: -1.0 },
            UnaryFn::Clip { low: -1.0, high: 2.0 },
            UnaryFn::Neg,
            UnaryFn::Abs,
            UnaryFn::Log,
            UnaryFn::Sqrt,
            UnaryFn::Square,
            UnaryFn::Reciprocal,
            UnaryFn::Floor,
            UnaryFn::Ceil,
            UnaryFn::Round,
            UnaryFn::Sign,
            UnaryFn::Erf,
            UnaryFn::IsNan,
        ];
        for function in functions {
            let op = Op::from(Unary { function });
            let types = [TensorType::f32([3, 5])];
            let case = Case { op: &op, inputs: &types, outputs: &types };
            let launch = (candidates(&op)[0].accepts)(&case, &DeviceTraits::lavapipe()).unwrap();
            let text = launch.dispatches[0].source().unwrap();
            if let Err(error) = naga::front::wgsl::parse_str(&text) {
                panic!("{function:?}: {}\n{text}", error.emit_to_string(&text));
            }
        }
    }
}
