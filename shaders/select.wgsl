// A choice between two operands: one invocation computes one element or vector of the output.
{% from "lib/axes.wgsl" import offset %}
{% include "lib/index.wgsl" %}
alias T = {{ T }};
{{ offset("c_offset", "sizes", "c_strides", rank) }}
{{ offset("a_offset", "sizes", "a_strides", rank) }}
{{ offset("b_offset", "sizes", "b_strides", rank) }}
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    y[i] = select(T(b[b_offset(i)]), T(a[a_offset(i)]), T(c[c_offset(i)]) != T(0.0));
}
