{# A tiled matrix product: rows by `load_x`, columns by `load_w`, four values each, summed over `k`.

   An invocation owns `own` blocks of 4 x 4 sums; its rows lie `threads[0]` apart. The invocations of a workgroup share tiles of
   both operands in workgroup memory. What lies outside of the matrices is not stored. Nothing is divided inside of the loop:
   a `Row` and a `Column` say where those begin, a `Place` where four terms of the sum lie in all rows, and `further` moves
   that by one step. A step that the sum does not fill follows the loop, with loads that stay inside (`load_x_last`).

   Options: `threads` [rows, columns], `own` [rows, columns]; `depth`, the terms of one step; `tail`, the vectors of terms in the
   step behind the loop; `grouped`, whether the grid holds a product for each group of channels, which `enter` is told, and `batched`, whether
   those lie behind each other rather than beside each other; `sliced`, whether the sum is cut into slices that a workgroup
   each adds up; `phased`, whether a grid holds several products, told apart by `enter`, whose sizes are in `phase`. There `load_w` gives four terms of a column, as
   `load_x` does of a row. Where there is an option `prepared`, each step begins with `prepare(first_row, place, local)`, which brings
   into workgroup memory what its `load_x` reads, and `pixel_of(row)` says where a row is stored. #}
{% set sizes = "phase" if phased else "params" %}
{% set count = threads[0] * threads[1] %}
{% set rows = 4 * own[0] * threads[0] %}
{% set across = own[1] * threads[1] %}
{% set quads = depth // 4 %}
{% set x_loads = rows * quads // count %}
{% set w_loads = across * depth // count %}
{% macro step(used, last) %}
{% if prepared is defined %}
        prepare(first_row, place, local);
        workgroupBarrier();
{% endif %}
{% for l in range(x_loads) %}
        let x_value{{ l }} = load_x{{ last }}(row{{ l }}, place);
{% endfor %}
{% for l in range(w_loads) %}
{% if phased %}
        let w_value{{ l }} = load_w(column{{ l }}, place);
{% else %}
        let w_value{{ l }} = load_w{{ last }}(weights, {{ l * count // across }}u, column);
{% endif %}
{% endfor %}
        // The loads are under way while others still read the tiles of the step before.
        workgroupBarrier();
{% for l in range(x_loads) %}
        x_tile[x_store + {{ l * count // quads }}u * PITCH] = x_value{{ l }};
{% endfor %}
{% for l in range(w_loads) %}
        w_tile[{{ "w_store" ~ l if phased else "local + " ~ l * count ~ "u" }}] = w_value{{ l }};
{% endfor %}
        workgroupBarrier();
{% for quad in range(used) %}
        {
{% for i in range(4 * own[0]) %}
            let a{{ i }} = x_tile[(own_row + {{ i * threads[0] }}u) * PITCH + {{ quad }}u];
{% endfor %}
{% if phased %}
{% for j in range(4 * own[1]) %}
            let w{{ j }} = w_tile[(own_column + {{ j * threads[1] }}u) * PITCH + {{ quad }}u];
{% endfor %}
{% endif %}
{% for c in range(4) %}
{% for j in range(own[1]) %}
{% if phased %}
            let b{{ c }}_{{ j }} = vec4({% for k in range(4) %}w{{ k * own[1] + j }}.{{ "xyzw"[c] }}{% if not loop.last %}, {% endif %}{% endfor %});
{% else %}
            let b{{ c }}_{{ j }} = w_tile[{{ (4 * quad + c) * across + j * threads[1] }}u + own_column];
{% endif %}
{% for i in range(4 * own[0]) %}
            sum{{ i }}_{{ j }} += a{{ i }}.{{ "xyzw"[c] }} * b{{ c }}_{{ j }};
{% endfor %}
{% endfor %}
{% endfor %}
        }
{% endfor %}
{% endmacro %}
// One vector more than is used keeps the rows of the tile in different banks.
const PITCH: u32 = {{ quads + 1 }}u;
var<workgroup> x_tile: array<vec4<f32>, {{ rows * (quads + 1) }}>;
var<workgroup> w_tile: array<vec4<f32>, {{ 4 * across * (quads + 1) if phased else across * depth }}>;

@compute @workgroup_size({{ count }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
{% if phased %}
    enter(group.z);
{% endif %}
{% if sliced %}
    let work = group.y * groups.x + group.x;
    let tile_index = work / params.slices;
    let slice = work % params.slices;
    let begin = slice * params.slice;
    let end = min(begin + params.slice, params.reduction);
{% elif grouped %}
    let work = group.y * groups.x + group.x;
    let tile_index = work % params.tiles;
    // Grids have surplus workgroups, and behind the last group they would write to the next pixel.
    if (work / params.tiles * params.columns >= params.all_columns) { return; }
    enter(work / params.tiles);
{% else %}
    let tile_index = group.y * groups.x + group.x;
{% endif %}
    let first_row = tile_index / params.column_tiles * {{ rows }}u;
    let first_column = tile_index % params.column_tiles * {{ 4 * across }}u;
    let own_row = local / {{ threads[1] }}u;
    let own_column = local % {{ threads[1] }}u;
    let x_store = local / {{ quads }}u * PITCH + local % {{ quads }}u;
{% for l in range(x_loads) %}
    let row{{ l }} = row_of(first_row + local / {{ quads }}u + {{ l * count // quads }}u, local % {{ quads }}u * 4u);
{% endfor %}
{% if phased %}
{% for l in range(w_loads) %}
    // Neighbouring columns lie apart, so that those an invocation reads at once are in different banks.
    let item{{ l }} = local / {{ quads }}u + {{ l * count // quads }}u;
    let column{{ l }} = column_of(first_column + item{{ l }}, local % {{ quads }}u * 4u);
    let w_store{{ l }} = (item{{ l }} % 4u * {{ across }}u + item{{ l }} / 4u) * PITCH + local % {{ quads }}u;
{% endfor %}
{% else %}
    let column = column_of(first_column + local % {{ across }}u * 4u);
{% endif %}
    var place = place_of({{ "begin" if sliced else "0u" }}, local % {{ quads }}u * 4u);
{% if not phased %}
    var weights = weights_of({% if sliced %}begin + {% endif %}local / {{ across }}u);
{% endif %}
{% for j in range(own[1]) %}
    let out_column{{ j }} = first_column + (own_column + {{ j * threads[1] }}u) * 4u;
    let start{{ j }} = start_of(out_column{{ j }});
{% for i in range(4 * own[0]) %}
    var sum{{ i }}_{{ j }} = start{{ j }};
{% endfor %}
{% endfor %}
{% if sliced %}
    for (var k = begin; k < end; k += {{ depth }}u) {
{% else %}
    for (var k = {{ depth }}u; k <= {{ sizes }}.reduction; k += {{ depth }}u) {
{% endif %}
{{ step(quads, "") }}
        place = further(place);
{% if not phased %}
        weights = weights_further(weights);
{% endif %}
    }
{% if tail %}
    {
{{ step(tail, "_last") }}
    }
{% endif %}
{% for i in range(4 * own[0]) %}
    {
        let row = first_row + own_row + {{ i * threads[0] }}u;
        if (row < {{ sizes }}.rows) {
{% for j in range(own[1]) %}
            store({% if sliced %}slice, {% endif %}row, out_column{{ j }}, sum{{ i }}_{{ j }});
{% endfor %}
        }
    }
{% endfor %}
}
