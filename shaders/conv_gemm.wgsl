// A convolution as a tiled matrix product whose left operand is gathered tap by tap; padding counts as zero.
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}
{% include "lib/gemm_operands.wgsl" %}

// The first channel of what lies under a tap, or the largest number where that is padding.
fn pixel(row: u32, tap: u32) -> u32 {
    var rest = row;
    let width = rest % params.width_output * params.width_stride + tap % params.width_size * params.width_dilation - params.width_before;
    rest /= params.width_output;
    let row_tap = tap / params.width_size;
    let height = rest % params.height_output * params.height_stride + row_tap % params.height_size * params.height_dilation - params.height_before;
    rest /= params.height_output;
    let depth = rest % params.depth_output * params.depth_stride + row_tap / params.height_size * params.depth_dilation - params.depth_before;
    rest /= params.depth_output;
    if (width >= params.width_input || height >= params.height_input || depth >= params.depth_input) { return 0xffffffffu; }
    return (((rest * params.depth_input + depth) * params.height_input + height) * params.width_input + width) * params.channels;
}

fn load_x(row: u32, k: u32) -> vec4<f32> {
    if (row >= params.rows || k >= params.reduction) { return vec4<f32>(); }
{% if vectors %}
    let first = pixel(row, k / params.channels);
    if (first == 0xffffffffu) { return vec4<f32>(); }
    return x[(first + k % params.channels) / 4u];
{% else %}
    var values = vec4<f32>();
{% for j in range(4) %}
    if (k + {{ j }}u < params.reduction) {
        let first = pixel(row, (k + {{ j }}u) / params.channels);
        if (first != 0xffffffffu) { values[{{ j }}] = x[first + (k + {{ j }}u) % params.channels]; }
    }
{% endfor %}
    return values;
{% endif %}
}

{% include "lib/gemm.wgsl" %}
