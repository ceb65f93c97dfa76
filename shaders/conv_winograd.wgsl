// What surrounds the products of a 3x3 convolution by Winograd's F(2x2, 3x3).
//
// `stage` input cuts the input into tiles of 4 x 4 that overlap by two, and transforms each (B^T d B); `stage` output makes 2 x 2
// outputs of what the products made of a tile (A^T m A). Between them are 16 planes, `[16, tiles, channels]`.
{% from "lib/texel.wgsl" import read %}
{% set lane = lane|default(false) %}
{% set form = "image" if lane else "read" %}
{% include "lib/index.wgsl" %}
alias T = {{ T }};
{% if stage == "output" %}
{% if lane %}
{% include "lib/lane.wgsl" %}
{% else %}
{% include "lib/activation.wgsl" %}
{% include "lib/epilogue.wgsl" %}
{% endif %}
{% else %}
{% include "lib/texel.wgsl" %}

fn load(image: u32, row: u32, column: u32, channel: u32) -> T {
    // In front of the input positions wrap.
    let inside = row < params.height && column < params.width;
    let i = ((image * params.height + row) * params.width + column) * params.channels + channel;
    return select(T(), {{ read("x", "select(0u, i, inside)", form) }}, inside);
}
{% endif %}

@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    let tile = i / params.channels;
    let channel = i - tile * params.channels;
    let line = tile / params.across;
    let image = line / params.down;
    let row = (line - image * params.down) * 2u - params.height_before;
    let column = (tile - line * params.across) * 2u - params.width_before;
{% for j in range(4) %}
{% if stage == "input" %}
{% for k in range(4) %}
    let d{{ k }}_{{ j }} = load(image, row + {{ k }}u, column + {{ j }}u, channel);
{% endfor %}
    let t0_{{ j }} = d0_{{ j }} - d2_{{ j }};
    let t1_{{ j }} = d1_{{ j }} + d2_{{ j }};
    let t2_{{ j }} = d2_{{ j }} - d1_{{ j }};
    let t3_{{ j }} = d1_{{ j }} - d3_{{ j }};
{% else %}
{% for k in range(4) %}
    let m{{ k }}_{{ j }} = {{ read("x", (4 * k + j) ~ "u * params.count + i", form) }};
{% endfor %}
    let t0_{{ j }} = m0_{{ j }} + m1_{{ j }} + m2_{{ j }};
    let t1_{{ j }} = m1_{{ j }} - m2_{{ j }} - m3_{{ j }};
{% endif %}
{% endfor %}
{% if stage == "input" %}
{% for k in range(4) %}
    y[{{ 4 * k }}u * params.count + i] = t{{ k }}_0 - t{{ k }}_2;
    y[{{ 4 * k + 1 }}u * params.count + i] = t{{ k }}_1 + t{{ k }}_2;
    y[{{ 4 * k + 2 }}u * params.count + i] = t{{ k }}_2 - t{{ k }}_1;
    y[{{ 4 * k + 3 }}u * params.count + i] = t{{ k }}_1 - t{{ k }}_3;
{% endfor %}
{% else %}
{% if lane %}
    let bias_value = bias_of(channel);
{% endif %}
    let start = ((image * params.height + row) * params.width + column) * params.channels + channel;
{% for k in range(2) %}
{% for j in range(2) %}
    if (row + {{ k }}u < params.height && column + {{ j }}u < params.width) {
        let at = start + {{ "params.width * params.channels" if k else "0u" }} + {{ "params.channels" if j else "0u" }};
        y[at] = finish({{ "t" ~ k ~ "_1 - t" ~ k ~ "_2 - t" ~ k ~ "_3" if j else "t" ~ k ~ "_0 + t" ~ k ~ "_1 + t" ~ k ~ "_2" }}, {{ "bias_value, at" if lane else "at, channel" }});
    }
{% endfor %}
{% endfor %}
{% endif %}
}
