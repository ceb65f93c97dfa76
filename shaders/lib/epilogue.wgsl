{# What happens to a result before it is stored: bias, residual, activation, as the options say.

   `finish(value, i, channel)` takes the position in the output and in a pixel, both in elements or vectors `T`. A sum that
   starts with `bias_at(channel)` is finished by `complete(sum, i)`, and has its bias at no cost. #}
fn bias_at(channel: u32) -> T {
{% if bias == "one" %}
    return T(bias[0]);
{% elif bias == "channel" %}
    return bias[channel];
{% else %}
    return T();
{% endif %}
}

fn complete(sum: T, i: u32) -> T {
    return {{ "activate4" if T == "vec4<f32>" else "activate" }}(sum{% if residual %} + residual[i]{% endif %});
}

fn finish(value: T, i: u32, channel: u32) -> T {
    return complete(value{% if bias != "none" %} + bias_at(channel){% endif %}, i);
}
