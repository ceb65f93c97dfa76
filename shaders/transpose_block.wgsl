// Matrices turned over: an invocation moves blocks of 4 by 4 through its registers, where rows of one tensor are columns of the other.
{% from "lib/axes.wgsl" import offset %}
{% from "lib/texel.wgsl" import read %}
{% include "lib/texel.wgsl" %}
{{ offset("batch_offset", "batch", "batch_strides", rank) }}
@compute @workgroup_size({{ lanes }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Lanes side by side write side by side, and each reads a row of blocks.
    let row = (group.x * {{ row_lanes }}u + lane % {{ row_lanes }}u) * 4u;
    let first = (group.y * {{ lanes // row_lanes }}u + lane / {{ row_lanes }}u) * {{ 4 * blocks }}u;
    let source = batch_offset(group.z);
//% for r in range(4)
    let line{{ r }} = source + min(row + {{ r }}u, params.rows - 1u) * params.row_stride;
//% endfor
//% for block in range(blocks)
    {
        let column = first + {{ 4 * block }}u;
//% if read_vectors
        let place = min(column, params.columns - 1u) / 4u;
//% for r in range(4)
        let x{{ r }} = {{ read("x", "line" ~ r ~ " + place", form) }};
//% endfor
//% else
//% for c in range(4)
        let place{{ c }} = min(column + {{ c }}u, params.columns - 1u);
//% endfor
//% for r in range(4)
        let x{{ r }} = vec4<f32>({% for c in range(4) %}{{ read("x", "line" ~ r ~ " + place" ~ c, form) }}{% if c < 3 %}, {% endif %}{% endfor %});
//% endfor
//% endif
//% for c in range(4)
        if (row < params.rows && column + {{ c }}u < params.columns) {
            let target_row = group.z * params.columns + column + {{ c }}u;
//% if write_vectors
            y[(target_row * params.rows + row) / 4u] = vec4<f32>({% for r in range(4) %}x{{ r }}[{{ c }}]{% if r < 3 %}, {% endif %}{% endfor %});
//% else
            let to = target_row * params.rows + row;
//% for r in range(4)
            if (row + {{ r }}u < params.rows) { y[to + {{ r }}u] = x{{ r }}[{{ c }}]; }
//% endfor
//% endif
        }
//% endfor
    }
//% endfor
}
