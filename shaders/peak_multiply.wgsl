// Independent chains of multiply-adds in registers: what a device computes when nothing is loaded or stored.
//
// Factor and addend are 1, which no compiler knows: the sums then count the multiply-adds exactly.
{% include "lib/index.wgsl" %}

@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let factor = params.factor;
    let addend = params.addend;
    // Lanes start from different values, or a compiler could compute one of them for all.
//% for c in range(chains)
    var sum{{ c }} = f32(local + {{ c }}u);
//% endfor
    for (var round = 0u; round < params.rounds; round++) {
//% for step in range(unroll)
//% for c in range(chains)
        sum{{ c }} = fma(sum{{ c }}, factor, addend);
//% endfor
//% endfor
    }
    y[linear_index(group, groups, local)] = {% for c in range(chains) %}sum{{ c }}{% if not loop.last %} + {% endif %}{% endfor %};
}
