// Softmax and its kin along an axis: a team works on one line of `size` elements that lie `inner` apart.
{% from "lib/team.wgsl" import each_element, team_function %}
{% from "lib/nan.wgsl" import keep_nan %}
{% include "lib/index.wgsl" %}
{% include "lib/team.wgsl" %}
{{ team_function("team_sum", "a + b", T, lanes, steps, spread) }}
{{ team_function("team_largest", "select(a, b, b > a)", T, lanes, steps, spread) }}
@compute @workgroup_size({{ threads }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let line = team_line(group, groups, local);
    let lane = team_lane(local);
    // Surplus teams have nothing to read but meet the others at their barriers.
    let size = select(0u, params.size, line < params.lines);
    let start = line / params.inner * params.size * params.inner + line % params.inner;
    var largest = params.lowest;
{% call each_element("size", unroll) %}
        let value = x[start + i * params.inner];
        largest = select(largest, value, value > largest);
{% endcall %}
{% if kind == "sparsemax" %}
    largest = team_largest(local, vec2(largest)).x;
    // Michelot's iteration: drop what lies below the threshold and average again, until nothing is dropped. Elements are
    // taken relative to the largest one, which moves the threshold along and keeps small differences exact.
    var threshold = params.lowest;
    var support = f32(params.size) + 1.0;
    loop {
        var sum = vec2(0.0);
{% call each_element("size", unroll) %}
            let value = x[start + i * params.inner] - largest;
            sum += select(vec2(0.0), vec2(value, 1.0), value > threshold);
{% endcall %}
{% if lanes == 1 %}
        let kept = sum;
{% else %}
        _ = team_sum(local, sum);
        let kept = workgroupUniformLoad(&team_values[0]);
{% endif %}
        if (kept.y == 0.0 || kept.y >= support) { break; }
        support = kept.y;
        threshold = (kept.x - 1.0) / support;
    }
{% call each_element("size", unroll) %}
        let at = start + i * params.inner;
        let value = x[at] - largest - threshold;
        y[at] = select(0.0, value, value > 0.0);
{% endcall %}
{% else %}
    largest = team_largest(local, largest);
    var sum = 0.0;
{% call each_element("size", unroll) %}
        let value = x[start + i * params.inner] - largest;
        sum += {{ keep_nan("exp", "value", "f32") }};
{% endcall %}
    sum = team_sum(local, sum);
{% if kind == "log_softmax" %}
    let shift = {{ keep_nan("log", "sum", "f32") }};
{% endif %}
{% call each_element("size", unroll) %}
        let at = start + i * params.inner;
        let value = x[at] - largest;
        y[at] = {% if kind == "log_softmax" %}value - shift{% else %}{{ keep_nan("exp", "value", "f32") }} / sum{% endif %};
{% endcall %}
{% endif %}
}
