// The gradient of a convolution's weights on a processor's vector lanes: a matrix product whose sum runs over the pixels.
//
// Each lane owns some rows of the filter (channels of x under some tap), and all lanes share a block of its columns, whose
// texels of dy are spread over the lanes and broadcast by shuffles with literal lane numbers; `turned`, they own columns and
// share rows. Where a tap leaves the input, the load is clamped to it and its result replaced by zero. Sum by sum, so that
// few of them are live at a time.
{% include "lib/texel.wgsl" %}
{% set own_name = "dy" if turned else "x" %}
{% set shared_name = "x" if turned else "dy" %}
{% set loads = (step * shared + lanes - 1) // lanes %}

@compute @workgroup_size({{ lanes }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_invocation_id) lane: u32) {
    let work = group.y * groups.x + group.x;
    let unit_tile = work % params.unit_tiles;
    let first_shared = work / params.unit_tiles % params.shared_tiles * {{ shared }}u;
    let slice = work / params.unit_tiles / params.shared_tiles;
//% for u in range(own)
    let unclamped{{ u }} = (unit_tile * {{ own }}u + {{ u }}u) * {{ lanes }}u + lane;
    let unit{{ u }} = min(unclamped{{ u }}, params.units - 1u);
    let channel{{ u }} = unit{{ u }} % params.own_texels;
{% if not plain %}
    let tap{{ u }} = unit{{ u }} / params.own_texels;
    let width{{ u }} = tap{{ u }} % params.width_size * params.width_dilation - params.width_before;
    let height{{ u }} = tap{{ u }} / params.width_size % params.height_size * params.height_dilation - params.height_before;
    let depth{{ u }} = tap{{ u }} / params.width_size / params.height_size * params.depth_dilation - params.depth_before;
{% endif %}
//% endfor
    // The texels of the block that this lane loads: a pixel of the step, and a texel of that pixel.
//% for g in range(loads)
    let t{{ g }} = min({{ g * lanes }}u + lane, {{ step * shared - 1 }}u);
    let t{{ g }}_pixel = t{{ g }} / {{ shared }}u;
    let t{{ g }}_texel = min(first_shared + t{{ g }} % {{ shared }}u, params.shared_texels - 1u);
//% endfor
//% for u in range(own)
//% for k in range(4 if turned else rows)
//% for j in range(4 * shared)
    var sum{{ u }}_{{ k }}_{{ j }} = 0.0;
//% endfor
//% endfor
//% endfor
    let end = min((slice + 1u) * params.lines_per_slice, params.lines);
    for (var line = slice * params.lines_per_slice; line < end; line++) {
{% if plain %}
        let first = line * {{ plain_line }}u;
        let line_end = min(first + {{ plain_line }}u, params.pixels);
{% else %}
        let first = line * params.pixels;
        let line_end = first + params.pixels;
        let h = line % params.height_output * params.height_stride;
        let outer = line / params.height_output;
        let d = outer % params.depth_output * params.depth_stride;
        let image = outer / params.depth_output * params.depth_input;
//% for u in range(own)
        let h{{ u }} = h + height{{ u }};
        let d{{ u }} = d + depth{{ u }};
        let inside{{ u }} = h{{ u }} < params.height_input && d{{ u }} < params.depth_input;
        let start{{ u }} = ((image + min(d{{ u }}, params.depth_input - 1u)) * params.height_input + min(h{{ u }}, params.height_input - 1u)) * params.width_input;
//% endfor
{% endif %}
        for (var pixel = first; pixel < line_end; pixel += {{ step }}u) {
//% for p in range(step)
//% for u in range(own)
{% if plain %}
{% set value = "textureLoad(" ~ own_name ~ ", texel(" ~ ("min(pixel + " ~ p ~ "u, params.pixels - 1u)" if tail else "(pixel + " ~ p ~ "u)") ~ " * params.own_texels + channel" ~ u ~ "))" ~ (".x" if rows == 1 else "") %}
            let a{{ p }}_{{ u }} = {% if tail %}select({{ "0.0" if rows == 1 else "vec4<f32>()" }}, {{ value }}, pixel + {{ p }}u < line_end){% else %}{{ value }}{% endif %};
{% else %}
            let w{{ p }}_{{ u }} = (pixel - first + {{ p }}u) * params.width_stride + width{{ u }};
            let a{{ p }}_{{ u }} = select({{ "0.0" if rows == 1 else "vec4<f32>()" }}, textureLoad(x, texel((start{{ u }} + min(w{{ p }}_{{ u }}, params.width_input - 1u)) * params.own_texels + channel{{ u }})){{ ".x" if rows == 1 }}, inside{{ u }} && w{{ p }}_{{ u }} < params.width_input{% if tail %} && pixel + {{ p }}u < line_end{% endif %});
{% endif %}
//% endfor
//% endfor
//% for g in range(loads)
{% if tail %}
            let b{{ g }} = select(vec4<f32>(), textureLoad({{ shared_name }}, texel(min(pixel + t{{ g }}_pixel, line_end - 1u) * params.shared_texels + t{{ g }}_texel)), pixel + t{{ g }}_pixel < line_end);
{% else %}
            let b{{ g }} = textureLoad({{ shared_name }}, texel((pixel + t{{ g }}_pixel) * params.shared_texels + t{{ g }}_texel));
{% endif %}
//% endfor
//% for j in range(4 * shared)
            {
//% for p in range(step)
{% set t = p * shared + j // 4 %}
                let c{{ p }} = subgroupShuffle(b{{ t // lanes }}.{{ "xyzw"[j % 4] }}, {{ t % lanes }}u);
//% endfor
//% for u in range(own)
//% for k in range(4 if turned else rows)
                sum{{ u }}_{{ k }}_{{ j }} += {% for p in range(step) %}{% if p > 0 %} + {% endif %}a{{ p }}_{{ u }}{% if rows == 4 %}.{{ "xyzw"[k] }}{% endif %} * c{{ p }}{% endfor %};
//% endfor
//% endfor
            }
//% endfor
        }
    }
{% if turned %}
//% for u in range(own)
//% for n in range(shared)
    if (unclamped{{ u }} < params.units && first_shared + {{ n }}u < params.shared_texels) {
        let row = slice * params.filter_rows + (first_shared + {{ n }}u) * 4u;
//% for c in range(4)
        dw[(row + {{ c }}u) * params.filter_quads + unit{{ u }}] = vec4<f32>({% for k in range(4) %}sum{{ u }}_{{ k }}_{{ 4 * n + c }}{% if k < 3 %}, {% endif %}{% endfor %});
//% endfor
    }
//% endfor
//% endfor
{% else %}
//% for u in range(own)
//% for n in range(shared)
    if (unclamped{{ u }} < params.units && first_shared + {{ n }}u < params.shared_texels) {
        let row = slice * params.filter_rows + unit{{ u }} * {{ rows }}u;
//% for k in range(rows)
        dw[(row + {{ k }}u) * params.filter_quads + first_shared + {{ n }}u] = vec4<f32>({% for c in range(4) %}sum{{ u }}_{{ k }}_{{ 4 * n + c }}{% if c < 3 %}, {% endif %}{% endfor %});
//% endfor
    }
//% endfor
//% endfor
{% endif %}
}
