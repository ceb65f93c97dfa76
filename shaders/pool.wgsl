// Pooling over up to three axes: one invocation computes one element or vector of the output.
{% from "lib/nan.wgsl" import is_nan %}
{% include "lib/index.wgsl" %}
{% if images %}{% include "lib/texel.wgsl" %}{% endif %}
alias T = {{ T }};
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    var rest = i / params.channels;
    let channel = i - rest * params.channels;
{% for axis in axes|reverse %}
    // Where the window begins; in front of the input the difference wraps, which is beyond its end as well.
    let outside_{{ axis }} = rest / params.{{ axis }}_output;
    let {{ axis }} = (rest - outside_{{ axis }} * params.{{ axis }}_output) * params.{{ axis }}_stride - params.{{ axis }}_before;
    rest = outside_{{ axis }};
{% endfor %}
    var value = T(params.start);
    var inside = 0u;
    for (var kd = 0u; kd < params.depth_size; kd++) {
        let d = depth + kd * params.depth_dilation;
        if (d >= params.depth_input) { continue; }
        for (var kh = 0u; kh < params.height_size; kh++) {
            let h = height + kh * params.height_dilation;
            if (h >= params.height_input) { continue; }
            let row = ((rest * params.depth_input + d) * params.height_input + h) * params.width_input;
            for (var kw = 0u; kw < params.width_size; kw += {{ unroll }}u) {
{% for tap in range(unroll) %}
                {
                    let w = width + (kw + {{ tap }}u) * params.width_dilation;
                    if (w < params.width_input{% if tap > 0 %} && kw + {{ tap }}u < params.width_size{% endif %}) {
                        let sample = {% if images %}textureLoad(x, texel((row + w) * params.channels + channel)){% else %}x[(row + w) * params.channels + channel]{% endif %};
{% if kind == "max" %}
                        value = select(sample, value, (value >= sample) | ({{ is_nan("value", T) }}));
{% else %}
                        value += sample;
                        inside++;
{% endif %}
                    }
                }
{% endfor %}
            }
        }
    }
{% if kind == "max" %}
    y[i] = value;
{% elif kind == "padded average" %}
    y[i] = value / f32(params.depth_size * params.height_size * params.width_size);
{% else %}
    y[i] = value / f32(inside);
{% endif %}
}
