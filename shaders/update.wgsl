// An optimizer's step: one invocation changes four elements of a weight. The formulas are those of `UpdateRule`.
{% include "lib/index.wgsl" %}
alias T = vec4<f32>;
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.vectors) { return; }
    let gradient = g[i];
    let old = w[i];
    let start = old - old * rates[0].x;
    let rate = rates[0].y;
{% if rule == "sgd" %}
    new_w[i] = start - rate * gradient;
{% elif rule == "momentum" %}
    let m = {{ momentum }} * slot_0[i] - rate * gradient;
    new_slot_0[i] = m;
{% if nesterov %}
    new_w[i] = start + {{ momentum }} * m - rate * gradient;
{% else %}
    new_w[i] = start + m;
{% endif %}
{% elif rule == "adam" or rule == "nadam" or rule == "adamax" %}
    let old_m = slot_0[i];
    let m = old_m + (gradient - old_m) * (1.0 - {{ beta_1 }});
    new_slot_0[i] = m;
    let old_v = slot_1[i];
{% if rule == "adamax" %}
    let v = max({{ beta_2 }} * old_v, abs(gradient));
    new_slot_1[i] = v;
    new_w[i] = start - rate * m / (v + {{ epsilon }});
{% else %}
    let v = old_v + (gradient * gradient - old_v) * (1.0 - {{ beta_2 }});
    new_slot_1[i] = v;
{% if rule == "nadam" %}
    new_w[i] = start - rate * (rates[0].z * m + rates[0].w * gradient) / (sqrt(v * rates[1].x) + {{ epsilon }});
{% elif amsgrad %}
    let largest = max(slot_2[i], v);
    new_slot_2[i] = largest;
    new_w[i] = start - rate * m / (sqrt(largest) + {{ epsilon }});
{% else %}
    new_w[i] = start - rate * m / (sqrt(v) + {{ epsilon }});
{% endif %}
{% endif %}
{% elif rule == "rmsprop" %}
    let v = {{ rho }} * slot_0[i] + (1.0 - {{ rho }}) * gradient * gradient;
    new_slot_0[i] = v;
    var denominator = v + {{ epsilon }};
{% if average %}
    let mean = {{ rho }} * {{ average[0] }}[i] + (1.0 - {{ rho }}) * gradient;
    {{ average[1] }}[i] = mean;
    denominator -= mean * mean;
{% endif %}
    let step = rate * gradient / sqrt(denominator);
{% if accumulates %}
    let m = {{ momentum }} * slot_1[i] + step;
    new_slot_1[i] = m;
    new_w[i] = start - m;
{% else %}
    new_w[i] = start - step;
{% endif %}
{% elif rule == "adagrad" %}
    let a = slot_0[i] + gradient * gradient;
    new_slot_0[i] = a;
    new_w[i] = start - rate * gradient / sqrt(a + {{ epsilon }});
{% elif rule == "lion" %}
    let m = slot_0[i];
    let direction = {{ beta_1 }} * m + (1.0 - {{ beta_1 }}) * gradient;
    new_slot_0[i] = {{ beta_2 }} * m + (1.0 - {{ beta_2 }}) * gradient;
    new_w[i] = start - rate * sign(direction);
{% else %}
    this rule has no WGSL: {{ rule }}
{% endif %}
}
