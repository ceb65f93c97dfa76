// The place of a texel in an image of 4096 texels a row.
fn texel(index: u32) -> vec2<u32> {
    return vec2<u32>(index & 4095u, index >> 12u);
}
