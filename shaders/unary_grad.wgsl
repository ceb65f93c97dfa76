// The gradient of a function of each element: one invocation computes four of them.
{% from "lib/functions.wgsl" import sigmoid, softplus, hyperbolic_tangent, error_tail %}
{% from "lib/nan.wgsl" import keep_nan %}
{% include "lib/index.wgsl" %}
alias T = vec4<f32>;
// 1 where a condition holds, else 0.
fn where_true(condition: vec4<bool>) -> T { return select(T(0.0), T(1.0), condition); }
// The derivative, at the argument or at the result (see `UnaryFn::derives_from_output`).
fn derivative(x: T) -> T {
{% set f = activation %}
{% set n = f.name %}
{% if n == "relu" %}    return where_true(x > T(0.0));
{% elif n == "relu6" %}    return where_true((x > T(0.0)) & (x < T(6.0)));
{% elif n == "relu_general" %}
    let inside = select(T({{ f.negative_slope }}), T(1.0), x > T({{ f.threshold }}));
{% if f.max_value is none %}    return inside;
{% else %}    return select(inside, T(0.0), x >= T({{ f.max_value }}));
{% endif %}
{% elif n == "leaky_relu" %}    return select(T({{ f.negative_slope }}), T(1.0), x > T(0.0));
{% elif n == "elu" %}    return select({{ f.alpha }} * exp(x), T(1.0), x > T(0.0));
{% elif n == "selu" %}    return 1.05070098 * select(1.67326324 * exp(x), T(1.0), x > T(0.0));
{% elif n == "celu" %}    return select(exp(x / {{ f.alpha }}), T(1.0), x > T(0.0));
{% elif n == "gelu" %}
    let a = abs(x) * 0.70710678;
{{ error_tail("T") }}
    return 0.5 * select(tail, T(2.0) - tail, x >= T(0.0)) + 0.39894228 * x * bell;
{% elif n == "gelu_tanh" %}
    let inner = 1.595769122 * (x + 0.044715 * x * x * x);
    let mirrored = -inner;
    let gate = {{ sigmoid("inner", "T") }};
    let rest = {{ sigmoid("mirrored", "T") }};
    return gate + x * gate * rest * 1.595769122 * (1.0 + 0.134145 * x * x);
{% elif n == "silu" %}
    let mirrored = -x;
    return {{ sigmoid("x", "T") }} * (1.0 + x * {{ sigmoid("mirrored", "T") }});
{% elif n == "hard_silu" %}
    return select(select(x / 3.0 + 0.5, T(1.0), x >= T(3.0)), T(0.0), x <= T(-3.0));
{% elif n == "sigmoid" %}
    let small = exp(-abs(x));
    return small / ((T(1.0) + small) * (T(1.0) + small));
{% elif n == "hard_sigmoid" %}
    let gate = {{ f.alpha }} * x + {{ f.beta }};
    return {{ f.alpha }} * where_true((gate > T(0.0)) & (gate < T(1.0)));
{% elif n == "log_sigmoid" %}
    let mirrored = -x;
    return {{ sigmoid("mirrored", "T") }};
{% elif n == "sparse_sigmoid" %}    return 0.5 * where_true(abs(x) < T(1.0));
{% elif n == "tanh" %}
    let small = exp(-2.0 * abs(x));
    return 4.0 * small / ((T(1.0) + small) * (T(1.0) + small));
{% elif n == "hard_tanh" %}    return where_true(abs(x) <= T(1.0));
{% elif n == "tanh_shrink" %}{{ hyperbolic_tangent("x", "T") }}
    return tangent * tangent;
{% elif n == "softplus" %}    return {{ sigmoid("x", "T") }};
{% elif n == "softsign" %}    return T(1.0) / ((T(1.0) + abs(x)) * (T(1.0) + abs(x)));
{% elif n == "sparse_plus" %}    return select(select(T(1.0), 0.5 * (x + 1.0), x < T(1.0)), T(0.0), x <= T(-1.0));
{% elif n == "squareplus" %}    return 0.5 * (T(1.0) + x / sqrt(x * x + {{ f.b }}));
{% elif n == "hard_shrink" or n == "soft_shrink" %}    return where_true(abs(x) > T({{ f.threshold }}));
{% elif n == "threshold" %}    return where_true(x > T({{ f.threshold }}));
{% elif n == "mish" %}
{{ softplus("x", "T") }}
{{ hyperbolic_tangent("soft", "T") }}
    return tangent + x * (T(1.0) - tangent * tangent) * {{ sigmoid("x", "T") }};
{% elif n == "exp" %}    return x;
{% elif n == "affine" %}    return T({{ f.scale }});
{% elif n == "clip" %}
    return where_true(({% if f.low is none %}x == x{% else %}x >= T({{ f.low }}){% endif %}) & ({% if f.high is none %}x == x{% else %}x <= T({{ f.high }}){% endif %}));
{% elif n == "neg" %}    return T(-1.0);
{% elif n == "abs" %}    return {{ keep_nan("sign", "x", "T") }};
{% elif n == "log" %}    return T(1.0) / x;
{% elif n == "sqrt" %}    return 0.5 / sqrt(x);
{% elif n == "square" %}    return 2.0 * x;
{% elif n == "reciprocal" %}    return -1.0 / (x * x);
{% elif n == "erf" %}    return 1.12837917 * exp(-x * x);
{% elif n == "floor" or n == "ceil" or n == "round" or n == "sign" or n == "is_nan" %}    return T(0.0);
{% else %}    this function has no WGSL: {{ n }}
{% endif %}
}

@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.vectors) { return; }
    dx[i] = derivative(x[i]) * dy[i];
}
