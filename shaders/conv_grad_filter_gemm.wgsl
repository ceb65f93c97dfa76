// The gradient of a convolution's weights as a tiled matrix product: rows are channels of x under a tap, columns are channels
// of dy, and the sum runs over the pixels of a slice. Rows behind the last one are not stored, so what they read is any number.
//
// Every invocation owns {{ own }} x {{ own }} blocks of 4 x 4 sums; {{ side }} x {{ side }} of them share the pixels of a step in workgroup memory.
{% set vectors = side * own %}
{% set threads = side * side %}
{% set loads = vectors * step // threads %}
var<workgroup> x_tile: array<vec4<f32>, {{ vectors * step }}>;
var<workgroup> y_tile: array<vec4<f32>, {{ vectors * step }}>;

{% set U = "u32" if x_vectors else "vec4<u32>" %}
{% if not plain %}
// Where the taps of a vector of rows read, from the first tap of a window on, and the channels they read.
struct Taps {
    depth: {{ U }},
    height: {{ U }},
    width: {{ U }},
    channel: {{ U }},
}

fn taps_of(row: u32) -> Taps {
    let own = {% if x_vectors %}row{% else %}min(row + vec4(0u, 1u, 2u, 3u), vec4(params.rows - 1u)){% endif %};
    let tap = own / params.channels;
    let tap_row = tap / params.width_size;
    return Taps(
        tap_row / params.height_size * params.depth_dilation,
        tap_row % params.height_size * params.height_dilation,
        tap % params.width_size * params.width_dilation,
        own % params.channels,
    );
}

// The output of a pixel, axis by axis.
struct Place {
    image: u32,
    depth: u32,
    height: u32,
    width: u32,
}

fn place_of(pixel: u32) -> Place {
    let line = pixel / params.width_output;
    let plane = line / params.height_output;
    return Place(
        plane / params.depth_output,
        plane % params.depth_output,
        line % params.height_output,
        pixel % params.width_output,
    );
}

// The pixel after it, without a division.
fn next(place: Place) -> Place {
    var after = place;
    after.width += 1u;
    let line = after.width == params.width_output;
    after.width = select(after.width, 0u, line);
    after.height += select(0u, 1u, line);
    let plane = after.height == params.height_output;
    after.height = select(after.height, 0u, plane);
    after.depth += select(0u, 1u, plane);
    let image = after.depth == params.depth_output;
    after.depth = select(after.depth, 0u, image);
    after.image += select(0u, 1u, image);
    return after;
}
{% endif %}

// Rows `row` and the three after it under one pixel: the channels of x that their taps read.
fn load_x(pixel: u32, row: u32{% if not plain %}, place: Place, taps: Taps{% endif %}) -> vec4<f32> {
    if (pixel >= params.pixels || row >= params.rows) { return vec4<f32>(); }
{% if plain %}
    let index = pixel * params.channels + row;
{% if x_vectors %}
    return x[index / 4u];
{% else %}
    let at = min(vec4(index) + vec4(0u, 1u, 2u, 3u), vec4(pixel * params.channels + params.rows - 1u));
    return vec4(x[at.x], x[at.y], x[at.z], x[at.w]);
{% endif %}
{% else %}
{% for axis in axes %}
    let {{ axis }} = place.{{ axis }} * params.{{ axis }}_stride - params.{{ axis }}_before + taps.{{ axis }};
{% endfor %}
    let index = (((place.image * params.depth_input + depth) * params.height_input + height) * params.width_input + width) * params.channels + taps.channel;
{% if x_vectors %}
    if (width >= params.width_input || height >= params.height_input || depth >= params.depth_input) { return vec4<f32>(); }
    return x[index / 4u];
{% else %}
    let inside = (width < vec4(params.width_input)) & (height < vec4(params.height_input)) & (depth < vec4(params.depth_input));
    let at = select(vec4<u32>(), index, inside);
    return select(vec4<f32>(), vec4(x[at.x], x[at.y], x[at.z], x[at.w]), inside);
{% endif %}
{% endif %}
}

// Columns `column` and the three after it of one pixel.
fn load_y(pixel: u32, column: u32) -> vec4<f32> {
    if (pixel >= params.pixels || column >= params.columns) { return vec4<f32>(); }
    let index = pixel * params.columns + column;
{% if y_vectors %}
    return dy[index / 4u];
{% else %}
    var values = vec4<f32>();
//% for j in range(4)
    if (column + {{ j }}u < params.columns) { values[{{ j }}] = dy[index + {{ j }}u]; }
//% endfor
    return values;
{% endif %}
}

fn store(slice: u32, row: u32, column: u32, sum: vec4<f32>) {
    if (row >= params.rows || column >= params.columns) { return; }
    let index = (slice * params.rows + row) * params.columns + column;
{% if y_vectors %}
    dw[index / 4u] = sum;
{% else %}
//% for j in range(4)
    if (column + {{ j }}u < params.columns) { dw[index + {{ j }}u] = sum[{{ j }}]; }
//% endfor
{% endif %}
}

@compute @workgroup_size({{ threads }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let work = group.y * groups.x + group.x;
    let slice = work / params.tiles;
    let tile = work % params.tiles;
    let first_row = tile / params.column_tiles * {{ 4 * vectors }}u;
    let first_column = tile % params.column_tiles * {{ 4 * vectors }}u;
    let own_row = local / {{ side }}u;
    let own_column = local % {{ side }}u;
    // The vector that this invocation loads from every pixel, and the first of its pixels.
    let vector = local % {{ vectors }}u;
    let offset = local / {{ vectors }}u * {{ loads }}u;
    let row = first_row + vector * 4u;
{% if not plain %}
    let taps = taps_of(row);
{% endif %}
//% for r in range(own)
//% for c in range(own)
//% for i in range(4)
    var sum{{ r }}_{{ c }}_{{ i }} = vec4<f32>();
//% endfor
//% endfor
//% endfor
    let first = slice * params.pixels_per_slice;
    let end = min(first + params.pixels_per_slice, params.pixels);
    for (var step = first; step < end; step += {{ step }}u) {
        let pixel = step + offset;
{% if not plain %}
        let place0 = place_of(pixel);
{% endif %}
//% for l in range(loads)
{% if not plain and l > 0 %}
        let place{{ l }} = next(place{{ l - 1 }});
{% endif %}
        let x_value{{ l }} = load_x(pixel + {{ l }}u, row{% if not plain %}, place{{ l }}, taps{% endif %});
        let y_value{{ l }} = load_y(pixel + {{ l }}u, first_column + vector * 4u);
//% endfor
        // The loads are under way while others still read the step before.
        workgroupBarrier();
//% for l in range(loads)
        x_tile[(offset + {{ l }}u) * {{ vectors }}u + vector] = x_value{{ l }};
        y_tile[(offset + {{ l }}u) * {{ vectors }}u + vector] = y_value{{ l }};
//% endfor
        workgroupBarrier();
//% for k in range(step)
        {
//% for r in range(own)
            let a{{ r }} = x_tile[{{ k * vectors + r * side }}u + own_row];
            let b{{ r }} = y_tile[{{ k * vectors + r * side }}u + own_column];
//% endfor
//% for r in range(own)
//% for c in range(own)
//% for i in range(4)
            sum{{ r }}_{{ c }}_{{ i }} += a{{ r }}.{{ "xyzw"[i] }} * b{{ c }};
//% endfor
//% endfor
//% endfor
        }
//% endfor
    }
//% for r in range(own)
//% for c in range(own)
//% for i in range(4)
    store(slice, first_row + (own_row + {{ r * side }}u) * 4u + {{ i }}u, first_column + (own_column + {{ c * side }}u) * 4u, sum{{ r }}_{{ c }}_{{ i }});
//% endfor
//% endfor
//% endfor
}
