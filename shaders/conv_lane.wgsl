// A convolution on a processor's vector lanes: each lane owns a strip of neighbouring outputs of one row, and all lanes
// share one block of w, as in `pointwise_lane`.
//
// The taps of a row are unrolled where neighbouring outputs share their inputs; the other taps are looped over. Where
// the window leaves the input, the load is clamped to it and its result replaced by zero.
{% include "lib/lane.wgsl" %}
{% import "lib/tile_lane.wgsl" as tile %}
{% set columns = (pixels - 1) * stride + taps %}
{# Channels that do not divide by four: the `count` scalars from the scalar `start` of x on, `<name>0` and so on. They begin
   anywhere in a texel, differently in each lane: the texels are shifted by two and by one scalar where the lane needs it. #}
{% macro scalars(name, start, count) %}
        let {{ name }}start = i32({{ start }});
        let {{ name }}two = ({{ name }}start & 2) != 0;
        let {{ name }}one = ({{ name }}start & 1) != 0;
//% for t in range((count + 6) // 4)
        let {{ name }}t{{ t }} = textureLoad(x, texel(u32(clamp(({{ name }}start >> 2u) + {{ t }}, 0, i32(params.in_texels) - 1))));
//% endfor
//% for i in range(count + 1)
        let {{ name }}h{{ i }} = select({{ name }}t{{ i // 4 }}.{{ "xyzw"[i % 4] }}, {{ name }}t{{ (i + 2) // 4 }}.{{ "xyzw"[(i + 2) % 4] }}, {{ name }}two);
//% endfor
//% for i in range(count)
        let {{ name }}{{ i }} = select({{ name }}h{{ i }}, {{ name }}h{{ i + 1 }}, {{ name }}one);
//% endfor
{% endmacro %}

@compute @workgroup_size({{ lanes }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_invocation_id) lane: u32) {
    let work = group.y * groups.x + group.x;
    let first_quad = work % params.out_tiles * {{ out_quads }}u;
    let unclamped = work / params.out_tiles * {{ lanes }}u + lane;
    let strip = min(unclamped, params.strips - 1u);
    let out_line = strip / params.strips_per_row;
    let first_column = (strip - out_line * params.strips_per_row) * {{ pixels }}u;
    let out_plane = out_line / params.out_rows;
    let out_row = out_line - out_plane * params.out_rows;
    let batch = out_plane / params.out_depth;
    let depth = out_plane - batch * params.out_depth;
//% for p in range(pixels)
    let live{{ p }} = unclamped < params.strips && first_column + {{ p }}u < params.out_columns;
    let pixel{{ p }} = out_line * params.out_columns + min(first_column + {{ p }}u, params.out_columns - 1u);
//% endfor
{{ tile.places(taps, channels, out_quads, lanes) }}
{{ tile.sums(pixels, out_quads) }}
    {% if loops.columns %}for (var kx = 0u; kx < params.size_columns; kx += {{ taps }}u) {% endif %}{
    let left = first_column * {{ stride }}u - params.before_columns{% if loops.columns %} + kx * params.dilation_columns{% endif %};
//% for i in range(columns)
    let inside{{ i }} = left + {{ i }}u < params.in_columns;
{% if not scalar %}
    let x{{ i }} = min(left + {{ i }}u, params.in_columns - 1u) * (params.in_channels >> 2u);
{% endif %}
//% endfor
    {% if loops.depth %}for (var kz = 0u; kz < params.size_depth; kz++) {% endif %}{
    let z = depth * params.stride_depth - params.before_depth{% if loops.depth %} + kz * params.dilation_depth{% endif %};
    let plane = (batch * params.in_depth + min(z, params.in_depth - 1u)) * params.in_rows;
    {% if loops.rows %}for (var ky = 0u; ky < params.size_rows; ky++) {% endif %}{
    let line = out_row * params.stride_rows - params.before_rows{% if loops.rows %} + ky * params.dilation_rows{% endif %};
    let start = (plane + min(line, params.in_rows - 1u)) * params.in_columns;
    let inside = z < params.in_depth && line < params.in_rows;
    let tap_row = {% if loops.depth %}kz * params.size_rows{% else %}0u{% endif %}{% if loops.rows %} + ky{% endif %};
    let first_row = (tap_row * params.size_columns{% if loops.columns %} + kx{% endif %}) * params.in_channels;
//% for i in range(columns)
{% if not scalar %}
    let start{{ i }} = start * (params.in_channels >> 2u) + x{{ i }};
{% endif %}
    let whole{{ i }} = inside && inside{{ i }};
//% endfor
    {% if loops.channels %}for (var k = 0u; k < params.in_channels; k += {{ channels }}u) {% endif %}{
{% if joined %}
{{ scalars("s", "(start + left) * params.in_channels", columns * channels) }}
{% endif %}
//% for i in range(columns)
{% if scalar and not joined %}
{{ scalars("s" ~ i ~ "_", "(start + left + " ~ i ~ "u) * params.in_channels" ~ (" + k" if loops.channels else ""), channels) }}
{% endif %}
//% for c in range(channels if scalar else channels // 4)
{% if joined %}
        let a{{ i }}_{{ c }} = select(0.0, s{{ i * channels + c }}, whole{{ i }});
{% elif scalar %}
        let a{{ i }}_{{ c }} = select(0.0, s{{ i }}_{{ c }}, whole{{ i }});
{% else %}
        let a{{ i }}_{{ c }} = select(vec4<f32>(), textureLoad(x, texel(start{{ i }}{% if loops.channels %} + (k >> 2u){% endif %} + {{ c }}u)), whole{{ i }});
{% endif %}
//% endfor
//% endfor
        let row = (first_row{% if loops.channels %} + k{% endif %}) * params.out_quads;
{{ tile.multiply("row", pixels, stride, taps, channels, out_quads, lanes, scalar) }}
    }
    }
    }
    }
{{ tile.store(pixels, out_quads) }}
}
