// A transposed convolution on a processor's vector lanes: each lane owns some outputs of one row, a stride apart, and all
// lanes share one block of w, as in `pointwise_lane`.
//
// Outputs are grouped by phase, their distance to a multiple of the stride (per axis): all of one phase meet the same taps,
// `phase`, `phase + stride`, .., which read the inputs `n`, `n - 1`, .. Where they leave the input, the load is clamped to
// it and its result replaced by zero.
{% include "lib/lane.wgsl" %}
{% import "lib/tile_lane.wgsl" as tile %}
{% set outs = 4 * out_quads %}
{% set loads = (outs * quads + lanes - 1) // lanes %}

@compute @workgroup_size({{ lanes }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_invocation_id) lane: u32) {
    let work = group.y * groups.x + group.x;
    let first_quad = work % params.out_tiles * {{ out_quads }}u;
    let phase = work / params.out_tiles % params.phases;
    let width_phase = phase % params.width_stride;
    let height_phase = phase / params.width_stride % params.height_stride;
    let depth_phase = phase / params.width_stride / params.height_stride;
    let unclamped = work / params.out_tiles / params.phases * {{ lanes }}u + lane;
    let strip = min(unclamped, params.strips - 1u);
    var rest = strip / params.strips_per_row;
    let width = strip % params.strips_per_row * {{ pixels }}u;
    let height = rest % params.height_steps;
    rest /= params.height_steps;
    let depth = rest % params.depth_steps;
    let batch = rest / params.depth_steps;
    let out_depth = depth * params.depth_stride + depth_phase - params.depth_lead;
    let out_height = height * params.height_stride + height_phase - params.height_lead;
    let row_live = unclamped < params.strips && out_depth < params.depth_output && out_height < params.height_output;
    let out_line = (batch * params.depth_output + out_depth) * params.height_output + out_height;
//% for p in range(pixels)
    let out_width{{ p }} = (width + {{ p }}u) * params.width_stride + width_phase - params.width_lead;
    let live{{ p }} = row_live && out_width{{ p }} < params.width_output;
    let pixel{{ p }} = select(0u, out_line * params.width_output + out_width{{ p }}, live{{ p }});
//% endfor
    // Where this lane finds its texels of the block, four input channels of one output channel each.
//% for g in range(loads)
    let t{{ g }} = min({{ g * lanes }}u + lane, {{ outs * quads - 1 }}u);
    let w{{ g }} = min(first_quad * 4u + t{{ g }} % {{ outs }}u, params.out_channels - 1u) * params.in_quads + t{{ g }} / {{ outs }}u;
//% endfor
{{ tile.sums(pixels, out_quads) }}
    var d = params.depth_first + depth;
    for (var kd = depth_phase; kd < params.depth_size; kd += params.depth_stride) {
        let inside_depth = d < params.depth_input;
        let plane = (batch * params.depth_input + min(d, params.depth_input - 1u)) * params.height_input;
        d -= 1u;
        var h = params.height_first + height;
        for (var kh = height_phase; kh < params.height_size; kh += params.height_stride) {
            let inside = inside_depth && h < params.height_input;
            let row = (plane + min(h, params.height_input - 1u)) * params.width_input;
            h -= 1u;
            var left = params.width_first + width;
            for (var kw = width_phase; kw < params.width_size; kw += params.width_stride) {
//% for p in range(pixels)
                let inside{{ p }} = inside && left + {{ p }}u < params.width_input;
                let x{{ p }} = (row + min(left + {{ p }}u, params.width_input - 1u)) * params.in_quads;
//% endfor
                left -= 1u;
                let tap = ((kd * params.height_size + kh) * params.width_size + kw) * params.out_channels * params.in_quads;
                for (var q = 0u; q < params.in_quads; q += {{ quads }}u) {
//% for p in range(pixels)
//% for i in range(quads)
                    let a{{ p }}_{{ i }} = select(vec4<f32>(), textureLoad(x, texel(x{{ p }} + q + {{ i }}u)), inside{{ p }});
//% endfor
//% endfor
//% for g in range(loads)
                    let b{{ g }} = textureLoad(w, texel(tap + q + w{{ g }}));
//% endfor
//% for j in range(outs)
//% for k in range(4 * quads)
{% set t = k // 4 * outs + j %}
                    {
                        let b = subgroupShuffle(b{{ t // lanes }}.{{ "xyzw"[k % 4] }}, {{ t % lanes }}u);
//% for p in range(pixels)
                        sum{{ p }}_{{ j }} += a{{ p }}_{{ k // 4 }}.{{ "xyzw"[k % 4] }} * b;
//% endfor
                    }
//% endfor
//% endfor
                }
            }
        }
    }
{{ tile.store(pixels, out_quads) }}
}
