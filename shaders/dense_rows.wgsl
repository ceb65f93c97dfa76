// A dense layer of few rows: weights are read once and by many invocations at a time, as there is little else to do.
//
// `threads` [columns, terms] invocations share the columns of a workgroup: each adds up every so many terms, and a fixed tree joins
// what they have.
{% include "lib/index.wgsl" %}
{% include "lib/activation.wgsl" %}
alias T = {{ T }};
{% include "lib/epilogue.wgsl" %}
{% set across = threads[0] %}
{% set apart = threads[1] %}
var<workgroup> sums: array<T, {{ across * apart }}>;

@compute @workgroup_size({{ across * apart }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let own = group_index(group, groups) * {{ across }}u + local % {{ across }}u;
    let column = min(own, params.columns - 1u);
    let first = local / {{ across }}u;
//% for r in range(rows)
    var sum{{ r }} = T();
//% endfor
    var k = first;
    // Several loads are under way at once.
    for (; k + {{ 3 * apart }}u < params.reduction; k += {{ 4 * apart }}u) {
//% for turn in range(4)
        let w{{ turn }} = w[(k + {{ turn * apart }}u) * params.columns + column];
//% for r in range(rows)
        let x{{ r }}_{{ turn }} = x[{{ r }}u * params.reduction + k + {{ turn * apart }}u];
//% endfor
//% endfor
//% for turn in range(4)
//% for r in range(rows)
        sum{{ r }} += x{{ r }}_{{ turn }} * w{{ turn }};
//% endfor
//% endfor
    }
    for (; k < params.reduction; k += {{ apart }}u) {
        let value = w[k * params.columns + column];
//% for r in range(rows)
        sum{{ r }} += x[{{ r }}u * params.reduction + k] * value;
//% endfor
    }
//% for r in range(rows)
    sums[local] = sum{{ r }};
    workgroupBarrier();
//% for step in steps
    if (first < {{ step }}u) { sums[local] += sums[local + {{ step * across }}u]; }
    workgroupBarrier();
//% endfor
    if (first == 0u && own < params.columns) {
        let i = {{ r }}u * params.columns + own;
        y[i] = finish(sums[local], i, own);
    }
{% if not loop.last %}
    workgroupBarrier();
{% endif %}
//% endfor
}
