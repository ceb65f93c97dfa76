{# A strided copy: one invocation moves one element or vector. #}
{% from "lib/axes.wgsl" import offset %}
{% include "lib/index.wgsl" %}
{{ offset("x_offset", "sizes", "x_strides", rank) }}
{{ offset("y_offset", "sizes", "y_strides", rank) }}
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    y[params.y_start + y_offset(i)] = {{ T }}(x[params.x_start + x_offset(i)]);
}
