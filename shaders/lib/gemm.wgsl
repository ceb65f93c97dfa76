{# A tiled matrix product: rows by `load_x(row, k)`, columns by `load_w(k, column)`, four values each, summed over `k`.

   Every invocation owns 4 x 4 sums; `side` x `side` invocations share tiles of 4 * side rows and columns in workgroup
   memory. What lies outside of the matrices is loaded as zeros, and not stored. #}
{% set tile = 4 * side %}
{% set loads = (tile * depth // 4) // (side * side) %}
var<workgroup> x_tile: array<f32, {{ tile * depth }}>;
var<workgroup> w_tile: array<vec4<f32>, {{ side * depth }}>;

@compute @workgroup_size({{ side * side }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let tile_index = group.y * groups.x + group.x;
    let first_row = tile_index / params.column_tiles * {{ tile }}u;
    let first_column = tile_index % params.column_tiles * {{ tile }}u;
    let own_row = local / {{ side }}u * 4u;
    let own_column = local % {{ side }}u;
{% for i in range(4) %}
    var sum{{ i }} = vec4<f32>();
{% endfor %}
    for (var k = 0u; k < params.reduction; k += {{ depth }}u) {
{% for l in range(loads) %}
        {
            let item = local + {{ l * side * side }}u;
            let row = item / {{ depth // 4 }}u;
            let step = item % {{ depth // 4 }}u * 4u;
            let values = load_x(first_row + row, k + step);
            x_tile[step * {{ tile }}u + row] = values.x;
            x_tile[(step + 1u) * {{ tile }}u + row] = values.y;
            x_tile[(step + 2u) * {{ tile }}u + row] = values.z;
            x_tile[(step + 3u) * {{ tile }}u + row] = values.w;
            w_tile[item] = load_w(k + item / {{ side }}u, first_column + item % {{ side }}u * 4u);
        }
{% endfor %}
        workgroupBarrier();
        for (var step = 0u; step < {{ depth }}u; step++) {
            let b = w_tile[step * {{ side }}u + own_column];
            let a = step * {{ tile }}u + own_row;
{% for i in range(4) %}
            sum{{ i }} += x_tile[a + {{ i }}u] * b;
{% endfor %}
        }
        workgroupBarrier();
    }
    let column = first_column + own_column * 4u;
{% for i in range(4) %}
    store(first_row + own_row + {{ i }}u, column, sum{{ i }});
{% endfor %}
}
