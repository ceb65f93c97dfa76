{# A function `name` that splits a linear index over axes of the sizes `params.<sizes>0..`, the last one innermost, and
   adds up the strides `params.<strides>0..`. Strides may stand for negative numbers: `u32` arithmetic wraps. One division for
   each axis: they are what these kernels take longest for. #}
{% macro offset(name, sizes, strides, rank) %}
fn {{ name }}(index: u32) -> u32 {
    var rest = index;
    var offset = 0u;
{% for axis in range(1, rank)|reverse %}
    let outer{{ axis }} = rest / params.{{ sizes }}{{ axis }};
    offset += (rest - outer{{ axis }} * params.{{ sizes }}{{ axis }}) * params.{{ strides }}{{ axis }};
    rest = outer{{ axis }};
{% endfor %}
    return offset + rest * params.{{ strides }}0;
}
{% endmacro %}
