// Elements along an axis by their positions: one invocation moves one element or vector.
{% include "lib/index.wgsl" %}
alias T = {{ T }};

@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    let behind = i % params.inner;
    let line = i / params.inner;
    let wanted = positions[line % params.positions];
    let size = f32(params.size);
    let position = select(wanted, wanted + size, wanted < 0.0);
    if (position >= 0.0 && position < size) {
        y[i] = x[(line / params.positions * params.size + u32(position)) * params.inner + behind];
    } else {
        // NaN, which compilers must not see coming.
        y[i] = T(sqrt(-1.0 - f32(i)));
    }
}
