// The gradient of a pool: one invocation collects, for one element or vector of the input, what all windows that cover it
// pass on.
{% include "lib/index.wgsl" %}
alias T = {{ T }};
{% if kind == "average" %}
{% for axis in axes %}
// Taps of the window of output `o` that lie inside the input.
fn {{ axis }}_inside(o: u32) -> u32 {
    var inside = 0u;
    for (var k = 0u; k < params.{{ axis }}_size; k++) {
        let position = o * params.{{ axis }}_stride + k * params.{{ axis }}_dilation - params.{{ axis }}_before;
        inside += select(0u, 1u, position < params.{{ axis }}_input);
    }
    return inside;
}
{% endfor %}
{% endif %}
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    let channel = i % params.channels;
    var rest = i / params.channels;
{% for axis in axes|reverse %}
    let {{ axis }} = rest % params.{{ axis }}_input + params.{{ axis }}_before;
    rest /= params.{{ axis }}_input;
{% endfor %}
{% if kind == "max" %}
    let own = x[i];
{% endif %}
    var sum = T(0.0);
    for (var kd = 0u; kd < params.depth_size; kd++) {
        let d = depth - kd * params.depth_dilation;
        let od = d / params.depth_stride;
        if (kd * params.depth_dilation > depth || d % params.depth_stride != 0u || od >= params.depth_output) { continue; }
        for (var kh = 0u; kh < params.height_size; kh++) {
            let h = height - kh * params.height_dilation;
            let oh = h / params.height_stride;
            if (kh * params.height_dilation > height || h % params.height_stride != 0u || oh >= params.height_output) { continue; }
            for (var kw = 0u; kw < params.width_size; kw++) {
                let w = width - kw * params.width_dilation;
                let ow = w / params.width_stride;
                if (kw * params.width_dilation > width || w % params.width_stride != 0u || ow >= params.width_output) { continue; }
                let output = (((rest * params.depth_output + od) * params.height_output + oh) * params.width_output + ow)
                    * params.channels + channel;
{% if kind == "max" %}
                let largest = y[output];
                var chosen = own == largest;
                // An earlier tap with the same value takes the gradient.
                let taps = (kd * params.height_size + kh) * params.width_size + kw;
                for (var tap = 0u; tap < taps; tap++) {
                    let ed = d + tap / params.width_size / params.height_size * params.depth_dilation - params.depth_before;
                    let eh = h + tap / params.width_size % params.height_size * params.height_dilation - params.height_before;
                    let ew = w + tap % params.width_size * params.width_dilation - params.width_before;
                    if (ed < params.depth_input && eh < params.height_input && ew < params.width_input) {
                        let pixel = ((rest * params.depth_input + ed) * params.height_input + eh) * params.width_input + ew;
                        chosen = chosen & (x[pixel * params.channels + channel] != largest);
                    }
                }
                sum += select(T(0.0), dy[output], chosen);
{% elif kind == "average" %}
                sum += dy[output] / f32(depth_inside(od) * height_inside(oh) * width_inside(ow));
{% else %}
                sum += dy[output] / f32(params.depth_size * params.height_size * params.width_size);
{% endif %}
            }
        }
    }
    dx[i] = sum;
}
