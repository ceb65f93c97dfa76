// Batch normalisation with given statistics: one invocation computes one element or vector of the output.
{% include "lib/index.wgsl" %}
@compute @workgroup_size({{ LINEAR_WORKGROUP }})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = linear_index(group, groups, local);
    if (i >= params.count) { return; }
    let c = i / params.inner % params.channels;
    let scale = gamma[c] / sqrt(variance[c] + params.epsilon);
    y[i] = (x[i] - mean[c]) * scale + beta[c];
}
