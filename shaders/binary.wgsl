// A function of two elements with broadcasting: one invocation computes one element or vector of the output.
{% from "lib/axes.wgsl" import offset %}
{% from "lib/functions.wgsl" import function_of_two %}
{% from "lib/texel.wgsl" import read %}
{% include "lib/index.wgsl" %}
{% include "lib/texel.wgsl" %}
alias T = {{ T }};
{{ offset("a_offset", "sizes", "a_strides", rank) }}
{{ offset("b_offset", "sizes", "b_strides", rank) }}
fn apply(a: T, b: T) -> T {
{{ function_of_two(function, T) }}}

@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    y[i] = apply(T({{ read("a", "a_offset(i)", forms[0]) }}), T({{ read("b", "b_offset(i)", forms[1]) }}));
}
