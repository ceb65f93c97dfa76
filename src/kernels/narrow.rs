//! Shader text for buffers that are stored as `f16`: what is loaded from them is widened, what is stored is rounded.
//!
//! Kernels are written for `f32` and know nothing of this. naga says where the text loads and stores, and there the text is
//! edited: it stays readable WGSL, whose types would not fit if a place had been overlooked.

use std::ops::Range;

use naga::{Block, Expression, Function, GlobalVariable, Handle, Module, Span, Statement, TypeInner};

/// A place in the text and what stands there instead.
type Edit = (Range<usize>, String);

/// The text with the storage buffers `names` declared with elements of `f16`.
pub(super) fn narrow(text: &str, names: &[&str]) -> Result<String, String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string(text))?;
    let named = |variable: &GlobalVariable| variable.name.as_deref().is_some_and(|name| names.contains(&name));
    let variables = module.global_variables.iter();
    let buffers: Vec<_> = variables.filter(|(_, variable)| named(variable)).map(|(handle, _)| handle).collect();
    let mut edits = Vec::new();
    for &buffer in &buffers {
        let range = place(text, module.global_variables.get_span(buffer))?;
        let at = text[range.clone()].find("f32").ok_or("a buffer is declared without f32")?;
        edits.push((range.start + at..range.start + at + 3, "f16".to_string()));
    }
    let entries = module.entry_points.iter().map(|entry| &entry.function);
    for function in module.functions.iter().map(|(_, function)| function).chain(entries) {
        let site = Site { text, module: &module, function, buffers: &buffers };
        // Where what is stored begins with what is loaded, the conversion of the former comes first.
        site.stores(&function.body, &mut edits)?;
        site.loads(&mut edits)?;
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut narrowed = String::from("enable f16;\n");
    let mut done = 0;
    for (range, instead) in edits {
        narrowed.push_str(text.get(done..range.start).ok_or("two accesses to buffers overlap")?);
        narrowed.push_str(&instead);
        done = range.end;
    }
    narrowed.push_str(text.get(done..).unwrap_or_default());
    Ok(narrowed)
}

/// A span as a range of the text.
fn place(text: &str, span: Span) -> Result<Range<usize>, String> {
    let range = span.to_range().filter(|range| text.get(range.clone()).is_some());
    range.ok_or_else(|| "an access to a buffer has no place in the text".to_string())
}

/// Puts a conversion around a range.
fn wrap(edits: &mut Vec<Edit>, range: Range<usize>, conversion: &str) {
    edits.push((range.start..range.start, format!("{conversion}(")));
    edits.push((range.end..range.end, ")".into()));
}

/// A function in its text.
struct Site<'a> {
    text: &'a str,
    module: &'a Module,
    function: &'a Function,
    buffers: &'a [Handle<GlobalVariable>],
}

impl Site<'_> {
    /// Whether a pointer leads into one of the buffers, and to a whole vector there.
    fn vector(&self, pointer: Handle<Expression>) -> Option<bool> {
        let (mut base, mut depth) = (pointer, 0);
        while let Expression::Access { base: next, .. } | Expression::AccessIndex { base: next, .. } =
            self.function.expressions[base]
        {
            (base, depth) = (next, depth + 1);
        }
        let Expression::GlobalVariable(variable) = self.function.expressions[base] else { return None };
        self.buffers.contains(&variable).then(|| {
            let array = &self.module.types[self.module.global_variables[variable].ty].inner;
            let TypeInner::Array { base, .. } = *array else { return false };
            depth == 1 && matches!(self.module.types[base].inner, TypeInner::Vector { .. })
        })
    }

    /// Widens what is loaded from buffers.
    fn loads(&self, edits: &mut Vec<Edit>) -> Result<(), String> {
        for (_, expression) in self.function.expressions.iter() {
            let Expression::Load { pointer } = *expression else { continue };
            let Some(vector) = self.vector(pointer) else { continue };
            let range = place(self.text, self.function.expressions.get_span(pointer))?;
            wrap(edits, range, if vector { "vec4<f32>" } else { "f32" });
        }
        Ok(())
    }

    /// Rounds what is stored into buffers.
    fn stores(&self, block: &Block, edits: &mut Vec<Edit>) -> Result<(), String> {
        for (statement, span) in block.span_iter() {
            match statement {
                Statement::Store { pointer, .. } => {
                    let Some(vector) = self.vector(*pointer) else { continue };
                    let target = place(self.text, self.function.expressions.get_span(*pointer))?;
                    let whole = place(self.text, *span)?;
                    let rest = self.text.get(target.end..whole.end).unwrap_or_default();
                    let Some(value) = rest.trim_start().strip_prefix('=').map(str::trim_start) else {
                        return Err(format!("`{}` is no plain assignment", &self.text[whole]));
                    };
                    let start = whole.end - value.len();
                    let end = start + value.trim_end_matches(';').len();
                    wrap(edits, start..end, if vector { "vec4<f16>" } else { "f16" });
                }
                Statement::Block(inner) => self.stores(inner, edits)?,
                Statement::If { accept, reject, .. } => {
                    self.stores(accept, edits)?;
                    self.stores(reject, edits)?;
                }
                Statement::Loop { body, continuing, .. } => {
                    self.stores(body, edits)?;
                    self.stores(continuing, edits)?;
                }
                Statement::Switch { cases, .. } => {
                    cases.iter().try_for_each(|case| self.stores(&case.body, edits))?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn tap(i: u32) -> f32 {
    return x[i].y * w[u32(w[i])];
}

@compute @workgroup_size(1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let v = x[id.x];
    if (id.x < 4u) {
        y[id.x] = w[id.x] + dot(v, x[id.x]);
    } else {
        for (var i = 0u; i < 2u; i++) { y[i] = tap(i); }
    }
}
";

    #[test]
    fn loads_are_widened_and_stores_rounded() {
        let narrowed = narrow(TEXT, &["x", "y"]).unwrap();
        for line in [
            "enable f16;",
            "var<storage, read> x: array<vec4<f16>>;",
            "var<storage, read> w: array<f32>;",
            "var<storage, read_write> y: array<f16>;",
            "return f32(x[i].y) * w[u32(w[i])];",
            "let v = vec4<f32>(x[id.x]);",
            "y[id.x] = f16(w[id.x] + dot(v, vec4<f32>(x[id.x])));",
            "y[i] = f16(tap(i));",
        ] {
            assert!(narrowed.contains(line), "{line}\n{narrowed}");
        }
        assert!(naga::front::wgsl::parse_str(&narrowed).is_ok(), "{narrowed}");
        let narrowed = narrow(TEXT, &["w", "y"]).unwrap();
        assert!(narrowed.contains("return x[i].y * f32(w[u32(f32(w[i]))]);"), "{narrowed}");
        assert!(narrowed.contains("y[id.x] = f16(f32(w[id.x]) + dot(v, x[id.x]));"), "{narrowed}");
    }

    #[test]
    fn what_cannot_be_edited_is_refused() {
        let text = TEXT.replace("y[i] = tap(i)", "y[i] += tap(i)");
        assert_eq!(narrow(&text, &["y"]).unwrap_err(), "`y[i] += tap(i)` is no plain assignment");
        assert!(narrow(&text, &["x"]).is_ok());
    }
}
