// Functions of each element, one after the other: one invocation computes one element or vector of the output.
{% from "lib/functions.wgsl" import function, function_of_two %}
{% from "lib/texel.wgsl" import read %}
{% include "lib/index.wgsl" %}
{% include "lib/texel.wgsl" %}
alias T = {{ T }};
{% for step in steps %}
{% if step.operand is none %}
fn step{{ loop.index0 }}(x: T) -> T {
{{ function(step.function, T) }}}

{% else %}
fn step{{ loop.index0 }}(a: T, b: T) -> T {
{{ function_of_two(step.function, T) }}}

{% endif %}
{% endfor %}
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    var value = {{ read("x", "i", form) }};
{% for step in steps %}
{% if step.operand is none %}
    value = step{{ loop.index0 }}(value);
{% else %}
    let operand{{ loop.index0 }} = {% if step.meets == "one" %}T({{ step.operand }}[0]){% else %}{{ read(step.operand, "i % params.channels" if step.meets == "channel" else "i", step.form) }}{% endif %};
    value = step{{ loop.index0 }}({% if step.reversed %}operand{{ loop.index0 }}, value{% else %}value, operand{{ loop.index0 }}{% endif %});
{% endif %}
{% endfor %}
    y[i] = value;
}
