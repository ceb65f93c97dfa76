// A depthwise and a pointwise convolution in one: the left operand of a tiled matrix product is computed where it is needed.
//
// Options beyond those of the product: `size` [rows, columns] of the window, `dilation` [rows, columns], `inner_bias` and
// `inner_activation` of the first convolution.
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}
{% include "lib/gemm_operands.wgsl" %}
{% set taps = size[0] * size[1] %}

// Where the window of a row begins, and a bit for each tap that lies inside of the input.
struct Row {
    start: u32,
    inside: u32,
}
// The vector of channels.
alias Place = u32;

fn row_of(row: u32, own: u32) -> Row {
    let clamped = min(row, params.rows - 1u);
    let line = clamped / params.width_output;
    let image = line / params.height_output;
    let width = (clamped - line * params.width_output) * params.width_stride - params.width_before;
    let height = (line - image * params.height_output) * params.height_stride - params.height_before;
    var columns = 0u;
    var inside = 0u;
//% for kx in range(size[1])
    columns |= select(0u, {{ 2 ** kx }}u, width + {{ kx * dilation[1] }}u < params.width_input);
//% endfor
//% for ky in range(size[0])
    inside |= select(0u, columns << {{ ky * size[1] }}u, height + {{ ky * dilation[0] }}u < params.height_input);
//% endfor
    return Row(((image * params.height_input + height) * params.width_input + width) * params.channels, inside);
}

fn place_of(k: u32, own: u32) -> Place {
    return (k + own) / 4u;
}

fn further(place: Place) -> Place {
    return place + {{ depth // 4 }}u;
}

{% for last in ["", "_last"] if not last or tail %}
fn load_x{{ last }}(row: Row, place: Place) -> vec4<f32> {
    let channel = {% if last %}min(place, params.channels - 1u){% else %}place{% endif %};
    let start = row.start + channel;
    let pitch = params.width_input * params.channels;
{% if inner_bias == "one" %}
    var sum = vec4(inner_bias[0]);
{% elif inner_bias == "channel" %}
    var sum = inner_bias[channel];
{% else %}
    var sum = vec4<f32>();
{% endif %}
    if (row.inside == {{ 2 ** taps - 1 }}u) {
//% for t in range(taps)
        sum += inner[{{ t }}u * params.channels + channel] * x[start + ({{ t // size[1] * dilation[0] }}u * pitch + {{ t % size[1] * dilation[1] }}u * params.channels)];
//% endfor
    } else {
//% for t in range(taps)
        {
            let inside = (row.inside & {{ 2 ** t }}u) != 0u;
            let at = select(0u, start + ({{ t // size[1] * dilation[0] }}u * pitch + {{ t % size[1] * dilation[1] }}u * params.channels), inside);
            sum += inner[{{ t }}u * params.channels + channel] * select(vec4<f32>(), x[at], inside);
        }
//% endfor
    }
    return inner_activate4(sum);
}

{% endfor %}
{% include "lib/gemm.wgsl" %}
