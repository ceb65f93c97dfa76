{# A window over each channel on its own: the body of `depthwise` and `shared_depthwise`.

   An invocation computes a tile of outputs of one channel, or of one vector of channels. The window is unrolled, and each
   row of inputs is loaded once for all outputs that see it. Where the window leaves the input, loads are clamped and
   replaced by zero; invocations whose whole window lies inside skip that.

   Options: `shared`; `lanes` of channels, columns and rows in a workgroup; `tile` [rows, columns] of outputs; `size`
   [rows, columns] of taps; `stride` [rows, columns]; `dilation` [rows, columns], by which the outputs of a tile lie apart as well, so
   that they see the same inputs; `deep`, whether the window has depth; and those of `lib/epilogue.wgsl`. #}
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}
{% set in_rows = (tile[0] - 1) * stride[0] + size[0] %}
{% set in_columns = (tile[1] - 1) * stride[1] + size[1] %}
{% macro place(tile_index, axis) %}
{% if dilation[axis] == 1 %}({{ tile_index }}) * {{ tile[axis] }}u{% else %}({{ tile_index }}) / {{ dilation[axis] }}u * {{ tile[axis] * dilation[axis] }}u + ({{ tile_index }}) % {{ dilation[axis] }}u{% endif %}
{% endmacro %}
@compute @workgroup_size({{ lanes|join(", ") }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let channel = group.x % params.channel_groups * {{ lanes[0] }}u + local.x;
    let column = {{ place("group.x / params.channel_groups * " ~ lanes[1] ~ "u + local.y", 1) }};
    let row = {{ place("group.y * " ~ lanes[2] ~ "u + local.z", 0) }};
    if (channel >= params.channels || column >= params.out_columns || row >= params.out_rows) { return; }
    let top = row * {{ stride[0] }}u - params.before_rows;
    let left = column * {{ stride[1] }}u - params.before_columns;
    let pitch = params.in_columns * params.channels;
    let inside = top < params.in_rows && top + {{ (in_rows - 1) * dilation[0] }}u < params.in_rows
        && left < params.in_columns && left + {{ (in_columns - 1) * dilation[1] }}u < params.in_columns;
    let start_value = bias_at(channel);
//% for r in range(tile[0])
//% for c in range(tile[1])
    var sum{{ r }}_{{ c }} = start_value;
//% endfor
//% endfor
{% if deep %}
    let batch = group.z / params.out_depth;
    let front = group.z % params.out_depth * params.stride_depth - params.before_depth;
    for (var kz = 0u; kz < params.size_depth; kz++) {
        let z = front + kz * params.dilation_depth;
        if (z >= params.in_depth) { continue; }
        let start = (batch * params.in_depth + z) * params.in_rows * pitch + channel;
        let tap = kz * {{ size[0] * size[1] }}u;
{% else %}
    {
        let start = group.z * params.in_rows * pitch + channel;
{% endif %}
//% for masked in [false, true]
        {% if masked %} else {% else %}if (inside) {% endif %}{
{% if masked %}
//% for j in range(in_columns)
            let inside{{ j }} = left + {{ j * dilation[1] }}u < params.in_columns;
            let x{{ j }} = min(left + {{ j * dilation[1] }}u, params.in_columns - 1u) * params.channels;
//% endfor
{% else %}
            let corner = start + top * pitch + left * params.channels;
{% endif %}
//% for i in range(in_rows)
{% if i < size[0] %}
//% for kx in range(size[1])
{% set t = i * size[1] + kx %}
{% if shared and deep %}
            let w{{ t }} = w[(tap + {{ t }}u) >> 2u][(tap + {{ t }}u) & 3u];
{% elif shared %}
            let w{{ t }} = w[{{ t // 4 }}].{{ "xyzw"[t % 4] }};
{% else %}
            let w{{ t }} = w[({% if deep %}tap + {% endif %}{{ t }}u) * params.channels + channel];
{% endif %}
//% endfor
{% endif %}
            {
{% if masked %}
                let inside_row = top + {{ i * dilation[0] }}u < params.in_rows;
                let x_row = start + min(top + {{ i * dilation[0] }}u, params.in_rows - 1u) * pitch;
//% for j in range(in_columns)
                let v{{ j }} = select(T(), x[x_row + x{{ j }}], inside_row && inside{{ j }});
//% endfor
{% else %}
//% for j in range(in_columns)
                let v{{ j }} = x[corner + ({{ i * dilation[0] }}u * pitch + {{ j * dilation[1] }}u * params.channels)];
//% endfor
{% endif %}
//% for r in range(tile[0])
{% set ky = i - r * stride[0] %}
{% if ky >= 0 and ky < size[0] %}
//% for c in range(tile[1])
//% for kx in range(size[1])
                sum{{ r }}_{{ c }} += w{{ ky * size[1] + kx }} * v{{ c * stride[1] + kx }};
//% endfor
//% endfor
{% endif %}
//% endfor
            }
//% endfor
        }
//% endfor
    }
    let out_pitch = params.out_columns * params.channels;
    let out = (group.z * params.out_rows + row) * out_pitch + column * params.channels + channel;
//% for r in range(tile[0])
    if (row + {{ r * dilation[0] }}u < params.out_rows) {
//% for c in range(tile[1])
        if (column + {{ c * dilation[1] }}u < params.out_columns) {
            let index = out + ({{ r * dilation[0] }}u * out_pitch + {{ c * dilation[1] }}u * params.channels);
            y[index] = complete(sum{{ r }}_{{ c }}, index);
        }
//% endfor
    }
//% endfor
}
