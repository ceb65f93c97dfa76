// One filter for all channels, on the vector lanes of a processor; its taps are scalars at constant addresses.
{% set shared = true %}
{% if strip %}{% include "lib/window_strip.wgsl" %}{% else %}{% include "lib/window_lane.wgsl" %}{% endif %}
