{# The functions `activate` (f32) and `activate4` (vec4) of the option `activation`; the identity when it is null.

   Comparisons are written as `select`, so that NaN stays NaN where `max` and `min` may swallow it. #}
{% macro sigmoid(x, T) %}({{ T }}(1.0) / ({{ T }}(1.0) + exp(-{{ x }}))){% endmacro %}
{% macro hyperbolic_tangent(x, T) %}tanh(clamp({{ x }}, {{ T }}(-15.0), {{ T }}(15.0))){% endmacro %}
{% macro softplus(x, T) %}(max({{ x }}, {{ T }}(0.0)) + log({{ T }}(1.0) + exp(-abs({{ x }})))){% endmacro %}
{% macro clip(x, low, high, T) %}select(select({{ x }}, {{ T }}({{ high }}), {{ x }} > {{ T }}({{ high }})), {{ T }}({{ low }}), {{ x }} < {{ T }}({{ low }})){% endmacro %}
{% macro function(f, T) %}
{% set n = f.name %}
{% if n == "relu" %}    return select(x, {{ T }}(0.0), x < {{ T }}(0.0));
{% elif n == "relu6" %}    return {{ clip("x", "0.0", "6.0", T) }};
{% elif n == "relu_general" %}
    let below = select({{ f.negative_slope }} * (x - {{ T }}({{ f.threshold }})), x, x >= {{ T }}({{ f.threshold }}));
    return select(below, {{ T }}({{ f.max_value }}), x >= {{ T }}({{ f.max_value }}));
{% elif n == "leaky_relu" %}    return select({{ f.negative_slope }} * x, x, x >= {{ T }}(0.0));
{% elif n == "elu" %}    return select({{ f.alpha }} * (exp(min(x, {{ T }}(0.0))) - {{ T }}(1.0)), x, x > {{ T }}(0.0));
{% elif n == "selu" %}    return 1.05070098 * select(1.67326324 * (exp(min(x, {{ T }}(0.0))) - {{ T }}(1.0)), x, x > {{ T }}(0.0));
{% elif n == "celu" %}    return select({{ f.alpha }} * (exp(min(x / {{ f.alpha }}, {{ T }}(0.0))) - {{ T }}(1.0)), x, x > {{ T }}(0.0));
{% elif n == "gelu" %}
    // erfc of |x| / sqrt(2) after Abramowitz and Stegun 7.1.26 (error below 1.5e-7).
    let a = abs(x) * 0.70710678;
    let t = {{ T }}(1.0) / ({{ T }}(1.0) + 0.3275911 * a);
    let tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * exp(-a * a);
    return 0.5 * x * select(tail, {{ T }}(2.0) - tail, x >= {{ T }}(0.0));
{% elif n == "gelu_tanh" %}
    let inner = 1.595769122 * (x + 0.044715 * x * x * x);
    return x * {{ sigmoid("inner", T) }};
{% elif n == "silu" %}    return x * {{ sigmoid("x", T) }};
{% elif n == "hard_silu" %}
    let gate = x / 6.0 + 0.5;
    return x * {{ clip("gate", "0.0", "1.0", T) }};
{% elif n == "sigmoid" %}    return {{ sigmoid("x", T) }};
{% elif n == "hard_sigmoid" %}
    let gate = {{ f.alpha }} * x + {{ f.beta }};
    return {{ clip("gate", "0.0", "1.0", T) }};
{% elif n == "log_sigmoid" %}    return -({{ softplus("-x", T) }});
{% elif n == "sparse_sigmoid" %}
    let gate = 0.5 * (x + 1.0);
    return {{ clip("gate", "0.0", "1.0", T) }};
{% elif n == "tanh" %}    return {{ hyperbolic_tangent("x", T) }};
{% elif n == "hard_tanh" %}    return {{ clip("x", "-1.0", "1.0", T) }};
{% elif n == "tanh_shrink" %}    return x - {{ hyperbolic_tangent("x", T) }};
{% elif n == "softplus" %}    return {{ softplus("x", T) }};
{% elif n == "softsign" %}    return x / ({{ T }}(1.0) + abs(x));
{% elif n == "sparse_plus" %}
    let curve = (x + 1.0) * (x + 1.0) * 0.25;
    return select(select(curve, x, x >= {{ T }}(1.0)), {{ T }}(0.0), x <= {{ T }}(-1.0));
{% elif n == "squareplus" %}    return 0.5 * (x + sqrt(x * x + {{ f.b }}));
{% elif n == "hard_shrink" %}    return select(x, {{ T }}(0.0), abs(x) <= {{ T }}({{ f.threshold }}));
{% elif n == "soft_shrink" %}
    let t = {{ T }}({{ f.threshold }});
    return select(select(x * 0.0, x + t, x < -t), x - t, x > t);
{% elif n == "threshold" %}    return select(x, {{ T }}({{ f.value }}), x <= {{ T }}({{ f.threshold }}));
{% elif n == "mish" %}
    let soft = {{ softplus("x", T) }};
    return x * {{ hyperbolic_tangent("soft", T) }};
{% elif n == "exp" %}    return exp(x);
{% elif n == "affine" %}    return {{ f.scale }} * x + {{ f.offset }};
{% elif n == "clip" %}    return {{ clip("x", f.low, f.high, T) }};
{% elif n == "neg" %}    return -x;
{% elif n == "abs" %}    return abs(x);
{% elif n == "log" %}    return log(x);
{% elif n == "sqrt" %}    return sqrt(x);
{% elif n == "square" %}    return x * x;
{% elif n == "reciprocal" %}    return {{ T }}(1.0) / x;
{% else %}    this function has no WGSL: {{ n }}
{% endif %}
{% endmacro %}
fn activate(x: f32) -> f32 {
{% if activation %}{{ function(activation, "f32") }}{% else %}    return x;
{% endif %}
}

fn activate4(x: vec4<f32>) -> vec4<f32> {
{% if activation %}{{ function(activation, "vec4<f32>") }}{% else %}    return x;
{% endif %}
}
