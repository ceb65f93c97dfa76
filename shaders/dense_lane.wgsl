// A matrix product with few rows on a processor's vector lanes: each lane owns four output channels of some rows.
//
// A lane loads its own texels of w. The inputs, `quads` texels of each row per step, are spread over the lanes and
// broadcast by shuffles with literal lane numbers.
{% include "lib/lane.wgsl" %}

@compute @workgroup_size({{ lanes }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_invocation_id) lane: u32) {
    let work = group.y * groups.x + group.x;
    let unclamped = work % params.out_tiles * {{ lanes }}u + lane;
    let quad = min(unclamped, params.out_quads - 1u);
    let first_pixel = work / params.out_tiles * {{ pixels }}u;
//% for p in range(pixels)
    let pixel{{ p }} = min(first_pixel + {{ p }}u, params.pixels - 1u);
    let x{{ p }} = pixel{{ p }} * params.in_quads + lane % {{ quads }}u;
    var sum{{ p }} = vec4<f32>();
//% endfor
    for (var q = 0u; q < params.in_quads; q += {{ quads }}u) {
//% for p in range(pixels)
        let a{{ p }} = textureLoad(x, texel(x{{ p }} + q));
//% endfor
        let row = q * 4u * params.out_quads + quad;
//% for k in range(4 * quads)
        {
            let b = textureLoad(w, texel(row + {{ k }}u * params.out_quads));
//% for p in range(pixels)
            sum{{ p }} += subgroupShuffle(a{{ p }}.{{ "xyzw"[k % 4] }}, {{ k // 4 }}u) * b;
//% endfor
        }
//% endfor
    }
    let bias_value = bias_of(quad);
//% for p in range(pixels)
    {
        let index = pixel{{ p }} * params.out_quads + quad;
        let value = finish(sum{{ p }}, bias_value, index);
        if (unclamped < params.out_quads && first_pixel + {{ p }}u < params.pixels) {
            y[index] = value;
        }
    }
//% endfor
}
