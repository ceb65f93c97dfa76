// The gradient of a convolution's weights: a team sums, over all output pixels, the products of what one tap read with the
// gradient of what it wrote.
{% from "lib/team.wgsl" import each_element, team_function %}
{% include "lib/index.wgsl" %}
{% include "lib/team.wgsl" %}
alias T = {{ T }};
{{ team_function("team_sum", "a + b", T, lanes, steps, spread) }}
{% if images %}{% include "lib/texel.wgsl" %}{% endif %}
{% macro load(name, index, vector) %}
{% if images %}textureLoad({{ name }}, texel({{ index }})){% if not vector %}.x{% endif %}{% else %}{{ name }}[{{ index }}]{% endif %}
{% endmacro %}
{% set x_vector = tile == "square" or tile == "depthwise" %}
{% set y_vector = tile != "single" %}
fn products(x_index: u32, y_index: u32) -> T {
    let own = {{ load("x", "x_index", x_vector) }};
    let gradient = {{ load("dy", "y_index", y_vector) }};
{% if tile == "square" %}
    return T(gradient * own.x, gradient * own.y, gradient * own.z, gradient * own.w);
{% else %}
    return own * gradient;
{% endif %}
}

@compute @workgroup_size({{ threads }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let line = team_line(group, groups, local);
    let lane = team_lane(local);
    // Surplus teams have nothing to read but meet the others at their barriers.
    let rows = select(0u, params.rows, line < params.lines);
{% if tile == "depthwise" %}
    let y_channel = line % params.y_channels;
    let x_channel = y_channel;
    let tap = line / params.y_channels;
{% elif tile == "square" or tile == "row" %}
    let y_channel = line % params.y_channels;
    let x_channel = line / params.y_channels % params.x_channels;
    let tap = line / params.y_channels / params.x_channels;
{% else %}
    let y_channel = line % params.y_channels;
    let own_channel = line / params.y_channels % params.x_per_group;
    let x_channel = y_channel / params.y_per_group * params.x_per_group + own_channel;
    let tap = line / params.y_channels / params.x_per_group;
{% endif %}
    var value = T();
{% if plain %}
{% call each_element("rows", unroll) %}
        value += products(i * params.x_channels + x_channel, i * params.y_channels + y_channel);
{% endcall %}
{% else %}
    // Where the tap reads for the first output of each axis; in front of the input the number wraps.
    let width = tap % params.width_size * params.width_dilation - params.width_before;
    let height = tap / params.width_size % params.height_size * params.height_dilation - params.height_before;
    let depth = tap / params.width_size / params.height_size * params.depth_dilation - params.depth_before;
    // The outputs of a row for which the tap reads inside the input.
    let lead = select(0u, 0u - width, bitcast<i32>(width) < 0);
    let first = (lead + params.width_stride - 1u) / params.width_stride;
    let room = bitcast<i32>(params.width_input - width);
    let beyond = select(0u, (u32(room) + params.width_stride - 1u) / params.width_stride, room > 0);
    let end = min(beyond, params.pixels);
{% call each_element("rows", unroll) %}
        let h = i % params.height_output * params.height_stride + height;
        let outer = i / params.height_output;
        let d = outer % params.depth_output * params.depth_stride + depth;
        if (h < params.height_input && d < params.depth_input) {
            let image = outer / params.depth_output;
            let row = ((image * params.depth_input + d) * params.height_input + h) * params.width_input + width;
            var x_index = (row + first * params.width_stride) * params.x_channels + x_channel;
            var y_index = (i * params.pixels + first) * params.y_channels + y_channel;
            for (var pixel = first; pixel < end; pixel++) {
                value += products(x_index, y_index);
                x_index += params.width_stride * params.x_channels;
                y_index += params.y_channels;
            }
        }
{% endcall %}
{% endif %}
    value = team_sum(local, value);
    if (lane == 0u && line < params.lines) {
{% if tile == "square" %}
        for (var part = 0u; part < 4u; part++) {
            dw[(tap * params.w_channels + x_channel * 4u + part) * params.y_channels + y_channel] = value[part];
        }
{% else %}
        dw[line] = value;
{% endif %}
    }
}
