// Every output pixel is a weighted sum of the channels of its own input pixel: a tiled matrix product.
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}
{% include "lib/gemm_operands.wgsl" %}

fn load_x(row: u32, k: u32) -> vec4<f32> {
    if (row >= params.rows || k >= params.reduction) { return vec4<f32>(); }
{% if vectors %}
    return x[(row * params.reduction + k) / 4u];
{% else %}
    let at = row * params.reduction + k;
    var values = vec4<f32>(x[at], 0.0, 0.0, 0.0);
{% for j in range(1, 4) %}
    if (k + {{ j }}u < params.reduction) { values[{{ j }}] = x[at + {{ j }}u]; }
{% endfor %}
    return values;
{% endif %}
}

{% include "lib/gemm.wgsl" %}
