{# A strided copy: one invocation moves one element or vector. #}
{% from "lib/axes.wgsl" import offset %}
{% from "lib/texel.wgsl" import read %}
{% include "lib/index.wgsl" %}
{% include "lib/texel.wgsl" %}
{{ offset("x_offset", "sizes", "x_strides", rank) }}
{% if not in_order %}
{{ offset("y_offset", "sizes", "y_strides", rank) }}
{% endif %}
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    y[params.y_start + {% if in_order %}i{% else %}y_offset(i){% endif %}] = {{ T }}({{ read("x", "params.x_start + x_offset(i)", form) }});
}
