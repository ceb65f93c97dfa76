{# A window over each channel on its own, row by row: the body of `depthwise_lane` and `shared_depthwise_lane` for windows of
   several dense rows.

   A work item is a quad of channels times a strip of columns; items are numbered quad first, so that the lanes read neighbouring
   texels. A strip goes down the rows and loads each row of the input once: what the row adds to the outputs under which it lies is
   carried on. Where the window leaves the input, the load is clamped to it and its result replaced by zero.

   Options: `lanes`, `shared`, `columns` of outputs, `size` and `stride` [rows, columns] of the window. #}
{% include "lib/lane.wgsl" %}
{% set in_columns = (columns - 1) * stride[1] + size[1] %}
{# Rows of the output that a row of the input can lie under. #}
{% set open = (size[0] + stride[0] - 1) // stride[0] %}
{% set taps = size[0] * size[1] %}

@compute @workgroup_size({{ lanes }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group.x * {{ lanes }}u + lane;
    let tile_column = min(item / params.quads, params.tile_columns - 1u);
    let quad = item % params.quads;
    let row = group.y * params.tile_rows;
    let column = tile_column * {{ columns }}u;
    let left = column * {{ stride[1] }}u - params.before_columns;
//% for i in range(in_columns)
    let inside{{ i }} = left + {{ i }}u < params.in_columns;
    let x{{ i }} = min(left + {{ i }}u, params.in_columns - 1u) * params.quads + quad;
//% endfor
//% for t in range(taps)
{% if shared %}
    let w{{ t }} = w[{{ t // 4 }}].{{ "xyzw"[t % 4] }};
{% else %}
    let w{{ t }} = textureLoad(w, texel({{ t }}u * params.quads + quad));
{% endif %}
//% endfor
    let bias_value = bias_of(quad);
    let live = item < params.quads * params.tile_columns;
//% for d in range(1, open)
//% for c in range(columns)
    var sum{{ d }}_{{ c }} = vec4<f32>();
//% endfor
//% endfor
    let plane = group.z * params.in_rows;
    for (var i = 0u; i < params.tile_rows + {{ open - 1 }}u; i++) {
        let top = (row + i) * {{ stride[0] }}u - params.before_rows;
//% for c in range(columns)
        var sum0_{{ c }} = vec4<f32>();
//% endfor
//% for j in range(stride[0])
        {
            let inside = top + {{ j }}u < params.in_rows;
            let start = (plane + min(top + {{ j }}u, params.in_rows - 1u)) * params.in_columns * params.quads;
//% for n in range(in_columns)
            let v{{ n }} = select(vec4<f32>(), textureLoad(x, texel(start + x{{ n }})), inside && inside{{ n }});
//% endfor
//% for d in range(open)
{% set ky = d * stride[0] + j %}
{% if ky < size[0] %}
//% for c in range(columns)
//% for kx in range(size[1])
            sum{{ d }}_{{ c }} += w{{ ky * size[1] + kx }} * v{{ c * stride[1] + kx }};
//% endfor
//% endfor
{% endif %}
//% endfor
        }
//% endfor
        let out_row = row + i - {{ open - 1 }}u;
        let done = live && i >= {{ open - 1 }}u && out_row < params.out_rows;
        let line = (group.z * params.out_rows + min(out_row, params.out_rows - 1u)) * params.out_columns;
//% for c in range(columns)
        {
            let index = (line + min(column + {{ c }}u, params.out_columns - 1u)) * params.quads + quad;
            let value = finish(sum{{ open - 1 }}_{{ c }}, bias_value, index);
            if (done && column + {{ c }}u < params.out_columns) {
                y[index] = value;
            }
        }
//% endfor
//% for d in range(open - 1, 0, -1)
//% for c in range(columns)
        sum{{ d }}_{{ c }} = sum{{ d - 1 }}_{{ c }};
//% endfor
//% endfor
    }
}
