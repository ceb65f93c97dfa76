// Any transposed convolution, by what lands on an output: one invocation computes one element of it.
{% include "lib/index.wgsl" %}
{% include "lib/activation.wgsl" %}
alias T = f32;
{% include "lib/epilogue.wgsl" %}

@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    let channel = i % params.out_channels;
    var rest = i / params.out_channels;
{% for axis in axes|reverse %}
    let {{ axis }} = rest % params.{{ axis }}_output + params.{{ axis }}_before;
    rest /= params.{{ axis }}_output;
{% endfor %}
    let first = channel / params.outs_per_group * params.per_group;
    let own = channel % params.outs_per_group;
    var sum = 0.0;
    for (var kd = 0u; kd < params.depth_size; kd++) {
        // A tap in front of the output wraps, which is no multiple of the stride that lies inside the input.
        let d_reach = depth - kd * params.depth_dilation;
        let d = d_reach / params.depth_stride;
        if (d_reach > depth || d * params.depth_stride != d_reach || d >= params.depth_input) { continue; }
        for (var kh = 0u; kh < params.height_size; kh++) {
            let h_reach = height - kh * params.height_dilation;
            let h = h_reach / params.height_stride;
            if (h_reach > height || h * params.height_stride != h_reach || h >= params.height_input) { continue; }
            let row = ((rest * params.depth_input + d) * params.height_input + h) * params.width_input;
            let taps = (kd * params.height_size + kh) * params.width_size;
            for (var kw = 0u; kw < params.width_size; kw++) {
                let w_reach = width - kw * params.width_dilation;
                let w_in = w_reach / params.width_stride;
                if (w_reach > width || w_in * params.width_stride != w_reach || w_in >= params.width_input) { continue; }
                let pixel = (row + w_in) * params.in_channels + first;
                let weights = ((taps + kw) * params.outs_per_group + own) * params.in_channels + first;
{% if vectors %}
                for (var c = 0u; c < params.per_group; c += 4u) {
                    sum += dot(x[(pixel + c) / 4u], w[(weights + c) / 4u]);
                }
{% else %}
                for (var c = 0u; c < params.per_group; c++) {
                    sum += x[pixel + c] * w[weights + c];
                }
{% endif %}
            }
        }
    }
    y[i] = finish(sum, i, channel);
}
