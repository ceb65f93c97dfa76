// Resampling by whole factors: one invocation computes one element or vector of the output.
{% include "lib/index.wgsl" %}
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    var rest = i;
    var at = 0u;
    var stride = 1u;
{% for axis in range(rank)|reverse %}
    let size{{ axis }} = params.sizes{{ axis }};
    let factor{{ axis }} = params.factors{{ axis }};
    let index{{ axis }} = rest % (size{{ axis }} * factor{{ axis }});
    rest /= size{{ axis }} * factor{{ axis }};
{% if axis in between %}
    // Half-pixel centres, counted in halves of an output element so that the arithmetic is exact.
    let centre{{ axis }} = max(2u * index{{ axis }} + 1u, factor{{ axis }}) - factor{{ axis }};
    let low{{ axis }} = min(centre{{ axis }} / (2u * factor{{ axis }}), size{{ axis }} - 1u);
    let share{{ axis }} = f32(centre{{ axis }} - low{{ axis }} * 2u * factor{{ axis }}) / f32(2u * factor{{ axis }});
    let next{{ axis }} = select(0u, stride, low{{ axis }} + 1u < size{{ axis }});
    at += low{{ axis }} * stride;
{% else %}
    at += index{{ axis }} / factor{{ axis }} * stride;
{% endif %}
    stride *= size{{ axis }};
{% endfor %}
{% if between|length == 0 %}
    y[i] = x[at];
{% else %}
    var sum = {{ T }}(0.0);
    for (var corner = 0u; corner < {{ corners }}u; corner++) {
        var share = 1.0;
        var offset = at;
{% for axis in between %}
        let high{{ axis }} = (corner >> {{ loop.index0 }}u & 1u) == 1u;
        share *= select(1.0 - share{{ axis }}, share{{ axis }}, high{{ axis }});
        offset += select(0u, next{{ axis }}, high{{ axis }});
{% endfor %}
        // An infinity next to a sampled element must not become NaN.
        if (share > 0.0) { sum += share * x[offset]; }
    }
    y[i] = sum;
{% endif %}
}
