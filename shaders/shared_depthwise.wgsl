// A window over each channel with one filter for all, which every invocation reads from uniform memory.
{% include "lib/index.wgsl" %}
{% include "lib/activation.wgsl" %}
alias T = vec4<f32>;
{% include "lib/epilogue.wgsl" %}
{% macro weight(row, column) %}w[{{ (row * size_columns + column) // 4 }}][{{ (row * size_columns + column) % 4 }}]{% endmacro %}
{% include "lib/window_register.wgsl" %}
