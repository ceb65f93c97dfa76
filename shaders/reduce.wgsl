// Reduction over axes: a team computes one element or vector of the output.
{% from "lib/axes.wgsl" import offset %}
{% from "lib/nan.wgsl" import is_nan %}
{% from "lib/team.wgsl" import each_element, team_function %}
{% include "lib/index.wgsl" %}
{% if images %}{% include "lib/texel.wgsl" %}{% endif %}
{% include "lib/team.wgsl" %}
alias T = {{ T }};
{{ offset("kept_offset", "kept", "kept_strides", kept_rank) }}
{{ offset("reduced_offset", "reduced", "reduced_strides", reduced_rank) }}
fn join(a: T, b: T) -> T {
{% if function == "max" %}
    return select(b, a, (a >= b) | ({{ is_nan("a", T) }}));
{% elif function == "min" %}
    return select(b, a, (a <= b) | ({{ is_nan("a", T) }}));
{% else %}
    return a + b;
{% endif %}
}
{{ team_function("team_join", "join(a, b)", T, lanes, steps, spread) }}
@compute @workgroup_size({{ threads }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let line = team_line(group, groups, local);
    let lane = team_lane(local);
    // Surplus teams have nothing to read but meet the others at their barriers.
    let length = select(0u, params.length, line < params.lines);
    let start = kept_offset(line);
    var value = T(params.start);
{% call each_element("length", unroll) %}
        value = join(value, {% if images %}textureLoad(x, texel(start + reduced_offset(i))){% else %}x[start + reduced_offset(i)]{% endif %});
{% endcall %}
    value = team_join(local, value);
    if (lane == 0u && line < params.lines) {
        y[line] = value{% if function == "mean" %} / params.divisor{% endif %};
    }
}
