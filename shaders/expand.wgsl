// Repetition: source strides of 0.
{% include "lib/copy.wgsl" %}
