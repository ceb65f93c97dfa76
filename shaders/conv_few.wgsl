// A convolution to few output channels: an invocation computes all of them for a strip of outputs in a row.
//
// Inputs are read in vectors of channels, each once for all outputs and taps of its row that see it. Weights are the same for all
// invocations, `outs` vectors for a tap and a vector of channels. Nothing branches: what lies outside counts as zero.
//
// Options: `outs`, the output channels; `size` and `stride` of the columns; `pixels` of a strip; `forms` of input and weights;
// `lanes` of columns and rows.
{% from "lib/texel.wgsl" import read %}
{% include "lib/texel.wgsl" %}
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}
{% set reach = (pixels - 1) * stride + size %}

@compute @workgroup_size({{ lanes|join(", ") }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let column = (group.x * {{ lanes[0] }}u + local.x) * {{ pixels }}u;
    let row = group.y * {{ lanes[1] }}u + local.y;
    // In front of the input positions wrap.
    let left = column * {{ stride }}u - params.before_columns;
    let top = row * params.stride_rows - params.before_rows;
//% for j in range(reach)
    let inside{{ j }} = left + {{ j }}u < params.in_columns;
    let x{{ j }} = select(0u, left + {{ j }}u, inside{{ j }}) * params.quads;
//% endfor
//% for p in range(pixels)
//% for o in range(outs)
    var sum{{ p }}_{{ o }} = 0.0;
//% endfor
//% endfor
    for (var ky = 0u; ky < params.size_rows; ky++) {
        let y_in = top + ky * params.dilation_rows;
        let there = y_in < params.in_rows;
        let start = (group.z * params.in_rows + select(0u, y_in, there)) * params.in_columns * params.quads;
        let taps = ky * {{ size }}u * params.quads;
        for (var quad = 0u; quad < params.quads; quad++) {
//% for j in range(reach)
            let v{{ j }} = select(vec4<f32>(), {{ read("x", "start + x" ~ j ~ " + quad", forms[0]) }}, there && inside{{ j }});
//% endfor
//% for kx in range(size)
            {
//% for o in range(outs)
                let w{{ o }} = {{ read("w", "(taps + " ~ kx ~ "u * params.quads + quad) * " ~ outs ~ "u + " ~ o ~ "u", forms[1]) }};
//% endfor
//% for o in range(outs)
                let tap{{ o }} = vec4({% for c in range(4) %}w{{ (c * outs + o) // 4 }}.{{ "xyzw"[(c * outs + o) % 4] }}{% if not loop.last %}, {% endif %}{% endfor %});
//% for p in range(pixels)
                sum{{ p }}_{{ o }} += dot(v{{ p * stride + kx }}, tap{{ o }});
//% endfor
//% endfor
            }
//% endfor
        }
    }
    let pixel = (group.z * params.out_rows + row) * params.out_columns + column;
//% for p in range(pixels)
    if (row < params.out_rows && column + {{ p }}u < params.out_columns) {
//% for o in range(outs)
        let i{{ o }} = (pixel + {{ p }}u) * {{ outs }}u + {{ o }}u;
        y[i{{ o }}] = finish(sum{{ p }}_{{ o }}, i{{ o }}, {{ o }}u);
//% endfor
    }
//% endfor
}
