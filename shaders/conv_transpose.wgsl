// Any transposed convolution, by what lands on an output: one invocation computes one element, or one vector of channels,
// of it.
//
// A stride lets every `step`th tap of an axis meet an input, and the inputs under those taps lie `hop` apart.
{% include "lib/index.wgsl" %}
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}
{% set outs = 4 if T == "vec4<f32>" else 1 %}

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
    let {{ axis }}_tap = {{ axis }} / params.{{ axis }}_common % params.{{ axis }}_step * params.{{ axis }}_inverse % params.{{ axis }}_step;
    // A tap in front of the output wraps, and so does every one behind it.
    let {{ axis }}_reach = {{ axis }} - {{ axis }}_tap * params.{{ axis }}_dilation;
    let {{ axis }}_start = {{ axis }}_reach / params.{{ axis }}_stride;
    let {{ axis }}_meets = {{ axis }}_reach <= {{ axis }} && {{ axis }}_start * params.{{ axis }}_stride == {{ axis }}_reach;
    let {{ axis }}_first = select(params.{{ axis }}_size, {{ axis }}_tap, {{ axis }}_meets);
{% endfor %}
    let first = channel / params.outs_per_group * params.per_group;
    let own = channel % params.outs_per_group;
    var sum = T();
    var d = depth_start;
    for (var kd = depth_first; kd < params.depth_size; kd += params.depth_step) {
        let plane = rest * params.depth_input + d;
        let inside_depth = d < params.depth_input;
        d -= params.depth_hop;
        if (!inside_depth) { continue; }
        var h = height_start;
        for (var kh = height_first; kh < params.height_size; kh += params.height_step) {
            let row = (plane * params.height_input + h) * params.width_input;
            let inside_height = h < params.height_input;
            h -= params.height_hop;
            if (!inside_height) { continue; }
            let taps = (kd * params.height_size + kh) * params.width_size;
            var column = width_start;
            for (var kw = width_first; kw < params.width_size; kw += params.width_step) {
                let pixel = (row + column) * params.in_channels + first;
                let inside = column < params.width_input;
                column -= params.width_hop;
                if (!inside) { continue; }
{% for j in range(outs) %}
                let w{{ j }} = (((taps + kw) * params.outs_per_group + own) * {{ outs }}u + {{ j }}u) * params.in_channels + first;
{% endfor %}
                for (var c = 0u; c < params.per_group; c++) {
                    let value = x[pixel + c];
                    sum += T({% for j in range(outs) %}{% if not loop.first %}, {% endif %}
{% if vectors %}dot(value, w[w{{ j }} + c]){% else %}value * w[w{{ j }} + c]{% endif %}
{% endfor %});
                }
            }
        }
    }
    y[i] = finish(sum, i, channel);
}
