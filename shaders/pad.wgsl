// Elements added around a tensor: one invocation fills one element or vector of the output.
{% include "lib/index.wgsl" %}
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    var rest = i;
    var at = 0u;
    var stride = 1u;
    var inside = true;
{% for axis in range(rank)|reverse %}
    {
        let size = params.sizes{{ axis }};
        let before = params.before{{ axis }};
        let position = rest % params.padded{{ axis }};
        rest /= params.padded{{ axis }};
{% if mode == "constant" %}
        // Before the first element the difference wraps, which is beyond the last one as well.
        let source = position - before;
        inside = inside && source < size;
{% elif mode == "edge" %}
        let source = min(max(position, before) - before, size - 1u);
{% else %}
        let distance = select(position - before, before - position, position < before);
        let source = select(distance, 2u * (size - 1u) - distance, distance >= size);
{% endif %}
        at += source * stride;
        stride *= size;
    }
{% endfor %}
    var value = {{ T }}(params.fill);
    if (inside) { value = x[at]; }
    y[i] = value;
}
