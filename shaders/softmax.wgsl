// Softmax and its kin along an axis: a team works on one line of `size` elements that lie `inner` apart.
{% from "lib/team.wgsl" import team_function %}
{% include "lib/index.wgsl" %}
{% include "lib/team.wgsl" %}
{{ team_function("team_sum", "a + b", "f32", lanes, steps, spread) }}
{{ team_function("team_largest", "select(a, b, b > a)", "f32", lanes, steps, spread) }}
@compute @workgroup_size({{ threads }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let line = team_line(group, groups, local);
    let lane = team_lane(local);
    // Surplus teams have nothing to read but meet the others at their barriers.
    let size = select(0u, params.size, line < params.lines);
    let start = line / params.inner * params.size * params.inner + line % params.inner;
    var largest = params.lowest;
    for (var i = lane; i < size; i += LANES) {
        let value = x[start + i * params.inner];
        largest = select(largest, value, value > largest);
    }
    largest = team_largest(local, largest);
{% if kind == "sparsemax" %}
    // Michelot's iteration: drop what lies below the threshold and average again, until nothing is dropped. Elements are
    // taken relative to the largest one, which moves the threshold along and keeps small differences exact.
    var threshold = params.lowest;
    var support = size;
    for (var round = 0u; round < size; round++) {
        var sum = 0.0;
        var kept = 0u;
        for (var i = 0u; i < size; i++) {
            let value = x[start + i * params.inner] - largest;
            if (value > threshold) {
                sum += value;
                kept++;
            }
        }
        threshold = (sum - 1.0) / f32(max(kept, 1u));
        var next = 0u;
        for (var i = 0u; i < size; i++) {
            next += select(0u, 1u, x[start + i * params.inner] - largest > threshold);
        }
        if (next == support || next == 0u) { break; }
        support = next;
    }
    for (var i = 0u; i < size; i++) {
        let value = x[start + i * params.inner] - largest - threshold;
        y[start + i * params.inner] = select(0.0, value, value > 0.0);
    }
{% else %}
    var sum = 0.0;
    for (var i = lane; i < size; i += LANES) {
        sum += exp(x[start + i * params.inner] - largest);
    }
    sum = team_sum(local, sum);
{% if kind == "log_softmax" %}
    let shift = log(sum);
{% endif %}
    for (var i = lane; i < size; i += LANES) {
        let at = start + i * params.inner;
        let value = x[at] - largest;
{% if kind == "log_softmax" %}
        y[at] = value - shift;
{% else %}
        y[at] = exp(value) / sum;
{% endif %}
    }
{% endif %}
}
