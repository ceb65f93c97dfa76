{# A function `name` that splits a linear index over axes of the sizes `params.<sizes>0..`, the last one innermost, and
   adds up the strides `params.<strides>0..`. Strides may stand for negative numbers: `u32` arithmetic wraps. #}
{% macro offset(name, sizes, strides, rank) %}
fn {{ name }}(index: u32) -> u32 {
    var rest = index;
    var offset = 0u;
{% for axis in range(1, rank)|reverse %}
    offset += rest % params.{{ sizes }}{{ axis }} * params.{{ strides }}{{ axis }};
    rest /= params.{{ sizes }}{{ axis }};
{% endfor %}
    return offset + rest * params.{{ strides }}0;
}
{% endmacro %}
