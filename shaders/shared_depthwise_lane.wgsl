// One filter for all channels, on the vector lanes of a processor; its taps are scalars at constant addresses.
{% set shared = true %}
{% include "lib/window_lane.wgsl" %}
