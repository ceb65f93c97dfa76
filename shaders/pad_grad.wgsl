// The gradient of padding along one axis: one invocation collects the gradients of all copies of an element or vector.
{% include "lib/index.wgsl" %}
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    let inside = i % params.inner;
    let position = i / params.inner % params.size;
    let outer = i / params.inner / params.size * (params.size + params.before + params.after);
    let last = params.size - 1u;
    var sum = dy[(outer + params.before + position) * params.inner + inside];
{% if mode == "edge" %}
    if (position == 0u) {
        for (var copy = 0u; copy < params.before; copy++) { sum += dy[(outer + copy) * params.inner + inside]; }
    }
    if (position == last) {
        let end = outer + params.before + params.size;
        for (var copy = 0u; copy < params.after; copy++) { sum += dy[(end + copy) * params.inner + inside]; }
    }
{% else %}
    if (position >= 1u && position <= params.before) {
        sum += dy[(outer + params.before - position) * params.inner + inside];
    }
    let back = last - position;
    if (back >= 1u && back <= params.after) {
        sum += dy[(outer + params.before + last + back) * params.inner + inside];
    }
{% endif %}
    dx[i] = sum;
}
