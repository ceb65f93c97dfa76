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
{% for operand in operands %}
    let operand{{ loop.index0 }} = {% if operand.meets == "one" %}T({{ operand.name }}[0]){% else %}{{ read(operand.name, "i % params.channels" if operand.meets == "channel" else "i", operand.form) }}{% endif %};
{% endfor %}
{% for step in steps %}
{% if step.operand is none %}
    value = step{{ loop.index0 }}(value);
{% else %}
    value = step{{ loop.index0 }}({% if step.reversed %}operand{{ step.operand }}, value{% else %}value, operand{{ step.operand }}{% endif %});
{% endif %}
{% endfor %}
    y[i] = value;
}
