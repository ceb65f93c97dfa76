// Normalisation over axes: a team takes mean and variance of one group, then scales and shifts its elements.
{% from "lib/axes.wgsl" import offset %}
{% from "lib/team.wgsl" import each_element, team_function %}
{% include "lib/index.wgsl" %}
{% include "lib/team.wgsl" %}
alias T = {{ T }};
{% for operand in ["x", "gamma", "beta"] %}
{{ offset("kept_" ~ operand, "kept", "kept_" ~ operand, kept_rank) }}
{{ offset("reduced_" ~ operand, "reduced", "reduced_" ~ operand, reduced_rank) }}
{% endfor %}
{{ team_function("team_sum", "a + b", T, lanes, steps, spread) }}
// The mean over a group, of which every lane has summed its part.
fn mean_of(local: u32, sum: T) -> f32 {
    let total = team_sum(local, sum);
    return {% if T == "f32" %}total{% else %}(total.x + total.y + total.z + total.w){% endif %} / params.elements;
}

@compute @workgroup_size({{ threads }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let line = team_line(group, groups, local);
    let lane = team_lane(local);
    // Surplus teams have nothing to read but meet the others at their barriers.
    let length = select(0u, params.length, line < params.lines);
    let start = kept_x(line);
    var sum = T(0.0);
{% call each_element("length", unroll) %}
        sum += x[start + reduced_x(i)];
{% endcall %}
    let mean = mean_of(local, sum);
    var deviations = T(0.0);
    var squares = T(0.0);
{% call each_element("length", unroll) %}
        let deviation = x[start + reduced_x(i)] - T(mean);
        deviations += deviation;
        squares += deviation * deviation;
{% endcall %}
    // What rounding left in the mean shows in the deviations (Chan, Golub and LeVeque 1983, "corrected two-pass").
    let correction = mean_of(local, deviations);
    let variance = mean_of(local, squares) - correction * correction;
    let scale = 1.0 / sqrt(variance + params.epsilon);
    let gamma_start = kept_gamma(line);
    let beta_start = kept_beta(line);
{% call each_element("length", unroll) %}
        let at = start + reduced_x(i);
        let unit = (x[at] - T(mean) - T(correction)) * scale;
        y[at] = unit * T(gamma[gamma_start + reduced_gamma(i)]) + T(beta[beta_start + reduced_beta(i)]);
{% endcall %}
}
