// A convolution of few input channels: an invocation computes a strip of outputs in a row, for `outs` vectors of channels.
//
// The invocations of a workgroup share their output channels, so that one load brings a weight to all of them, and an input is
// loaded once for all outputs and taps of its row that see it.
//
// Options: `channels` of the input; `size` and `stride` of the columns; `pixels` of a strip; `outs`; `lanes` of columns and rows.
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}
{% set reach = (pixels - 1) * stride + size %}

@compute @workgroup_size({{ lanes|join(", ") }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let block = group.y / params.row_groups;
    let first = block * {{ outs }}u;
    let column = (group.x * {{ lanes[0] }}u + local.x) * {{ pixels }}u;
    let row = (group.y - block * params.row_groups) * {{ lanes[1] }}u + local.y;
    if (column >= params.out_columns || row >= params.out_rows) { return; }
    let left = column * {{ stride }}u - params.before_columns;
    let top = row * params.stride_rows - params.before_rows;
//% for j in range(reach)
    let inside{{ j }} = left + {{ j }}u < params.in_columns;
    let x{{ j }} = select(0u, left + {{ j }}u, inside{{ j }}) * {{ channels }}u;
//% endfor
//% for o in range(outs)
    let channel{{ o }} = min(first + {{ o }}u, params.out_vectors - 1u);
//% for p in range(pixels)
    var sum{{ p }}_{{ o }} = bias_at(channel{{ o }});
//% endfor
//% endfor
    for (var ky = 0u; ky < params.size_rows; ky++) {
        let y_in = top + ky * params.dilation_rows;
        if (y_in >= params.in_rows) { continue; }
        let start = (group.z * params.in_rows + y_in) * params.in_columns * {{ channels }}u;
        let taps = ky * {{ size * channels }}u * params.out_vectors;
//% for j in range(reach)
//% for c in range(channels)
        let v{{ j }}_{{ c }} = select(0.0, x[start + x{{ j }} + {{ c }}u], inside{{ j }});
//% endfor
//% endfor
//% for kx in range(size)
//% for c in range(channels)
//% for o in range(outs)
        {
            let tap = w[taps + {{ kx * channels + c }}u * params.out_vectors + channel{{ o }}];
//% for p in range(pixels)
            sum{{ p }}_{{ o }} += tap * v{{ p * stride + kx }}_{{ c }};
//% endfor
        }
//% endfor
//% endfor
//% endfor
    }
    let pixel = (group.z * params.out_rows + row) * params.out_columns + column;
//% for p in range(pixels)
    if (column + {{ p }}u < params.out_columns) {
//% for o in range(outs)
        if (first + {{ o }}u < params.out_vectors) {
            let i = (pixel + {{ p }}u) * params.out_vectors + first + {{ o }}u;
            y[i] = complete(sum{{ p }}_{{ o }}, i);
        }
//% endfor
    }
//% endfor
}
