// Mean of each channel or, around a given mean, its variance: a team computes one channel or vector of channels.
{% from "lib/axes.wgsl" import offset %}
{% from "lib/team.wgsl" import each_element, team_function %}
{% include "lib/index.wgsl" %}
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
{% if centred %}
    let centre = mean[min(line, params.lines - 1u)];
{% endif %}
    var value = T(0.0);
{% call each_element("length", unroll) %}
{% if centred %}
        let distance = x[start + reduced_offset(i)] - centre;
        value += distance * distance;
{% else %}
        value += x[start + reduced_offset(i)];
{% endif %}
{% endcall %}
    value = team_sum(local, value);
    if (lane == 0u && line < params.lines) {
        y[line] = value / params.divisor;
    }
}
