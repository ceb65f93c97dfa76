{# What happens to a result before it is stored: bias, residual, activation, as the options say.

   `finish(value, i, channel)` takes the position in the output and in a pixel, both in elements or vectors `T`. #}
fn finish(value: T, i: u32, channel: u32) -> T {
    var result = value;
{% if bias == "one" %}
    result += T(bias[0]);
{% elif bias == "channel" %}
    result += bias[channel];
{% endif %}
{% if residual %}
    result += residual[i];
{% endif %}
    return {{ "activate4" if T == "vec4<f32>" else "activate" }}(result);
}
