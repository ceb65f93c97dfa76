// The gradient of a filter for each channel: an invocation walks down a column of tiles of dy, and keeps the sums of a group
// of taps for four channels.
//
// A tile of dy is loaded once, and each row of x under it once for all taps that read it. Where the window leaves the input,
// loads are clamped and replaced by zero. The last tile of a row or a column is moved back to lie inside, and what it shares
// with its neighbour is counted as zero.
{% if images %}{% include "lib/texel.wgsl" %}{% endif %}
{% macro load(name, index) %}{% if images %}textureLoad({{ name }}, texel({{ index }})){% else %}{{ name }}[{{ index }}]{% endif %}{% endmacro %}
{% set in_rows = (tile[0] - 1) * stride[0] + unroll[0] %}
{% set in_columns = (tile[1] - 1) * stride[1] + unroll[1] %}

@compute @workgroup_size({{ threads }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let item = group.x * {{ threads }}u + local;
    let quad = item % params.quads;
    let tile_column = min(item / params.quads, params.tile_columns - 1u);
    let column = min(tile_column * {{ tile[1] }}u, params.out_columns - {{ tile[1] }}u);
    let kx = group.y % params.column_groups * {{ unroll[1] }}u;
    let ky = group.y / params.column_groups % params.row_groups * {{ unroll[0] }}u;
    let kz = group.y / params.column_groups / params.row_groups;
    let left = column * {{ stride[1] }}u + kx * params.dilation_columns - params.before_columns;
//% for j in range(in_columns)
    let inside{{ j }} = left + {{ j }}u < params.in_columns;
    let x{{ j }} = min(left + {{ j }}u, params.in_columns - 1u) * params.quads + quad;
//% endfor
{% if tails[1] %}
//% for c in range(tile[1])
    let own{{ c }} = column + {{ c }}u >= tile_column * {{ tile[1] }}u;
//% endfor
{% endif %}
//% for ty in range(unroll[0])
//% for tx in range(unroll[1])
    var sum{{ ty }}_{{ tx }} = vec4<f32>();
//% endfor
//% endfor
    let end = min((group.z + 1u) * params.lines_per_slice, params.lines);
    for (var line = group.z * params.lines_per_slice; line < end; line++) {
        let plane = line / params.tile_rows;
        let first_row = line % params.tile_rows * {{ tile[0] }}u;
        let row = min(first_row, params.out_rows - {{ tile[0] }}u);
        let z = plane % params.out_depth * params.stride_depth + kz * params.dilation_depth - params.before_depth;
        let top = row * {{ stride[0] }}u + ky * params.dilation_rows - params.before_rows;
        let in_plane = (plane / params.out_depth * params.in_depth + min(z, params.in_depth - 1u)) * params.in_rows;
        let y = ((plane * params.out_rows + row) * params.out_columns + column) * params.quads + quad;
//% for r in range(tile[0])
//% for c in range(tile[1])
{% set value = load("dy", "y + (" ~ r ~ "u * params.out_columns + " ~ c ~ "u) * params.quads") %}
{% set own = (["row + " ~ r ~ "u >= first_row"] if tails[0] else []) + (["own" ~ c] if tails[1] else []) %}
        let g{{ r }}_{{ c }} = {% if own %}select(vec4<f32>(), {{ value }}, {{ own|join(" && ") }}){% else %}{{ value }}{% endif %};
//% endfor
//% endfor
//% for i in range(in_rows)
        {
            let inside = z < params.in_depth && top + {{ i }}u < params.in_rows;
            let start = (in_plane + min(top + {{ i }}u, params.in_rows - 1u)) * params.in_columns * params.quads;
//% for j in range(in_columns)
            let v{{ j }} = select(vec4<f32>(), {{ load("x", "start + x" ~ j) }}, inside && inside{{ j }});
//% endfor
//% for r in range(tile[0])
{% set ty = i - r * stride[0] %}
{% if ty >= 0 and ty < unroll[0] %}
//% for tx in range(unroll[1])
//% for c in range(tile[1])
            sum{{ ty }}_{{ tx }} += v{{ c * stride[1] + tx }} * g{{ r }}_{{ c }};
//% endfor
//% endfor
{% endif %}
//% endfor
        }
//% endfor
    }
    if (item < params.quads * params.tile_columns) {
        let part = (group.z * params.tile_columns + tile_column) * params.taps;
//% for ty in range(unroll[0])
//% for tx in range(unroll[1])
{% if spare_taps %}        if (ky + {{ ty }}u < params.size_rows) {% endif %}{
            let tap = (kz * params.size_rows + ky + {{ ty }}u) * params.size_columns + kx + {{ tx }}u;
            dw[(part + tap) * params.quads + quad] = sum{{ ty }}_{{ tx }};
        }
//% endfor
//% endfor
    }
}
