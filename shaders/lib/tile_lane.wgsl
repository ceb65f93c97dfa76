{# Register tiles of the lane family: every lane owns `pixels` outputs of 4 * `out_quads` channels, `sum<p>_<j>`.

   All lanes share a block of weights of `taps * channels` rows of `out_quads` texels, spread over the lanes as `b<g>`.
   Macros, because everything here is unrolled text. #}
{% macro sums(pixels, out_quads) %}
//% for p in range(pixels)
//% for j in range(4 * out_quads)
    var sum{{ p }}_{{ j }} = 0.0;
//% endfor
//% endfor
{% endmacro %}

{# Where each lane finds its texels of the block, from the block's first row on. #}
{% macro places(taps, channels, out_quads, lanes) %}
{% set texels = taps * channels * out_quads %}
//% for g in range((texels + lanes - 1) // lanes)
    let t{{ g }} = min({{ g * lanes }}u + lane, {{ texels - 1 }}u);
    let w{{ g }} = (t{{ g }} / {{ channels * out_quads }}u * params.in_channels + t{{ g }} / {{ out_quads }}u % {{ channels }}u) * params.out_quads
        + min(first_quad + t{{ g }} % {{ out_quads }}u, params.out_quads - 1u);
//% endfor
{% endmacro %}

{# Multiplies inputs `a<column>_<..>` (a vector for four channels, or a scalar each) with the block whose first row is `row`.
   Two outputs at a time: their sums stay in registers, and each input is fetched once for both. #}
{% macro multiply(row, pixels, stride, taps, channels, out_quads, lanes, scalar) %}
//% for g in range((taps * channels * out_quads + lanes - 1) // lanes)
        let b{{ g }} = textureLoad(w, texel({{ row }} + w{{ g }}));
//% endfor
//% for first in range(0, 4 * out_quads, 2)
//% for tap in range(taps)
//% for k in range(channels)
//% for j in range(first, first + 2)
{% set t = (tap * channels + k) * out_quads + j // 4 %}
        {
            let b = subgroupShuffle(b{{ t // lanes }}.{{ "xyzw"[j % 4] }}, {{ t % lanes }}u);
//% for p in range(pixels)
            sum{{ p }}_{{ j }} += a{{ p * stride + tap }}_{% if scalar %}{{ k }}{% else %}{{ k // 4 }}.{{ "xyzw"[k % 4] }}{% endif %} * b;
//% endfor
        }
//% endfor
//% endfor
//% endfor
//% endfor
{% endmacro %}

{# Stores the sums of the pixels `pixel<p>` (clamped into the output) where `live<p>` holds. #}
{% macro store(pixels, out_quads) %}
//% for n in range(out_quads)
    {
        let quad = min(first_quad + {{ n }}u, params.out_quads - 1u);
        let bias_value = bias_of(quad);
//% for p in range(pixels)
        let index{{ p }} = pixel{{ p }} * params.out_quads + quad;
        let value{{ p }} = finish(vec4<f32>({% for c in range(4) %}sum{{ p }}_{{ 4 * n + c }}{% if c < 3 %}, {% endif %}{% endfor %}), bias_value, index{{ p }});
        if (live{{ p }} && first_quad + {{ n }}u < params.out_quads) {
            y[index{{ p }}] = value{{ p }};
        }
//% endfor
    }
//% endfor
{% endmacro %}
