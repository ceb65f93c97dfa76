{# Where `x` is NaN, read off its bits: compilers may assume that `x != x` is false. #}
{% macro is_nan(x, T) %}
{% if T == "f32" %}(bitcast<u32>({{ x }}) & 0x7fffffffu) > 0x7f800000u{% else %}(bitcast<vec4<u32>>({{ x }}) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u){% endif %}
{% endmacro %}
{# Where the sign of `x` is +, zeros and NaN included. #}
{% macro is_positive(x, T) %}
{% if T == "f32" %}(bitcast<u32>({{ x }}) & 0x80000000u) == 0u{% else %}(bitcast<vec4<u32>>({{ x }}) & vec4<u32>(0x80000000u)) == vec4<u32>(0u){% endif %}
{% endmacro %}
{# A built-in function that keeps NaN: some drivers take it for a number. #}
{% macro keep_nan(function, x, T) %}select({{ function }}({{ x }}), {{ x }}, {{ is_nan(x, T) }}){% endmacro %}
