{# Element or vector `index` of a tensor that is bound in `form`. #}
{% macro read(name, index, form) %}{% if form == "image" %}textureLoad({{ name }}, texel({{ index }})){% elif form == "image_scalar" %}textureLoad({{ name }}, texel({{ index }})).x{% else %}{{ name }}[{{ index }}]{% endif %}{% endmacro %}
// The place of a texel in an image of {{ IMAGE_WIDTH }} texels a row.
fn texel(index: u32) -> vec2<u32> {
    return vec2<u32>(index % {{ IMAGE_WIDTH }}u, index / {{ IMAGE_WIDTH }}u);
}
