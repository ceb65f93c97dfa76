{# A tiled matrix product: rows by `load_x(row, k)`, columns by `load_w(k, column)`, four values each, summed over `k`.

   Every invocation owns 4 x 4 sums, of rows `side` apart; `side` x `side` invocations share tiles of 4 * side rows and
   columns in workgroup memory. What lies outside of the matrices is not stored, and behind the end of the sum zeros are
   loaded. #}
{% set tile = 4 * side %}
{% set loads = (tile * depth // 4) // (side * side) %}
// One vector more than is used keeps the rows of the tile in different banks.
const PITCH: u32 = {{ depth // 4 + 1 }}u;
var<workgroup> x_tile: array<vec4<f32>, {{ tile * (depth // 4 + 1) }}>;
var<workgroup> w_tile: array<vec4<f32>, {{ side * depth }}>;

@compute @workgroup_size({{ side * side }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let tile_index = group.y * groups.x + group.x;
    let first_row = tile_index / params.column_tiles * {{ tile }}u;
    let first_column = tile_index % params.column_tiles * {{ tile }}u;
    let own_row = local / {{ side }}u;
    let own_column = local % {{ side }}u;
{% for i in range(4) %}
    var sum{{ i }} = vec4<f32>();
{% endfor %}
    for (var k = 0u; k < params.reduction; k += {{ depth }}u) {
{% for l in range(loads) %}
        let item{{ l }} = local + {{ l * side * side }}u;
        let x_value{{ l }} = load_x(first_row + item{{ l }} / {{ depth // 4 }}u, k + item{{ l }} % {{ depth // 4 }}u * 4u);
        let w_value{{ l }} = load_w(k + item{{ l }} / {{ side }}u, first_column + item{{ l }} % {{ side }}u * 4u);
{% endfor %}
        // The loads are under way while others still read the tiles of the step before.
        workgroupBarrier();
{% for l in range(loads) %}
        x_tile[item{{ l }} / {{ depth // 4 }}u * PITCH + item{{ l }} % {{ depth // 4 }}u] = x_value{{ l }};
        w_tile[item{{ l }}] = w_value{{ l }};
{% endfor %}
        workgroupBarrier();
{% for quad in range(depth // 4) %}
        {
{% for i in range(4) %}
            let a{{ i }} = x_tile[(own_row + {{ i * side }}u) * PITCH + {{ quad }}u];
{% endfor %}
{% for c in range(4) %}
            let b{{ c }} = w_tile[{{ (4 * quad + c) * side }}u + own_column];
{% for i in range(4) %}
            sum{{ i }} += a{{ i }}.{{ "xyzw"[c] }} * b{{ c }};
{% endfor %}
{% endfor %}
        }
{% endfor %}
    }
    let column = first_column + own_column * 4u;
{% for i in range(4) %}
    store(first_row + own_row + {{ i * side }}u, column, sum{{ i }});
{% endfor %}
}
