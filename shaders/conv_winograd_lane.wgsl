// What surrounds the products of a 3x3 convolution by Winograd's F(2x2, 3x3), on the vector lanes of a processor.
{% set lane = true %}
{% include "conv_winograd" %}
