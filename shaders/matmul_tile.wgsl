// Batched matrix product by tiles: a workgroup computes one tile of the output from tiles of both operands that it keeps
// in its memory; one invocation computes `per` x `per` elements that lie `side` apart.
{% from "lib/axes.wgsl" import offset %}
{% include "lib/index.wgsl" %}
const SIDE: u32 = {{ side }}u;
const TILE: u32 = {{ tile }}u;
const TERMS: u32 = {{ terms }}u;
var<workgroup> a_tile: array<f32, {{ terms * tile }}>;
var<workgroup> b_tile: array<f32, {{ terms * tile }}>;
{{ offset("a_matrix", "batch", "a_batch", rank) }}
{{ offset("b_matrix", "batch", "b_batch", rank) }}
@compute @workgroup_size({{ side }}, {{ side }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let index = group_index(group, groups);
    if (index >= params.tiles) { return; }
    let first_column = index % params.column_tiles * TILE;
    let first_row = index / params.column_tiles % params.row_tiles * TILE;
    let matrix = index / params.column_tiles / params.row_tiles;
    let a_start = a_matrix(matrix);
    let b_start = b_matrix(matrix);
{% for row in range(per) %}
{% for column in range(per) %}
    var sum_{{ row }}_{{ column }} = 0.0;
{% endfor %}
{% endfor %}
    for (var first = 0u; first < params.k; first += TERMS) {
        for (var i = invocation; i < TERMS * TILE; i += SIDE * SIDE) {
            // Neighbouring invocations read neighbouring elements, whichever way the operand lies.
            let a_term = {% if transpose_a %}i / TILE{% else %}i % TERMS{% endif %};
            let a_row = {% if transpose_a %}i % TILE{% else %}i / TERMS{% endif %};
            let b_term = {% if transpose_b %}i % TERMS{% else %}i / TILE{% endif %};
            let b_column = {% if transpose_b %}i / TERMS{% else %}i % TILE{% endif %};
            var a_value = 0.0;
            if (first + a_term < params.k && first_row + a_row < params.m) {
                a_value = a[a_start + (first_row + a_row) * params.a_row + (first + a_term) * params.a_k];
            }
            var b_value = 0.0;
            if (first + b_term < params.k && first_column + b_column < params.n) {
                b_value = b[b_start + (first + b_term) * params.b_k + (first_column + b_column) * params.b_column];
            }
            a_tile[a_term * TILE + a_row] = a_value;
            b_tile[b_term * TILE + b_column] = b_value;
        }
        workgroupBarrier();
        // Terms beyond the last one are zero on both sides.
        for (var term = 0u; term < TERMS; term += {{ unroll }}u) {
{% for turn in range(unroll) %}
            {
{% for step in range(per) %}
                let a_{{ step }} = a_tile[(term + {{ turn }}u) * TILE + local.y + {{ step * side }}u];
                let b_{{ step }} = b_tile[(term + {{ turn }}u) * TILE + local.x + {{ step * side }}u];
{% endfor %}
{% for row in range(per) %}
{% for column in range(per) %}
                sum_{{ row }}_{{ column }} += a_{{ row }} * b_{{ column }};
{% endfor %}
{% endfor %}
            }
{% endfor %}
        }
        workgroupBarrier();
    }
{% for row in range(per) %}
    let row_{{ row }} = first_row + local.y + {{ row * side }}u;
    if (row_{{ row }} < params.m) {
        let at = (matrix * params.m + row_{{ row }}) * params.n + first_column + local.x;
{% for column in range(per) %}
        if (first_column + local.x + {{ column * side }}u < params.n) { y[at + {{ column * side }}u] = sum_{{ row }}_{{ column }}; }
{% endfor %}
    }
{% endfor %}
}
