{# What the lane family shares: image addresses, and the way from accumulators to stored vectors.

   The options `bias` ("none", "one", "channel") and `residual` say which operands the epilogue has; `lib/activation.wgsl`
   is included here. #}
{% include "lib/activation.wgsl" %}
{% include "lib/texel.wgsl" %}

// Bias, residual and activation of the vector at position `index` of the output.
fn finish(sum: vec4<f32>, bias_value: vec4<f32>, index: u32) -> vec4<f32> {
    return activate4(sum{% if bias != "none" %} + bias_value{% endif %}{% if residual %} + textureLoad(residual, texel(index)){% endif %});
}

// The bias of the four channels of `quad`.
fn bias_of(quad: u32) -> vec4<f32> {
{% if bias == "channel" %}
    return textureLoad(bias, texel(quad));
{% elif bias == "one" %}
    return vec4<f32>(textureLoad(bias, vec2<u32>(0u, 0u)).x);
{% else %}
    return vec4<f32>();
{% endif %}
}
