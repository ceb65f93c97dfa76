// A filter for each channel, unrolled over a tile of outputs.
{% set shared = false %}
{% include "lib/window_register.wgsl" %}
