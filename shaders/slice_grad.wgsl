// The gradient of a slice: one invocation writes one element or vector, zero where nothing was taken.
{% include "lib/index.wgsl" %}
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    var rest = i;
    var offset = 0u;
    var taken = true;
{% for axis in range(rank)|reverse %}
    {
        let distance = i32(rest % params.sizes{{ axis }}) - bitcast<i32>(params.starts{{ axis }});
        rest /= params.sizes{{ axis }};
        let step = bitcast<i32>(params.steps{{ axis }});
        // Both are turned so that the step is positive; then the position must be a whole number of steps away.
        let away = u32(select(distance, -distance, step < 0));
        let stride = u32(abs(step));
        let position = away / stride;
        taken = taken && away % stride == 0u && position < params.counts{{ axis }};
        offset += position * params.strides{{ axis }};
    }
{% endfor %}
    var value = {{ T }}(0.0);
    if (taken) { value = dy[offset]; }
    dx[i] = value;
}
