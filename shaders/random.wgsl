// Random numbers by position: one invocation computes one of them, by the hash pcg4d (Jarzynski and Olano 2020).
{% include "lib/index.wgsl" %}
fn mixed(words: vec4<u32>) -> vec4<u32> {
    var v = words;
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    return v;
}

fn pcg4d(words: vec4<u32>) -> vec4<u32> {
    let v = mixed(words * 1664525u + 1013904223u);
    return mixed(v ^ (v >> vec4<u32>(16u)));
}

// The upper 24 bits as a number in [0, 1).
fn unit(word: u32) -> f32 { return f32(word >> 8u) / 16777216.0; }

@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    let seed = u32(key[0]) ^ (u32(key[1]) << 24u) ^ (u32(key[1]) >> 8u);
    let words = pcg4d(vec4<u32>(i, params.stream + u32(key[3]) * 0x9e3779b9u, seed, u32(key[2])));
{% if distribution == "keep" %}
    y[i] = select(params.b, 0.0, unit(words.x) < params.a);
{% else %}
    // Box and Muller; the logarithm never sees 0.
    let radius = sqrt(-2.0 * log(1.0 - unit(words.x)));
    y[i] = params.a + params.b * radius * cos(6.2831853 * unit(words.y));
{% endif %}
}
