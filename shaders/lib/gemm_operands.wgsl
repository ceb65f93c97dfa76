{# Weights, and results of the tiled product: in vectors where the output channels fill whole ones.

   Reads behind the last row or column are clamped, as what they give is not stored. #}
{% set part = 4 if vectors else 1 %}
{% set beside = grouped and not batched %}
{% set pitch = "params.all_columns" if beside else "params.columns" %}
{% if grouped %}
// The group that a workgroup works on.
var<private> own_group: u32;

fn enter(group: u32) {
    own_group = group;
}
{% endif %}
// The columns of four sums, and the row of weights with where it begins, both in elements or vectors.
alias Column = {{ "u32" if vectors else "vec4<u32>" }};
struct Weights {
    k: u32,
    start: u32,
}

fn column_of(column: u32) -> Column {
{% if vectors %}
    return {% if beside %}own_group * (params.columns / 4u) + {% endif %}min(column, params.columns - 4u) / 4u;
{% else %}
    return {% if beside %}own_group * params.columns + {% endif %}min(vec4(column, column + 1u, column + 2u, column + 3u), vec4(params.columns - 1u));
{% endif %}
}

fn weights_of(k: u32) -> Weights {
    return Weights(k, {% if batched %}(own_group * params.reduction + k){% else %}k{% endif %} * ({{ pitch }} / {{ part }}u));
}

fn weights_further(weights: Weights) -> Weights {
    return Weights(weights.k + {{ depth }}u, weights.start + {{ depth }}u * ({{ pitch }} / {{ part }}u));
}

{% for last in ["", "_last"] if not last or tail %}
fn load_w{{ last }}(weights: Weights, after: u32, column: Column) -> vec4<f32> {
    let start = weights.start + after * ({{ pitch }} / {{ part }}u);
    let at = {% if last %}select(0u, start, weights.k + after < params.reduction){% else %}start{% endif %} + column;
    let values = {% if vectors %}w[at]{% else %}vec4(w[at.x], w[at.y], w[at.z], w[at.w]){% endif %};
    return {% if last and not vectors %}select(vec4<f32>(), values, weights.k + after < params.reduction){% else %}values{% endif %};
}

{% endfor %}
// What a sum starts with.
fn start_of(column: u32) -> vec4<f32> {
{% if sliced or bias == "none" %}
    return vec4<f32>();
{% elif vectors %}
    return bias_at(column_of(column));
{% else %}
    let channel = column_of(column);
    return vec4({% for c in "xyzw" %}bias_at(channel.{{ c }}){% if not loop.last %}, {% endif %}{% endfor %});
{% endif %}
}

fn store({% if sliced %}slice: u32, {% endif %}row: u32, column: u32, sum: vec4<f32>) {
{% if prepared is defined %}
    let pixel = pixel_of(row);
    if (pixel >= params.pixels) { return; }
{% endif %}
    let start = {% if sliced %}(slice * params.rows + row){% elif batched %}(own_group * params.rows + row){% elif prepared is defined %}pixel{% else %}row{% endif %} * ({{ pitch }} / {{ part }}u);
{% if vectors %}
    let i = start + {% if beside %}own_group * (params.columns / 4u) + {% endif %}column / 4u;
    if (column < params.columns) { y[i] = {% if sliced %}sum{% else %}complete(sum, i){% endif %}; }
{% else %}
    let i = start + {% if beside %}own_group * params.columns + {% endif %}column;
{% for j in range(4) %}
    if (column + {{ j }}u < params.columns) { y[i + {{ j }}u] = complete(sum[{{ j }}], i + {{ j }}u); }
{% endfor %}
{% endif %}
}
