// One input copied to its place in the output.
{% include "lib/copy.wgsl" %}
