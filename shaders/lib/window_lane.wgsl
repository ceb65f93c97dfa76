{# A window over each channel on its own, one row of outputs at a time: the body of `depthwise_lane` and `shared_depthwise_lane` for
   windows of one row, with depth, or with gaps (`lib/window_strip.wgsl` has the others).

   A work item is a quad of channels times a few neighbouring outputs; items are numbered quad first, so that the lanes read
   neighbouring texels. A row of taps is unrolled where neighbouring outputs share their loads; the rest is looped over. Where the
   window leaves the input, the load is clamped to it and its result replaced by zero.

   Options: `lanes`, `shared`, `columns` of outputs, `unroll` of taps in a row, `stride` [rows, columns], and `loops` [depth,
   rows, columns], which axes of the window are looped over. #}
{% include "lib/lane.wgsl" %}
{% set in_columns = (columns - 1) * stride[1] + unroll %}
{% set looped = loops[0] or loops[1] or loops[2] %}

@compute @workgroup_size({{ lanes }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group.x * {{ lanes }}u + lane;
    let tile_column = min(item / params.quads, params.tile_columns - 1u);
    let quad = item % params.quads;
    let batch = group.z / params.out_depth;
    let depth = group.z % params.out_depth;
    let column = tile_column * {{ columns }}u;
//% for c in range(columns)
    var sum{{ c }} = vec4<f32>();
//% endfor
    {% if loops[2] %}for (var kx = 0u; kx < params.size_columns; kx++) {% endif %}{
    let left = column * {{ stride[1] }}u - params.before_columns{% if loops[2] %} + kx * params.dilation_columns{% endif %};
//% for i in range(in_columns)
    let inside{{ i }} = left + {{ i }}u < params.in_columns;
    let x{{ i }} = min(left + {{ i }}u, params.in_columns - 1u) * params.quads + quad;
//% endfor
    {% if loops[0] %}for (var kz = 0u; kz < params.size_depth; kz++) {% endif %}{
    let z = depth * params.stride_depth - params.before_depth{% if loops[0] %} + kz * params.dilation_depth{% endif %};
    let plane = (batch * params.in_depth + min(z, params.in_depth - 1u)) * params.in_rows;
    {% if loops[1] %}for (var ky = 0u; ky < params.size_rows; ky++) {% endif %}{
    let top = group.y * {{ stride[0] }}u - params.before_rows{% if loops[1] %} + ky * params.dilation_rows{% endif %};
//% if looped
    let tap = ({% if loops[0] %}kz * params.size_rows{% else %}0u{% endif %} + {% if loops[1] %}ky{% else %}0u{% endif %}) * params.size_columns{% if loops[2] %} + kx{% endif %};
//% endif
//% for t in range(unroll)
{% if shared and looped %}
    let w{{ t }} = w[(tap + {{ t }}u) >> 2u][(tap + {{ t }}u) & 3u];
{% elif shared %}
    let w{{ t }} = w[{{ t // 4 }}].{{ "xyzw"[t % 4] }};
{% else %}
    let w{{ t }} = textureLoad(w, texel(({% if looped %}tap + {% endif %}{{ t }}u) * params.quads + quad));
{% endif %}
//% endfor
    let inside = z < params.in_depth && top < params.in_rows;
    let start = (plane + min(top, params.in_rows - 1u)) * params.in_columns * params.quads;
//% for j in range(in_columns)
    let v{{ j }} = select(vec4<f32>(), textureLoad(x, texel(start + x{{ j }})), inside && inside{{ j }});
//% endfor
//% for c in range(columns)
//% for kx in range(unroll)
    sum{{ c }} += w{{ kx }} * v{{ c * stride[1] + kx }};
//% endfor
//% endfor
    }
    }
    }
    let live = item < params.quads * params.tile_columns;
    let bias_value = bias_of(quad);
    let line = (group.z * params.out_rows + group.y) * params.out_columns;
//% for c in range(columns)
    {
        let index = (line + min(column + {{ c }}u, params.out_columns - 1u)) * params.quads + quad;
        let value = finish(sum{{ c }}, bias_value, index);
        if (live && column + {{ c }}u < params.out_columns) {
            y[index] = value;
        }
    }
//% endfor
}
