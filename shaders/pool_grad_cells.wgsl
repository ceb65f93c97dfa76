// The gradient of a pool: an invocation computes it for a tile of cells of the input, for four channels.
//
// The stride cuts the input into cells, and a window begins in each. The windows of the tile, and those that begin up to
// `back` cells in front of it, are all that reach into it: each gives its gradient to the first tap that holds its maximum,
// or a share to every tap.
{% if images %}{% include "lib/texel.wgsl" %}{% endif %}
alias T = vec4<f32>;
{% macro load(name, index) %}{% if images %}textureLoad({{ name }}, texel({{ index }})){% else %}{{ name }}[{{ index }}]{% endif %}{% endmacro %}
{% set windows = [tile[0] + back[0], tile[1] + back[1]] %}
{% set inputs = [(windows[0] - 1) * stride[0] + size[0], (windows[1] - 1) * stride[1] + size[1]] %}

@compute @workgroup_size({{ threads }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let item = group.x * {{ threads }}u + local;
    let quad = item % params.quads;
    let column = min(item / params.quads, params.tile_columns - 1u) * {{ tile[1] }}u;
    let row = group.y * {{ tile[0] }}u;
    // The first window and, under its first tap, the first input; in front of the map the numbers wrap.
    let out_column = params.first_column + column - {{ back[1] }}u;
    let out_row = params.first_row + row - {{ back[0] }}u;
    let left = (column - {{ back[1] }}u) * {{ stride[1] }}u - params.lead_columns;
    let top = (row - {{ back[0] }}u) * {{ stride[0] }}u - params.lead_rows;
//% for j in range(inputs[1])
    let inside_column{{ j }} = left + {{ j }}u < params.in_columns;
//% endfor
//% for i in range(inputs[0])
    let inside_row{{ i }} = top + {{ i }}u < params.in_rows;
    let start{{ i }} = (group.z * params.in_rows + min(top + {{ i }}u, params.in_rows - 1u)) * params.in_columns;
//% endfor
{% if kind == "max" %}
//% for j in range(inputs[1])
    let x{{ j }} = min(left + {{ j }}u, params.in_columns - 1u);
//% endfor
//% for i in range(inputs[0])
//% for j in range(inputs[1])
    let v{{ i }}_{{ j }} = {{ load("x", "(start" ~ i ~ " + x" ~ j ~ ") * params.quads + quad") }};
//% endfor
//% endfor
{% endif %}
//% for i in range(back[0] * stride[0], windows[0] * stride[0])
//% for j in range(back[1] * stride[1], windows[1] * stride[1])
    var sum{{ i }}_{{ j }} = T();
//% endfor
//% endfor
//% for r in range(windows[0])
//% for c in range(windows[1])
    {
        let inside = out_row + {{ r }}u < params.out_rows && out_column + {{ c }}u < params.out_columns;
        let output = ((group.z * params.out_rows + min(out_row + {{ r }}u, params.out_rows - 1u)) * params.out_columns
            + min(out_column + {{ c }}u, params.out_columns - 1u)) * params.quads + quad;
        let gradient = select(T(), {{ load("dy", "output") }}, inside);
{% if kind == "max" %}
        let largest = {{ load("y", "output") }};
        var open = vec4<bool>(true);
{% elif kind == "average" %}
        let inside_rows = {% for k in range(size[0]) %}{% if k > 0 %} + {% endif %}select(0.0, 1.0, inside_row{{ r * stride[0] + k }}){% endfor %};
        let inside_columns = {% for k in range(size[1]) %}{% if k > 0 %} + {% endif %}select(0.0, 1.0, inside_column{{ c * stride[1] + k }}){% endfor %};
        // A window that is not there has no taps inside, and no gradient to share.
        let share = gradient / max(inside_rows * inside_columns, 1.0);
{% else %}
        let share = gradient / {{ size[0] * size[1] }}.0;
{% endif %}
//% for ky in range(size[0])
//% for kx in range(size[1])
{% set i = r * stride[0] + ky %}
{% set j = c * stride[1] + kx %}
{% set own = i >= back[0] * stride[0] and i < windows[0] * stride[0] and j >= back[1] * stride[1] and j < windows[1] * stride[1] %}
{% if kind == "max" %}
        {
            let hit = open & (v{{ i }}_{{ j }} == largest) & vec4<bool>(inside_row{{ i }} && inside_column{{ j }});
{% if own %}
            sum{{ i }}_{{ j }} += select(T(), gradient, hit);
{% endif %}
            open = open & !hit;
        }
{% elif own %}
        sum{{ i }}_{{ j }} += share;
{% endif %}
//% endfor
//% endfor
    }
//% endfor
//% endfor
    let live = item < params.quads * params.tile_columns;
//% for i in range(back[0] * stride[0], windows[0] * stride[0])
//% for j in range(back[1] * stride[1], windows[1] * stride[1])
{# A cell may be longer than the windows reach. #}
    if (live && {% if i < inputs[0] %}inside_row{{ i }}{% else %}top + {{ i }}u < params.in_rows{% endif %} && {% if j < inputs[1] %}inside_column{{ j }}{% else %}left + {{ j }}u < params.in_columns{% endif %}) {
        dx[({% if i < inputs[0] %}start{{ i }}{% else %}(group.z * params.in_rows + top + {{ i }}u) * params.in_columns{% endif %} + left + {{ j }}u) * params.quads + quad] = sum{{ i }}_{{ j }};
    }
//% endfor
//% endfor
}
