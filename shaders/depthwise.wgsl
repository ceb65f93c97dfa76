// A window over each channel with filters of its own, several outputs of four channels per invocation.
{% include "lib/index.wgsl" %}
{% include "lib/activation.wgsl" %}
alias T = vec4<f32>;
{% include "lib/epilogue.wgsl" %}
{% macro weight(row, column) %}w[{{ row * size_columns + column }}u * params.quads + channel]{% endmacro %}
{% include "lib/window_register.wgsl" %}
