// Batched matrix product, element by element: one invocation computes one element of the output.
{% from "lib/axes.wgsl" import offset %}
{% include "lib/index.wgsl" %}
{{ offset("a_matrix", "batch", "a_batch", rank) }}
{{ offset("b_matrix", "batch", "b_batch", rank) }}
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    let column = i % params.n;
    let row = i / params.n % params.m;
    let matrix = i / params.n / params.m;
    let a_at = a_matrix(matrix) + row * params.a_row;
    let b_at = b_matrix(matrix) + column * params.b_column;
    var sum = 0.0;
    for (var k = 0u; k < params.k; k += {{ unroll }}u) {
{% for step in range(unroll) %}
        {% if step > 0 %}if (k + {{ step }}u < params.k) {% endif %}{ sum += a[a_at + (k + {{ step }}u) * params.a_k] * b[b_at + (k + {{ step }}u) * params.b_k]; }
{% endfor %}
    }
    y[i] = sum;
}
