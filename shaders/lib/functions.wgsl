{# Bodies of functions: `function` of one element `x`, of the type `T`; `function_of_two` of `a` and `b`, where `T` is an alias.

   Comparisons are written as `select`, so that NaN stays NaN where `max`, `min` and `clamp` may swallow it. #}
{% from "lib/nan.wgsl" import is_nan, is_positive, keep_nan %}
{% macro sigmoid(x, T) %}({{ T }}(1.0) / ({{ T }}(1.0) + {{ keep_nan("exp", "(-" ~ x ~ ")", T) }})){% endmacro %}
{% macro clip(x, low, high, T) %}
{% set above = "select(" ~ x ~ ", " ~ T ~ "(" ~ high ~ "), " ~ x ~ " > " ~ T ~ "(" ~ high ~ "))" if high is not none else x %}
{% if low is not none %}select({{ above }}, {{ T }}({{ low }}), {{ x }} < {{ T }}({{ low }})){% else %}{{ above }}{% endif %}
{% endmacro %}
{# Drivers compute tanh from exponentials, which cancel near 0, so that the Taylor series stands there:
   `x - tanh(x) = x * bend`. #}
{% macro hyperbolic_tangent(x, T) %}
    let s = {{ x }} * {{ x }};
    let bend = s * ({{ T }}(1.0 / 3.0) - s * ({{ T }}(2.0 / 15.0) - s * ({{ T }}(17.0 / 315.0) - s * (62.0 / 2835.0))));
    let straight = abs({{ x }}) < {{ T }}(0.25);
    let bounded = tanh({{ clip(x, "-15.0", "15.0", T) }});
    let tangent = select(bounded, {{ x }} - {{ x }} * bend, straight);
{% endmacro %}
{% macro positive(x, T) %}select({{ x }}, {{ T }}(0.0), {{ x }} < {{ T }}(0.0)){% endmacro %}
{% macro negative(x, T) %}select({{ x }}, {{ T }}(0.0), {{ x }} > {{ T }}(0.0)){% endmacro %}
{# A slope of 0 is written out: 0 times an infinity is NaN, and compilers take 0 times anything for 0. #}
{% macro sloped(slope, x, T) %}
{% if slope == "f32(0.0)" %}select({{ T }}(0.0), {{ x }}, {{ is_nan(x, T) }}){% else %}{{ slope }} * {{ x }}{% endif %}
{% endmacro %}
{# `log(1 + exp(-|x|))` without the digits that adding 1 costs where the exponential is small. #}
{% macro softplus(x, T) %}
    let small = exp(-abs({{ x }}));
    let series = small * ({{ T }}(1.0) - small * ({{ T }}(0.5) - small / 3.0));
    let soft = {{ positive(x, T) }} + select(log({{ T }}(1.0) + small), series, small < {{ T }}(0.01));
{% endmacro %}
{# `exp(x) - 1` of the negative part, without the digits that subtracting 1 costs near 0. #}
{% macro exponential_minus_1(x, T) %}
    let below = {{ negative(x, T) }};
    let series = below * ({{ T }}(1.0) + below * ({{ T }}(0.5) + below * ({{ T }}(1.0 / 6.0) + below / 24.0)));
    let curve = select({{ keep_nan("exp", "below", T) }} - {{ T }}(1.0), series, below > {{ T }}(-0.05));
{% endmacro %}
{# `tail`, erfc of `a` >= 0, after Abramowitz and Stegun 7.1.26 (error below 1.5e-7), and `bell`, `exp(-a * a)`. #}
{% macro error_tail(T) %}
    let t = {{ T }}(1.0) / ({{ T }}(1.0) + 0.3275911 * a);
    let bell = exp(-a * a);
    let tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * bell;
{% endmacro %}
{% macro function(f, T) %}
{% set n = f.name %}
{% if n == "relu" %}    return select(x, {{ T }}(0.0), x < {{ T }}(0.0));
{% elif n == "relu6" %}    return {{ clip("x", "0.0", "6.0", T) }};
{% elif n == "relu_general" %}
    let shifted = x - {{ T }}({{ f.threshold }});
    let below = select({{ sloped(f.negative_slope, "shifted", T) }}, x, x >= {{ T }}({{ f.threshold }}));
{% if f.max_value is none %}    return below;
{% else %}    return select(below, {{ T }}({{ f.max_value }}), x >= {{ T }}({{ f.max_value }}));
{% endif %}
{% elif n == "leaky_relu" %}    return select({{ sloped(f.negative_slope, "x", T) }}, x, x >= {{ T }}(0.0));
{% elif n == "elu" %}{{ exponential_minus_1("x", T) }}
    return select({{ f.alpha }} * curve, x, x > {{ T }}(0.0));
{% elif n == "selu" %}{{ exponential_minus_1("x", T) }}
    return 1.05070098 * select(1.67326324 * curve, x, x > {{ T }}(0.0));
{% elif n == "celu" %}
    let scaled = x / {{ f.alpha }};
{{ exponential_minus_1("scaled", T) }}
    return select({{ f.alpha }} * curve, x, x > {{ T }}(0.0));
{% elif n == "gelu" %}
    let a = abs(x) * 0.70710678;
{{ error_tail(T) }}
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
{% elif n == "log_sigmoid" %}
    let mirrored = -x;
{{ softplus("mirrored", T) }}
    return -soft;
{% elif n == "sparse_sigmoid" %}
    let gate = 0.5 * (x + 1.0);
    return {{ clip("gate", "0.0", "1.0", T) }};
{% elif n == "tanh" %}{{ hyperbolic_tangent("x", T) }}
    return tangent;
{% elif n == "hard_tanh" %}    return {{ clip("x", "-1.0", "1.0", T) }};
{% elif n == "tanh_shrink" %}{{ hyperbolic_tangent("x", T) }}
    return select(x - bounded, x * bend, straight);
{% elif n == "softplus" %}{{ softplus("x", T) }}
    return soft;
{% elif n == "softsign" %}    return x / ({{ T }}(1.0) + abs(x));
{% elif n == "sparse_plus" %}
    let curve = (x + 1.0) * (x + 1.0) * 0.25;
    return select(select(curve, x, x >= {{ T }}(1.0)), {{ T }}(0.0), x <= {{ T }}(-1.0));
{% elif n == "squareplus" %}    return 0.5 * (x + sqrt(x * x + {{ f.b }}));
{% elif n == "hard_shrink" %}    return select(x, {{ T }}(0.0), abs(x) <= {{ T }}({{ f.threshold }}));
{% elif n == "soft_shrink" %}
    let t = {{ T }}({{ f.threshold }});
    let band = select({{ T }}(0.0), x, {{ is_nan("x", T) }});
    return select(select(band, x + t, x < -t), x - t, x > t);
{% elif n == "threshold" %}    return select(x, {{ T }}({{ f.value }}), x <= {{ T }}({{ f.threshold }}));
{% elif n == "mish" %}
{{ softplus("x", T) }}
{{ hyperbolic_tangent("soft", T) }}
    return x * tangent;
{% elif n == "exp" %}    return {{ keep_nan("exp", "x", T) }};
{% elif n == "affine" %}    return {{ f.scale }} * x + {{ f.offset }};
{% elif n == "clip" %}    return {{ clip("x", f.low, f.high, T) }};
{% elif n == "neg" %}    return -x;
{% elif n == "abs" %}    return abs(x);
{% elif n == "log" %}
    // Drivers differ where the logarithm is no number: it is NaN below 0 as the square root is, and infinite at both ends.
    let ends = select(sqrt(x), {{ T }}(-1.0) / abs(x), x == {{ T }}(0.0));
    return select(ends, log(x), (x > {{ T }}(0.0)) & (x <= {{ T }}(3.4028234e38)));
{% elif n == "sqrt" %}    return sqrt(x);
{% elif n == "square" %}    return x * x;
{% elif n == "reciprocal" %}    return {{ T }}(1.0) / x;
{% elif n == "floor" %}    return {{ keep_nan("floor", "x", T) }};
{% elif n == "ceil" %}    return {{ keep_nan("ceil", "x", T) }};
{% elif n == "round" %}    return {{ keep_nan("round", "x", T) }};
{% elif n == "sign" %}    return {{ keep_nan("sign", "x", T) }};
{% elif n == "is_nan" %}    return select({{ T }}(0.0), {{ T }}(1.0), {{ is_nan("x", T) }});
{% elif n == "erf" %}
    // Near 0, where the tail cancels, the Taylor series.
    let a = abs(x);
{{ error_tail(T) }}
    let s = x * x;
    let series = 1.12837917 * x * ({{ T }}(1.0) - s * ({{ T }}(1.0 / 3.0) - s * ({{ T }}(0.1) - s * ({{ T }}(1.0 / 42.0) - s / 216.0))));
    let outer = select({{ T }}(1.0) - tail, tail - {{ T }}(1.0), x < {{ T }}(0.0));
    return select(select(outer, series, a < {{ T }}(0.3)), x, {{ is_nan("x", T) }});
{% else %}    this function has no WGSL: {{ n }}
{% endif %}
{% endmacro %}
{% macro function_of_two(f, T) %}
{% if f == "add" %}    return a + b;
{% elif f == "sub" %}    return a - b;
{% elif f == "mul" %}    return a * b;
{% elif f == "div" %}    return a / b;
{% elif f == "max" %}    return select(b, a, (a >= b) | ({{ is_nan("a", T) }}));
{% elif f == "min" %}    return select(b, a, (a <= b) | ({{ is_nan("a", T) }}));
{% elif f == "prelu" %}    return select(a * b, a, a >= T(0.0));
{% elif f == "pow" %}
    // Drivers give `pow` for bases above 0 only, and differ at the ends of the logarithm.
    let size = abs(a);
    let whole = floor(b) == b;
    let odd = whole & (floor(b * 0.5) != b * 0.5);
    let end = (size == T(0.0)) | (size > T(3.4028234e38));
    let grows = (size > T(1.0)) == (b > T(0.0));
    let at_end = select(T(0.0), select(T(1.0) / size, size, size > T(1.0)), grows);
    // One is a power of itself for infinite exponents, too, and a zero has a sign.
    let finite = select(exp2(b * log2(select(size, T(1.0), end))), T(1.0), size == T(1.0));
    let power = select(finite, at_end, end);
    let signed = select(select(sqrt(a), select(power, -power, odd), whole | end), power, {{ is_positive("a", T) }});
    let kept = select(select(signed, b, {{ is_nan("b", T) }}), a, {{ is_nan("a", T) }});
    return select(kept, T(1.0), (b == T(0.0)) | (a == T(1.0)));
{% elif f == "equal" %}    return select(T(0.0), T(1.0), a == b);
{% elif f == "less" %}    return select(T(0.0), T(1.0), a < b);
{% elif f == "less_equal" %}    return select(T(0.0), T(1.0), a <= b);
{% elif f == "greater" %}    return select(T(0.0), T(1.0), a > b);
{% elif f == "greater_equal" %}    return select(T(0.0), T(1.0), a >= b);
{% else %}    this function has no WGSL: {{ f }}
{% endif %}
{% endmacro %}
