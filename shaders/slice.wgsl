// Part of a tensor, copied to the front of the output.
{% include "lib/copy.wgsl" %}
