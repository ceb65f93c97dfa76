// The gradient of linear upsampling along one axis: one invocation collects what an element or vector was spread over.
{% include "lib/index.wgsl" %}
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    let inside = i % params.inner;
    let position = i / params.inner % params.size;
    let long = params.size * params.factor;
    let outer = i / params.inner / params.size * long;
    let first = max(position, 1u) * params.factor - params.factor;
    let end = min((position + 2u) * params.factor, long);
    var sum = {{ T }}(0.0);
    for (var o = first; o < end; o++) {
        // Both neighbours of an output, as the forward pass finds them.
        let centre = max((f32(o) + 0.5) / f32(params.factor) - 0.5, 0.0);
        let low = min(u32(centre), params.size - 1u);
        let high = min(low + 1u, params.size - 1u);
        let weight = centre - f32(low);
        let share = select(0.0, 1.0 - weight, low == position) + select(0.0, weight, high == position);
        sum += share * dy[(outer + o) * params.inner + inside];
    }
    dx[i] = sum;
}
