// A transposed convolution of each channel on its own: an invocation computes all outputs under which a tile of inputs lies,
// for four channels.
//
// An output `stride * n + phase` (counted from a multiple of the stride) meets the taps `phase`, `phase + stride`, .., which
// read the inputs `n`, `n - 1`, ..: which tap meets which input of the tile is known when the shader is written. Where the
// tile leaves the input, loads are clamped and replaced by zero.
{% include "lib/activation.wgsl" %}
{% if images %}{% include "lib/texel.wgsl" %}{% endif %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}
{% macro load(name, index) %}{% if images %}textureLoad({{ name }}, texel({{ index }})){% else %}{{ name }}[{{ index }}]{% endif %}{% endmacro %}
{% set back = [(size[0] - 1) // stride[0], (size[1] - 1) // stride[1]] %}

@compute @workgroup_size({{ threads }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let item = group.x * {{ threads }}u + local;
    let quad = item % params.quads;
    let column = min(item / params.quads, params.tile_columns - 1u) * {{ tile[1] }}u;
    let row = group.y * {{ tile[0] }}u;
    let left = params.first_column + column - {{ back[1] }}u;
    let top = params.first_row + row - {{ back[0] }}u;
//% for j in range(tile[1] + back[1])
    let inside{{ j }} = left + {{ j }}u < params.in_columns;
    let x{{ j }} = min(left + {{ j }}u, params.in_columns - 1u) * params.quads + quad;
//% endfor
//% for i in range(tile[0] + back[0])
    let inside_row{{ i }} = top + {{ i }}u < params.in_rows;
    let start{{ i }} = (group.z * params.in_rows + min(top + {{ i }}u, params.in_rows - 1u)) * params.in_columns * params.quads;
//% for j in range(tile[1] + back[1])
    let v{{ i }}_{{ j }} = select(T(), {{ load("x", "start" ~ i ~ " + x" ~ j) }}, inside_row{{ i }} && inside{{ j }});
//% endfor
//% endfor
//% for r in range(tile[0] * stride[0])
//% for c in range(tile[1] * stride[1])
    var sum{{ r }}_{{ c }} = T();
//% endfor
//% endfor
//% for ky in range(size[0])
//% for kx in range(size[1])
    {
        let tap = {{ load("w", (ky * size[1] + kx) ~ "u * params.quads + quad") }};
//% for i in range(tile[0])
//% for j in range(tile[1])
        sum{{ i * stride[0] + ky % stride[0] }}_{{ j * stride[1] + kx % stride[1] }} += tap * v{{ i + back[0] - ky // stride[0] }}_{{ j + back[1] - kx // stride[1] }};
//% endfor
//% endfor
    }
//% endfor
//% endfor
    let live = item < params.quads * params.tile_columns;
//% for r in range(tile[0] * stride[0])
//% for c in range(tile[1] * stride[1])
    {
        let out_row = row * {{ stride[0] }}u + {{ r }}u - params.lead_rows;
        let out_column = column * {{ stride[1] }}u + {{ c }}u - params.lead_columns;
        if (live && out_row < params.out_rows && out_column < params.out_columns) {
            let i = ((group.z * params.out_rows + out_row) * params.out_columns + out_column) * params.quads + quad;
            y[i] = finish(sum{{ r }}_{{ c }}, i, quad);
        }
    }
//% endfor
//% endfor
}
