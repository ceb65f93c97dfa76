{# Weights, and results of the tiled product: in vectors where the output channels fill whole ones.

   Reads behind the last row or column are clamped. Only a `tail` of the sum needs zeros: sums outside are not stored. #}
fn load_w(k: u32, column: u32) -> vec4<f32> {
    let row = {% if tail %}min(k, params.reduction - 1u){% else %}k{% endif %} * params.columns;
{% if vectors %}
    let values = w[(row + min(column, params.columns - 4u)) / 4u];
{% else %}
    let at = row + min(vec4(column, column + 1u, column + 2u, column + 3u), vec4(params.columns - 1u));
    let values = vec4(w[at.x], w[at.y], w[at.z], w[at.w]);
{% endif %}
    return {% if tail %}select(vec4<f32>(), values, k < params.reduction){% else %}values{% endif %};
}

fn store(row: u32, column: u32, sum: vec4<f32>) {
    if (row >= params.rows || column >= params.columns) { return; }
{% if vectors %}
    let i = (row * params.columns + column) / 4u;
    y[i] = finish(sum, i, column / 4u);
{% else %}
    let i = row * params.columns + column;
{% for j in range(4) %}
    if (column + {{ j }}u < params.columns) { y[i + {{ j }}u] = finish(sum[{{ j }}], i + {{ j }}u, column + {{ j }}u); }
{% endfor %}
{% endif %}
}
