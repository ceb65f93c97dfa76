// A function of two elements with broadcasting: one invocation computes one element or vector of the output.
{% from "lib/axes.wgsl" import offset %}
{% from "lib/nan.wgsl" import is_nan %}
{% include "lib/index.wgsl" %}
alias T = {{ T }};
{{ offset("a_offset", "sizes", "a_strides", rank) }}
{{ offset("b_offset", "sizes", "b_strides", rank) }}
fn apply(a: T, b: T) -> T {
{% if function == "add" %}    return a + b;
{% elif function == "sub" %}    return a - b;
{% elif function == "mul" %}    return a * b;
{% elif function == "div" %}    return a / b;
{% elif function == "max" %}    return select(b, a, (a >= b) | ({{ is_nan("a", T) }}));
{% elif function == "min" %}    return select(b, a, (a <= b) | ({{ is_nan("a", T) }}));
{% elif function == "prelu" %}    return select(a * b, a, a >= T(0.0));
{% elif function == "pow" %}
    // Drivers give `pow` for bases above 0 only, and differ at the ends of the logarithm.
    let size = abs(a);
    let whole = floor(b) == b;
    let odd = whole & (floor(b * 0.5) != b * 0.5);
    let end = (size == T(0.0)) | (size > T(3.4028234e38));
    let grows = (size > T(1.0)) == (b > T(0.0));
    let at_end = select(T(0.0), select(T(1.0) / size, size, size > T(1.0)), grows);
    let power = select(exp2(b * log2(select(size, T(1.0), end))), at_end, end);
    let signed = select(select(sqrt(a), select(power, -power, odd), whole | end), power, a >= T(0.0));
    let kept = select(select(signed, b, {{ is_nan("b", T) }}), a, {{ is_nan("a", T) }});
    return select(kept, T(1.0), (b == T(0.0)) | (a == T(1.0)));
{% elif function == "equal" %}    return select(T(0.0), T(1.0), a == b);
{% elif function == "less" %}    return select(T(0.0), T(1.0), a < b);
{% elif function == "less_equal" %}    return select(T(0.0), T(1.0), a <= b);
{% elif function == "greater" %}    return select(T(0.0), T(1.0), a > b);
{% elif function == "greater_equal" %}    return select(T(0.0), T(1.0), a >= b);
{% else %}    this function has no WGSL: {{ function }}
{% endif %}
}

@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    y[i] = apply(T(a[a_offset(i)]), T(b[b_offset(i)]));
}
