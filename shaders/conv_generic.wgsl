// Any convolution: one invocation computes one element, or one vector of channels, of the output.
{% include "lib/index.wgsl" %}
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}

@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    let channel = i % params.out_channels;
    var rest = i / params.out_channels;
{% for axis in axes|reverse %}
    // Where the window begins; in front of the input the difference wraps, which is beyond its end as well.
    let {{ axis }} = rest % params.{{ axis }}_output * params.{{ axis }}_stride - params.{{ axis }}_before;
    rest /= params.{{ axis }}_output;
{% endfor %}
{% if form == "group" %}
    let first = channel / params.outs_per_group * params.per_group;
{% endif %}
    var sum = T();
    for (var kd = 0u; kd < params.depth_size; kd++) {
        let d = depth + kd * params.depth_dilation;
        if (d >= params.depth_input) { continue; }
        for (var kh = 0u; kh < params.height_size; kh++) {
            let h = height + kh * params.height_dilation;
            if (h >= params.height_input) { continue; }
            let row = ((rest * params.depth_input + d) * params.height_input + h) * params.width_input;
            let taps = (kd * params.height_size + kh) * params.width_size;
            for (var kw = 0u; kw < params.width_size; kw++) {
                let w_in = width + kw * params.width_dilation;
                if (w_in >= params.width_input) { continue; }
                let pixel = (row + w_in) * params.in_channels;
                let tap = taps + kw;
{% if form == "shared" %}
                sum += x[pixel + channel] * w[tap];
{% elif form == "channel" %}
                sum += x[pixel + channel] * w[tap * params.out_channels + channel];
{% else %}
                let weights = tap * params.per_group;
                for (var c = 0u; c < params.per_group; c += {{ unroll }}u) {
{% for k in range(unroll) %}
{% if k == 0 %}
                    sum += x[pixel + first + c] * w[(weights + c) * params.out_channels + channel];
{% else %}
                    if (c + {{ k }}u < params.per_group) {
                        sum += x[pixel + first + c + {{ k }}u] * w[(weights + c + {{ k }}u) * params.out_channels + channel];
                    }
{% endif %}
{% endfor %}
                }
{% endif %}
            }
        }
    }
    y[i] = finish(sum, i, channel);
}
