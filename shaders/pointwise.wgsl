// Every output pixel is a weighted sum of the channels of its own input pixel: a tiled matrix product.
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}
{% include "lib/gemm_operands.wgsl" %}

fn load_x(row: u32, k: u32) -> vec4<f32> {
    let pixel = min(row, params.rows - 1u) * params.reduction;
{% if vectors %}
    let values = x[(pixel + {% if tail %}min(k, params.reduction - 4u){% else %}k{% endif %}) / 4u];
    return {% if tail %}select(vec4<f32>(), values, k < params.reduction){% else %}values{% endif %};
{% else %}
    let channels = vec4(k, k + 1u, k + 2u, k + 3u);
    let at = pixel + min(channels, vec4(params.reduction - 1u));
    return select(vec4<f32>(), vec4(x[at.x], x[at.y], x[at.z], x[at.w]), channels < vec4(params.reduction));
{% endif %}
}

{% include "lib/gemm.wgsl" %}
