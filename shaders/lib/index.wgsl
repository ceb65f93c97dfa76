// Recovers the linear work index of an invocation from a folded grid.
fn linear_index(group: vec3<u32>, groups: vec3<u32>, local: u32) -> u32 {
    return (group.y * groups.x + group.x) * {{ LINEAR_WORKGROUP }}u + local;
}
