// Matrices turned over: a workgroup moves one tile through its memory, so that reads and writes both run along rows.
{% from "lib/axes.wgsl" import offset %}
{% include "lib/index.wgsl" %}
const TILE: u32 = {{ tile }}u;
const ROWS_AT_ONCE: u32 = {{ rows_at_once }}u;
// One column more than is used keeps the columns of a tile in different banks.
const PITCH: u32 = TILE + 1u;
var<workgroup> tile: array<f32, {{ tile * (tile + 1) }}>;
{{ offset("batch_offset", "batch", "batch_strides", rank) }}
@compute @workgroup_size({{ tile }}, {{ rows_at_once }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) local: vec3<u32>) {
    let index = group_index(group, groups);
    if (index >= params.tiles) { return; }
    let first_row = index % params.row_tiles * TILE;
    let first_column = index / params.row_tiles % params.column_tiles * TILE;
    let batch = index / params.row_tiles / params.column_tiles;
    let source = batch_offset(batch);
    for (var step = local.y; step < TILE; step += ROWS_AT_ONCE) {
        let row = first_row + step;
        let column = first_column + local.x;
        if (row < params.rows && column < params.columns) {
            tile[step * PITCH + local.x] = x[source + row * params.row_stride + column];
        }
    }
    workgroupBarrier();
    for (var step = local.y; step < TILE; step += ROWS_AT_ONCE) {
        let row = first_row + local.x;
        let column = first_column + step;
        if (row < params.rows && column < params.columns) {
            y[(batch * params.columns + column) * params.rows + row] = tile[local.x * PITCH + step];
        }
    }
}
