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
