// Every output pixel is a weighted sum of the channels of its own input pixel: a tiled matrix product.
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}
{% include "lib/gemm_operands.wgsl" %}
{% set part = 4 if vectors else 1 %}

// Where the own terms of a row begin, and how far a step has come, in elements or vectors.
alias Row = u32;
alias Place = u32;

fn row_of(row: u32, own: u32) -> Row {
    return ({% if batched %}own_group * params.rows + {% endif %}min(row, params.rows - 1u)) * (params.reduction / {{ part }}u){% if not tail %} + own / {{ part }}u{% endif %};
}

fn place_of(k: u32, own: u32) -> Place {
    return {{ "(k + own)" if tail else "k" }} / {{ part }}u;
}

fn further(place: Place) -> Place {
    return place + {{ depth // part }}u;
}

{% for last in ["", "_last"] if not last or tail %}
fn load_x{{ last }}(row: Row, place: Place) -> vec4<f32> {
{% if vectors %}
    return x[row + {% if last %}min(place, params.reduction / 4u - 1u){% else %}place{% endif %}];
{% elif last %}
    let channels = vec4(place, place + 1u, place + 2u, place + 3u);
    let at = row + min(channels, vec4(params.reduction - 1u));
    return select(vec4<f32>(), vec4(x[at.x], x[at.y], x[at.z], x[at.w]), channels < vec4(params.reduction));
{% else %}
    let at = row + place;
    return vec4(x[at], x[at + 1u], x[at + 2u], x[at + 3u]);
{% endif %}
}

{% endfor %}
{% include "lib/gemm.wgsl" %}
