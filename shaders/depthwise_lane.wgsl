// A filter for each channel, on the vector lanes of a processor.
{% set shared = false %}
{% include "lib/window_lane.wgsl" %}
