// The linear index of a workgroup in a folded grid.
fn group_index(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}

// The linear work index of an invocation in a folded grid.
fn linear_index(group: vec3<u32>, groups: vec3<u32>, local: u32) -> u32 {
    return group_index(group, groups) * {{ LINEAR_WORKGROUP }}u + local;
}
