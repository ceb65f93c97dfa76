{# Weights, and results of the tiled product: in vectors where the output channels fill whole ones. #}
fn load_w(k: u32, column: u32) -> vec4<f32> {
    if (k >= params.reduction || column >= params.columns) { return vec4<f32>(); }
{% if vectors %}
    return w[(k * params.columns + column) / 4u];
{% else %}
    let at = k * params.columns + column;
    var values = vec4<f32>(w[at], 0.0, 0.0, 0.0);
{% for j in range(1, 4) %}
    if (column + {{ j }}u < params.columns) { values[{{ j }}] = w[at + {{ j }}u]; }
{% endfor %}
    return values;
{% endif %}
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
