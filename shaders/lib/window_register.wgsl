{# Windows over each channel on its own: an invocation keeps `rows` x `columns` outputs of four channels, and streams the
   input rows under them through registers, so that each input is loaded once for all outputs under it.

   Reads outside of the input are clamped and masked. `weight(row, column)` is a macro of the caller. #}
{% set in_columns = (columns - 1) * stride_columns + size_columns %}
{% set in_rows = (rows - 1) * stride_rows + size_rows %}
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    let channel = i % params.quads;
    var rest = i / params.quads;
    let first_column = rest % params.column_tiles * {{ columns }}u;
    rest /= params.column_tiles;
    let first_row = rest % params.row_tiles * {{ rows }}u;
    let batch = rest / params.row_tiles;
    // In front of the input these wrap, which is beyond its end as well.
    let left = first_column * {{ stride_columns }}u - params.left;
    let top = first_row * {{ stride_rows }}u - params.top;
{% for r in range(rows) %}
{% for c in range(columns) %}
    var sum{{ r }}_{{ c }} = vec4<f32>();
{% endfor %}
{% endfor %}
{% for c in range(in_columns) %}
    let column{{ c }} = min(left + {{ c }}u, params.in_columns - 1u);
    let inside{{ c }} = left + {{ c }}u < params.in_columns;
{% endfor %}
{% for r in range(in_rows) %}
    {
        let inside = top + {{ r }}u < params.in_rows;
        let row = (batch * params.in_rows + min(top + {{ r }}u, params.in_rows - 1u)) * params.in_columns;
{% for c in range(in_columns) %}
        let a{{ c }} = select(vec4<f32>(), x[(row + column{{ c }}) * params.quads + channel], inside && inside{{ c }});
{% endfor %}
{% for o in range(rows) %}
{% set tap = r - o * stride_rows %}
{% if tap >= 0 and tap < size_rows %}
{% for k in range(size_columns) %}
{% for c in range(columns) %}
        sum{{ o }}_{{ c }} += a{{ c * stride_columns + k }} * {{ weight(tap, k) }};
{% endfor %}
{% endfor %}
{% endif %}
{% endfor %}
    }
{% endfor %}
{% for r in range(rows) %}
    if (first_row + {{ r }}u < params.out_rows) {
        let at = (batch * params.out_rows + first_row + {{ r }}u) * params.out_columns;
{% for c in range(columns) %}
        if (first_column + {{ c }}u < params.out_columns) {
            let o = (at + first_column + {{ c }}u) * params.quads + channel;
            y[o] = finish(sum{{ r }}_{{ c }}, o, channel);
        }
{% endfor %}
    }
{% endfor %}
}
