// A matrix product on a processor's vector lanes: each lane owns some rows of x, and all lanes share one block of w. With
// `planes`, as many products as the grid is deep lie behind each other.
//
// A lane loads its own texels of x. The block of w is spread over the lanes and broadcast by shuffles with literal lane
// numbers. There is no branch around the loop, because a mask would make every sum pay for a blend: indices are clamped
// and only the store is skipped.
{% include "lib/lane.wgsl" %}
{% import "lib/tile_lane.wgsl" as tile %}

@compute @workgroup_size({{ lanes }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_invocation_id) lane: u32) {
    let work = group.y * groups.x + group.x;
    let first_quad = work % params.out_tiles * {{ out_quads }}u;
    let first_pixel = work / params.out_tiles * {{ pixels * lanes }}u + lane;
//% for p in range(pixels)
    let live{{ p }} = first_pixel + {{ p * lanes }}u < params.pixels;
    let pixel{{ p }} = {% if planes %}group.z * params.pixels + {% endif %}min(first_pixel + {{ p * lanes }}u, params.pixels - 1u);
    let x{{ p }} = pixel{{ p }} * params.in_quads;
//% endfor
{{ tile.places(1, 4 * in_quads, out_quads, lanes) }}
{{ tile.sums(pixels, out_quads) }}
    for (var q = 0u; q < params.in_quads; q += {{ in_quads }}u) {
//% for p in range(pixels)
//% for i in range(in_quads)
        let a{{ p }}_{{ i }} = textureLoad(x, texel(x{{ p }} + q + {{ i }}u));
//% endfor
//% endfor
        let row = ({% if planes %}group.z * params.in_channels + {% endif %}q * 4u) * params.out_quads;
{{ tile.multiply("row", pixels, 1, 1, 4 * in_quads, out_quads, lanes, false) }}
    }
{{ tile.store(pixels, out_quads) }}
}
