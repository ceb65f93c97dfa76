// A filter for each channel, on the vector lanes of a processor.
{% set shared = false %}
{% if strip %}{% include "lib/window_strip.wgsl" %}{% else %}{% include "lib/window_lane.wgsl" %}{% endif %}
