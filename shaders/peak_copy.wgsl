// A copy of whole vectors: the rate at which a device moves memory. Each invocation moves some, a whole grid apart.
//
// The grid is exact: a branch around the loads would cost more than they do on a processor.
{% include "lib/index.wgsl" %}
{% if images %}{% include "lib/texel.wgsl" %}{% endif %}

@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let first = linear_index(group, groups, local);
//% for k in range(each)
    let value{{ k }} = {% if images %}textureLoad(x, texel(first + {{ k }}u * params.grid)){% else %}x[first + {{ k }}u * params.grid]{% endif %};
//% endfor
//% for k in range(each)
    y[first + {{ k }}u * params.grid] = value{{ k }};
//% endfor
}
