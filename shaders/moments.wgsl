// The squared distances of each channel from its mean, summed up and divided: a team computes one channel or vector of
// channels of a slice.
{% from "lib/axes.wgsl" import offset %}
{% from "lib/team.wgsl" import each_element, team_function %}
{% include "lib/index.wgsl" %}
{% if images %}{% include "lib/texel.wgsl" %}{% endif %}
{% include "lib/team.wgsl" %}
alias T = {{ T }};
{{ offset("kept_offset", "kept", "kept_strides", kept_rank) }}
{{ offset("reduced_offset", "reduced", "reduced_strides", reduced_rank) }}
{{ team_function("team_sum", "a + b", T, lanes, steps, spread) }}
@compute @workgroup_size({{ threads }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let line = team_line(group, groups, local);
    let lane = team_lane(local);
    // Surplus teams have nothing to read but meet the others at their barriers.
    let length = select(0u, params.length, line < params.lines);
    let start = kept_offset(line);
    let centre = mean[line % params.channels];
    var value = T(0.0);
{% call each_element("length", unroll) %}
        let distance = {% if images %}textureLoad(x, texel(start + reduced_offset(i))){% else %}x[start + reduced_offset(i)]{% endif %} - centre;
        value += distance * distance;
{% endcall %}
    value = team_sum(local, value);
    if (lane == 0u && line < params.lines) {
        y[line] = value / params.divisor;
    }
}
