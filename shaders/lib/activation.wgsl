{# The functions `activate` (f32) and `activate4` (vec4) of the option `activation`; the identity when it is null. Where there is an
   option `inner_activation`, `inner_activate4` as well. #}
{% from "lib/functions.wgsl" import function %}
fn activate(x: f32) -> f32 {
{% if activation %}{{ function(activation, "f32") }}{% else %}    return x;
{% endif %}
}

fn activate4(x: vec4<f32>) -> vec4<f32> {
{% if activation %}{{ function(activation, "vec4<f32>") }}{% else %}    return x;
{% endif %}
}
{% if inner_activation is defined %}

fn inner_activate4(x: vec4<f32>) -> vec4<f32> {
{% if inner_activation %}{{ function(inner_activation, "vec4<f32>") }}{% else %}    return x;
{% endif %}
}
{% endif %}
