// One filter for all channels, in uniform memory, unrolled over a tile of outputs.
{% set shared = true %}
{% include "lib/window_register.wgsl" %}
