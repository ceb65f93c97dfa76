// An inverted residual block in one: the left operand of a tiled matrix product is a depthwise convolution of channels that are
// expanded in workgroup memory, as many at a time as one step of the product adds up.
//
// A tile of rows is a rectangle of output pixels. Options beyond those of the product: `tile` [rows, columns] of the rectangle, `size`,
// `stride` and `dilation` [rows, columns] of the window, `expand_bias` and `expand_activation` of the expansion, `inner_bias` and
// `inner_activation` of the depthwise convolution.
{% from "lib/functions.wgsl" import function %}
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}
{% include "lib/gemm_operands.wgsl" %}
{% set quads = depth // 4 %}
{% set wide = (tile[1] - 1) * stride[1] + (size[1] - 1) * dilation[1] + 1 %}
{% set pixels = ((tile[0] - 1) * stride[0] + (size[0] - 1) * dilation[0] + 1) * wide %}
{% set teams = threads[0] * threads[1] // quads %}
{% set own_pixels = (pixels + teams - 1) // teams %}

// Where the window of an output pixel begins among the expanded ones.
alias Row = u32;
// The vector of expanded channels.
alias Place = u32;
// The expanded pixels under a rectangle, a step of channels each.
var<workgroup> expanded: array<vec4<f32>, {{ pixels * quads }}>;

// The rectangle of a row: image, and its place in it.
fn rectangle_of(row: u32) -> vec3<u32> {
    let index = row / {{ tile[0] * tile[1] }}u;
    let line = index / params.tiles_across;
    return vec3<u32>(line / params.tiles_down, line % params.tiles_down, index % params.tiles_across);
}

// The output pixel of a row; `params.pixels` where it lies outside.
fn pixel_of(row: u32) -> u32 {
    let rectangle = rectangle_of(row);
    let y = rectangle.y * {{ tile[0] }}u + row / {{ tile[1] }}u % {{ tile[0] }}u;
    let x = rectangle.z * {{ tile[1] }}u + row % {{ tile[1] }}u;
    let pixel = (rectangle.x * params.height_output + y) * params.width_output + x;
    return select(params.pixels, pixel, y < params.height_output && x < params.width_output && rectangle.x < params.images);
}

fn row_of(row: u32, own: u32) -> Row {
    let y = row / {{ tile[1] }}u % {{ tile[0] }}u;
    let x = row % {{ tile[1] }}u;
    return (y * {{ stride[0] * wide }}u + x * {{ stride[1] }}u) * {{ quads }}u;
}

fn place_of(k: u32, own: u32) -> Place {
    return (k + own) / 4u;
}

fn further(place: Place) -> Place {
    return place + {{ quads }}u;
}

fn expand_activate4(x: vec4<f32>) -> vec4<f32> {
{% if expand_activation %}{{ function(expand_activation, "vec4<f32>") }}{% else %}    return x;
{% endif %}
}

// Expands what lies under the rectangle of `first_row`, for the channels of a step.
fn prepare(first_row: u32, place: Place, local: u32) {
    let quad = local % {{ quads }}u;
    let channel = min(place, params.channels - 1u);
    let rectangle = rectangle_of(first_row);
    let image = min(rectangle.x, params.images - 1u);
    let top = rectangle.y * {{ tile[0] * stride[0] }}u - params.height_before;
    let left = rectangle.z * {{ tile[1] * stride[1] }}u - params.width_before;
//% for p in range(own_pixels)
    let pixel{{ p }} = local / {{ quads }}u + {{ p * teams }}u;
    let y{{ p }} = top + pixel{{ p }} / {{ wide }}u;
    let x{{ p }} = left + pixel{{ p }} % {{ wide }}u;
    let inside{{ p }} = y{{ p }} < params.height_input && x{{ p }} < params.width_input;
    let start{{ p }} = select(0u, ((image * params.height_input + y{{ p }}) * params.width_input + x{{ p }}) * params.in_quads, inside{{ p }});
{% if expand_bias == "one" %}
    var sum{{ p }} = vec4(expand_bias[0].x);
{% elif expand_bias == "channel" %}
    var sum{{ p }} = expand_bias[channel];
{% else %}
    var sum{{ p }} = vec4<f32>();
{% endif %}
//% endfor
    for (var k = 0u; k < params.in_quads; k++) {
//% for c in range(4)
        let w{{ c }} = expand[(4u * k + {{ c }}u) * params.channels + channel];
//% endfor
//% for p in range(own_pixels)
        {
            let value = x[start{{ p }} + k];
//% for c in range(4)
            sum{{ p }} += value.{{ "xyzw"[c] }} * w{{ c }};
//% endfor
        }
//% endfor
    }
//% for p in range(own_pixels)
{% if (p + 1) * teams > pixels %}
    if (pixel{{ p }} < {{ pixels }}u) {
        expanded[pixel{{ p }} * {{ quads }}u + quad] = select(vec4<f32>(), expand_activate4(sum{{ p }}), inside{{ p }});
    }
{% else %}
    expanded[pixel{{ p }} * {{ quads }}u + quad] = select(vec4<f32>(), expand_activate4(sum{{ p }}), inside{{ p }});
{% endif %}
//% endfor
}

{% for last in ["", "_last"] if not last or tail %}
fn load_x{{ last }}(row: Row, place: Place) -> vec4<f32> {
    let channel = {% if last %}min(place, params.channels - 1u){% else %}place{% endif %};
    let start = row + place % {{ quads }}u;
{% if inner_bias == "one" %}
    var sum = vec4(inner_bias[0].x);
{% elif inner_bias == "channel" %}
    var sum = inner_bias[channel];
{% else %}
    var sum = vec4<f32>();
{% endif %}
//% for ky in range(size[0])
//% for kx in range(size[1])
    sum += inner[{{ ky * size[1] + kx }}u * params.channels + channel] * expanded[start + {{ (ky * dilation[0] * wide + kx * dilation[1]) * quads }}u];
//% endfor
//% endfor
    return inner_activate4(sum);
}

{% endfor %}
{% include "lib/gemm.wgsl" %}
