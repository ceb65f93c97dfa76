{# A window over each channel on its own: the body of `depthwise_lane` and `shared_depthwise_lane`.

   A work item is a quad of channels times a tile of outputs; items are numbered quad first, so that the lanes read
   neighbouring texels. Rows and columns of taps are unrolled as far as neighbouring outputs share their loads; the rest
   is looped over. Where the window leaves the input, the load is clamped to it and its result replaced by zero.

   Options: `lanes`, `shared`, `tile` [rows, columns] of outputs, `unroll` [rows, columns] of taps, `stride` [rows,
   columns], and `loops` [depth, rows, columns], which axes of the window are looped over. #}
{% include "lib/lane.wgsl" %}
{% set in_rows = (tile[0] - 1) * stride[0] + unroll[0] %}
{% set in_columns = (tile[1] - 1) * stride[1] + unroll[1] %}
{% set looped = loops[0] or loops[1] or loops[2] %}

@compute @workgroup_size({{ lanes }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group.x * {{ lanes }}u + lane;
    let tile_column = min(item / params.quads, params.tile_columns - 1u);
    let quad = item % params.quads;
    let batch = group.z / params.out_depth;
    let depth = group.z % params.out_depth;
    let row = group.y * {{ tile[0] }}u;
    let column = tile_column * {{ tile[1] }}u;
//% for r in range(tile[0])
//% for c in range(tile[1])
    var sum{{ r }}_{{ c }} = vec4<f32>();
//% endfor
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
    let top = row * {{ stride[0] }}u - params.before_rows{% if loops[1] %} + ky * params.dilation_rows{% endif %};
//% if looped
    let tap = ({% if loops[0] %}kz * params.size_rows{% else %}0u{% endif %} + {% if loops[1] %}ky{% else %}0u{% endif %}) * params.size_columns{% if loops[2] %} + kx{% endif %};
//% endif
//% for ky in range(unroll[0])
//% for kx in range(unroll[1])
{% set t = ky * unroll[1] + kx %}
{% if shared and looped %}
    let w{{ t }} = w[(tap + {{ t }}u) >> 2u][(tap + {{ t }}u) & 3u];
{% elif shared %}
    let w{{ t }} = w[{{ t // 4 }}].{{ "xyzw"[t % 4] }};
{% else %}
    let w{{ t }} = textureLoad(w, texel(({% if looped %}tap + {% endif %}{{ t }}u) * params.quads + quad));
{% endif %}
//% endfor
//% endfor
//% for i in range(in_rows)
    {
        let inside = z < params.in_depth && top + {{ i }}u < params.in_rows;
        let start = (plane + min(top + {{ i }}u, params.in_rows - 1u)) * params.in_columns * params.quads;
//% for j in range(in_columns)
        let v{{ j }} = select(vec4<f32>(), textureLoad(x, texel(start + x{{ j }})), inside && inside{{ j }});
//% endfor
//% for r in range(tile[0])
{% set ky = i - r * stride[0] %}
{% if ky >= 0 and ky < unroll[0] %}
//% for c in range(tile[1])
//% for kx in range(unroll[1])
        sum{{ r }}_{{ c }} += w{{ ky * unroll[1] + kx }} * v{{ c * stride[1] + kx }};
//% endfor
//% endfor
{% endif %}
//% endfor
    }
//% endfor
    }
    }
    }
    let live = item < params.quads * params.tile_columns;
    let bias_value = bias_of(quad);
//% for r in range(tile[0])
//% for c in range(tile[1])
    {
        let out_row = row + {{ r }}u;
        let out_column = column + {{ c }}u;
        let pixel = (group.z * params.out_rows + min(out_row, params.out_rows - 1u)) * params.out_columns
            + min(out_column, params.out_columns - 1u);
        let value = finish(sum{{ r }}_{{ c }}, bias_value, pixel * params.quads + quad);
        if (live && out_row < params.out_rows && out_column < params.out_columns) {
            y[pixel * params.quads + quad] = value;
        }
    }
//% endfor
//% endfor
}
