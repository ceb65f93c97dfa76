// Permutation of axes, element by element along the output.
{% include "lib/copy.wgsl" %}
