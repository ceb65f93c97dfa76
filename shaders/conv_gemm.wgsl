// A convolution as a tiled matrix product whose left operand is gathered tap by tap; padding counts as zero.
//
// Options beyond those of the product: `deep`, whether the window has depth; `padded`, whether it ever leaves the input;
// `uniform`, whether no step ends inside of a tap; `wraps`, the most taps that one step ends.
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}
{% include "lib/gemm_operands.wgsl" %}
{% set part = 4 if vectors else 1 %}
{% set axes = ["depth", "height", "width"] if deep else ["height", "width"] %}

// Where the window of a row begins, axis by axis and in elements or vectors; in front of the input it wraps.
struct Row {
{% for axis in axes %}
    {{ axis }}: u32,
{% endfor %}
    start: u32,
}

// Four terms of the sum: the first one's number, its channel, how far its tap lies from the beginning of the window along
// each axis, and where its element lies from there. A uniform place is the same for all invocations, and rows begin at
// the own terms of each.
struct Place {
    k: u32,
    channel: u32,
{% for axis in axes %}
    {{ axis }}: u32,
{% endfor %}
    start: u32,
}

fn row_of(row: u32, own: u32) -> Row {
    var rest = min(row, params.rows - 1u);
{% for axis in axes|reverse %}
    let {{ axis }} = rest % params.{{ axis }}_output * params.{{ axis }}_stride - params.{{ axis }}_before;
    rest /= params.{{ axis }}_output;
{% endfor %}
    var start = rest;
{% for axis in axes %}
    start = start * params.{{ axis }}_input + {{ axis }};
{% endfor %}
    return Row({% for axis in axes %}{{ axis }}, {% endfor %}start * params.pitch{% if grouped %} + own_group * params.channels{% endif %}{% if uniform %} + own / {{ part }}u{% endif %});
}

fn place_of(step: u32, own: u32) -> Place {
    let k = step{% if not uniform %} + own{% endif %};
    let position = k / {{ part }}u;
    var tap = position / params.channels;
    let channel = position - tap * params.channels;
    let width = tap % params.width_size * params.width_dilation;
    tap /= params.width_size;
{% if deep %}
    let height = tap % params.height_size * params.height_dilation;
    let depth = tap / params.height_size * params.depth_dilation;
    let start = (depth * params.height_input + height) * params.width_input + width;
{% else %}
    let height = tap * params.height_dilation;
    let start = height * params.width_input + width;
{% endif %}
    return Place(k, channel, {% if deep %}depth, {% endif %}height, width, start * params.pitch + channel);
}

// A place some terms on, which lie in the same tap or in one of the next.
fn advanced(place: Place, terms: u32) -> Place {
    return Place(place.k + terms * {{ part }}u, place.channel + terms, {% for axis in axes %}place.{{ axis }}, {% endfor %}place.start + terms);
}

// The place in the next tap where the channel lies behind the last one.
fn carried(place: Place) -> Place {
    var next = place;
    let ends_tap = next.channel >= params.channels;
    next.channel -= select(0u, params.channels, ends_tap);
    next.width += select(0u, params.width_dilation, ends_tap);
    next.start += select(0u, params.tap_hop, ends_tap);
    let ends_row = next.width >= params.width_end;
    next.width = select(next.width, 0u, ends_row);
    next.height += select(0u, params.height_dilation, ends_row);
    next.start += select(0u, params.row_hop, ends_row);
{% if deep %}
    let ends_plane = next.height >= params.height_end;
    next.height = select(next.height, 0u, ends_plane);
    next.depth += select(0u, params.depth_dilation, ends_plane);
    next.start += select(0u, params.plane_hop, ends_plane);
{% endif %}
    return next;
}

fn further(place: Place) -> Place {
    var next = advanced(place, {{ depth // part }}u);
{% for wrap in range(wraps) %}
    next = carried(next);
{% endfor %}
    return next;
}

{% macro inside(place) %}
{% for axis in axes %}{% if not loop.first %} && {% endif %}row.{{ axis }} + {{ place }}.{{ axis }} < params.{{ axis }}_input{% endfor %}
{% endmacro %}
{% for last in ["", "_last"] if not last or tail %}
fn load_x{{ last }}(row: Row, place: Place) -> vec4<f32> {
{% if vectors %}
{% if padded or last %}
    let inside = {% if padded %}{{ inside("place") }}{% endif %}{% if padded and last %} && {% endif %}{% if last %}place.k < params.reduction{% endif %};
    return select(vec4<f32>(), x[select(0u, row.start + place.start, inside)], inside);
{% else %}
    return x[row.start + place.start];
{% endif %}
{% else %}
    let place0 = place;
{% for j in range(1, 4) %}
    let place{{ j }} = carried(advanced(place{{ j - 1 }}, 1u));
{% endfor %}
{% for j in range(4) %}
    let inside{{ j }} = {{ inside("place" ~ j) }}{% if last %} && place{{ j }}.k < params.reduction{% endif %};
    let value{{ j }} = select(0.0, x[select(0u, row.start + place{{ j }}.start, inside{{ j }})], inside{{ j }});
{% endfor %}
    return vec4(value0, value1, value2, value3);
{% endif %}
}

{% endfor %}
{% include "lib/gemm.wgsl" %}
