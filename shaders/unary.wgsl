// A function of each element: one invocation computes four of them.
{% from "lib/texel.wgsl" import read %}
{% include "lib/index.wgsl" %}
{% include "lib/texel.wgsl" %}
{% include "lib/activation.wgsl" %}

@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.vectors) { return; }
    y[i] = activate4({{ read("x", "i", form) }});
}
