// The factors of a squeeze-and-excite block: a workgroup computes those of one picture.
//
// `across` [squeeze, reduce, expand] columns are worked on side by side; the invocations that are left share each column's sum
// and join it by a fixed tree. On a processor a workgroup is one vector of `lanes`, and what a layer reads is broadcast by
// shuffles with literal lanes.
//
// Options: `threads`, `lanes` (0 for GPUs), `across`, `squeeze`, `vectors` (whether the features fill whole vectors), `forms` of what
// is read by name, `most` [channels, features], `biases` ("none", "one" or "channel" each), `inner_activation`, `activation`.
{% from "lib/texel.wgsl" import read %}
{% include "lib/index.wgsl" %}
{% include "lib/texel.wgsl" %}
{% include "lib/activation.wgsl" %}

var<workgroup> channels: array<f32, {{ most[0] }}>;
var<workgroup> features: array<f32, {{ most[1] }}>;
{% if not lanes %}
var<workgroup> sums: array<vec4<f32>, {{ threads }}>;
{% endif %}
{% macro joined(sum, across) %}
{% if not lanes %}
        // Whoever still reads what was joined before is waited for.
        workgroupBarrier();
        sums[local] = {{ sum }};
//% for step in [256, 128, 64, 32, 16, 8, 4, 2, 1] if step * 2 * across <= threads
        workgroupBarrier();
        if (local < {{ step * across }}u) { sums[local] += sums[local + {{ step * across }}u]; }
//% endfor
        {{ sum }} = sums[local];
{% endif %}
{% endmacro %}
{% macro layer(T, source, weights, ins, outs, across) %}
    for (var block = 0u; block < {{ outs }}; block += {{ across }}u) {
        let own = block + local % {{ across }}u;
        let column = min(own, {{ outs }} - 1u);
        var sum = vec4<f32>();
{% if lanes %}
        for (var k = 0u; k < {{ ins }}; k += {{ lanes }}u) {
            let spread = {{ source }}[min(k + lane, {{ ins }} - 1u)];
//% for lane in range(lanes)
            {
                let row = min(k + {{ lane }}u, {{ ins }} - 1u);
                let weight = {{ read(weights, "row * " ~ outs ~ " + column", forms[weights]) }};
                let product = subgroupShuffle(spread, {{ lane }}u) * weight;
                sum{% if T == "f32" %}.x{% endif %} += select({{ T }}(), product, k + {{ lane }}u < {{ ins }});
            }
//% endfor
        }
{% else %}
{% set apart = threads // across %}
        var k = local / {{ across }}u;
        // Several loads are under way at once.
        for (; k + {{ 3 * apart }}u < {{ ins }}; k += {{ 4 * apart }}u) {
//% for turn in range(4)
            let weight{{ turn }} = {{ weights }}[(k + {{ turn * apart }}u) * {{ outs }} + column];
//% endfor
//% for turn in range(4)
            sum{% if T == "f32" %}.x{% endif %} += {{ source }}[k + {{ turn * apart }}u] * weight{{ turn }};
//% endfor
        }
        for (; k < {{ ins }}; k += {{ apart }}u) {
            sum{% if T == "f32" %}.x{% endif %} += {{ source }}[k] * {{ weights }}[k * {{ outs }} + column];
        }
{% endif %}
{{ joined("sum", across) }}
        if (local < {{ across }}u && own < {{ outs }}) {
{{ caller() }}
        }
    }
    workgroupBarrier();
{% endmacro %}
{% macro biased(name, kind) %}sum{% if kind == "one" %} + {{ read(name, "0u", forms[name]) }}{% if forms[name] == "image" %}.x{% endif %}{% elif kind == "channel" %} + {{ read(name, "own", forms[name]) }}{% endif %}{% endmacro %}

@compute @workgroup_size({{ threads }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32{% if lanes %}, @builtin(subgroup_invocation_id) lane: u32{% endif %}) {
    let picture = min(group_index(group, groups), params.pictures - 1u);
    let start = picture * params.pixels * params.quads;
    for (var block = 0u; block < params.quads; block += {{ across[0] }}u) {
        let own = block + local % {{ across[0] }}u;
        let column = start + min(own, params.quads - 1u);
        var sum = vec4<f32>();
        for (var pixel = local / {{ across[0] }}u; pixel < params.pixels; pixel += {{ threads // across[0] }}u) {
            sum += {{ read("x", "column + pixel * params.quads", forms.x) }};
        }
{{ joined("sum", across[0]) }}
        if (local < {{ across[0] }}u && own < params.quads) {
            let mean = sum / f32(params.pixels);
//% for c in range(4)
            channels[4u * own + {{ c }}u] = mean.{{ "xyzw"[c] }};
//% endfor
        }
    }
    workgroupBarrier();
{% call layer("vec4<f32>" if vectors else "f32", "channels", "reduce", "params.channels", "params.columns", across[1]) %}
{% if vectors %}
            let value = inner_activate4({{ biased("reduce_bias", biases[0]) }});
//% for c in range(4)
            features[4u * own + {{ c }}u] = value.{{ "xyzw"[c] }};
//% endfor
{% else %}
            features[own] = inner_activate4({{ biased("reduce_bias", biases[0]) }}).x;
{% endif %}
{% endcall %}
{% call layer("vec4<f32>", "features", "expand", "params.features", "params.out_quads", across[2]) %}
            y[picture * params.out_quads + own] = activate4({{ biased("expand_bias", biases[1]) }});
{% endcall %}
}
