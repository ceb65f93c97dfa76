// A transposed convolution as tiled matrix products, one for each phase of its strides.
//
// An output `stride * n + phase` (counted from a multiple of the stride) meets the taps `phase`, `phase + stride`, .., which read the
// inputs `n`, `n - 1`, ..: the outputs of a phase are a convolution with those taps. Taps and channels of a step are the same
// for all invocations.
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}

// What the products of a phase are: the phase, its taps and outputs of both axes, the first output and the input its first tap
// reads; the rows of the product and the terms of its sum.
struct Phase {
    height: u32,
    width: u32,
    height_taps: u32,
    width_taps: u32,
    height_outputs: u32,
    width_outputs: u32,
    height_first: u32,
    width_first: u32,
    height_start: u32,
    width_start: u32,
    rows: u32,
    reduction: u32,
}
var<private> phase: Phase;

fn enter(index: u32) {
    phase.height = index / params.width_stride;
    phase.width = index % params.width_stride;
{% for axis in ["height", "width"] %}
    phase.{{ axis }}_taps = (params.{{ axis }}_size + params.{{ axis }}_stride - 1u - phase.{{ axis }}) / params.{{ axis }}_stride;
    // The first output whose distance from the beginning of the uncut output has this phase.
    phase.{{ axis }}_first = (phase.{{ axis }} + params.{{ axis }}_stride - params.{{ axis }}_before % params.{{ axis }}_stride) % params.{{ axis }}_stride;
    phase.{{ axis }}_start = (phase.{{ axis }}_first + params.{{ axis }}_before) / params.{{ axis }}_stride;
    phase.{{ axis }}_outputs = (max(params.{{ axis }}_output, phase.{{ axis }}_first) - phase.{{ axis }}_first + params.{{ axis }}_stride - 1u) / params.{{ axis }}_stride;
{% endfor %}
    phase.rows = params.batch * phase.height_outputs * phase.width_outputs;
    phase.reduction = phase.height_taps * phase.width_taps * params.channels * 4u;
}

// The input under the first tap of a row, and where it begins with the own terms of a step.
struct Row {
    height: u32,
    width: u32,
    start: u32,
}

// Where the own terms of a column begin under the first tap.
alias Column = u32;

// The tap along both axes, and the vector of channels.
struct Place {
    height: u32,
    width: u32,
    channel: u32,
}

// The output of a row, in pixels.
fn pixel_of(row: u32) -> u32 {
    let line = row / phase.width_outputs;
    let image = line / phase.height_outputs;
    let height = phase.height_first + (line - image * phase.height_outputs) * params.height_stride;
    let width = phase.width_first + (row - line * phase.width_outputs) * params.width_stride;
    return (image * params.height_output + height) * params.width_output + width;
}

fn row_of(row: u32, own: u32) -> Row {
    // A phase may have no outputs at all.
    let clamped = min(row, max(phase.rows, 1u) - 1u);
    let line = clamped / max(phase.width_outputs, 1u);
    let image = line / max(phase.height_outputs, 1u);
    let height = phase.height_start + line - image * phase.height_outputs;
    let width = phase.width_start + clamped - line * phase.width_outputs;
    return Row(height, width, ((image * params.height_input + height) * params.width_input + width) * params.channels + own / 4u);
}

fn column_of(column: u32, own: u32) -> Column {
    return min(column, params.columns - 1u) * params.channels + own / 4u;
}

fn place_of(k: u32, own: u32) -> Place {
    return Place(0u, 0u, 0u);
}

fn further(place: Place) -> Place {
    var next = place;
    next.channel += {{ depth // 4 }}u;
    let ends_tap = next.channel >= params.channels;
    next.channel = select(next.channel, 0u, ends_tap);
    next.width += select(0u, 1u, ends_tap);
    let ends_row = next.width >= phase.width_taps;
    next.width = select(next.width, 0u, ends_row);
    next.height += select(0u, 1u, ends_row);
    return next;
}

fn load_x(row: Row, place: Place) -> vec4<f32> {
    let inside = row.height - place.height < params.height_input && row.width - place.width < params.width_input;
    let back = (place.height * params.width_input + place.width) * params.channels;
    return select(vec4<f32>(), x[select(0u, row.start + (place.channel - back), inside)], inside);
}

fn load_w(column: Column, place: Place) -> vec4<f32> {
    let height = phase.height + place.height * params.height_stride;
    let width = phase.width + place.width * params.width_stride;
    return w[column + ((height * params.width_size + width) * params.columns * params.channels + place.channel)];
}

fn start_of(column: u32) -> vec4<f32> {
    return bias_at(min(column, params.columns - 4u) / 4u);
}

fn store(row: u32, column: u32, sum: vec4<f32>) {
    let i = pixel_of(row) * (params.columns / 4u) + column / 4u;
    if (column < params.columns) { y[i] = complete(sum, i); }
}

{% include "lib/gemm.wgsl" %}
