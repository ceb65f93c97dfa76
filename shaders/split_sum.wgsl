// Slices of a sum, `[slices, outputs]`, added up in their order; then bias, residual and activation.
{% include "lib/index.wgsl" %}
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}

@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    var sum = x[i];
    for (var slice = 1u; slice < params.slices; slice++) {
        sum += x[slice * params.count + i];
    }
    y[i] = finish(sum, i, i % params.channels);
}
