// The place of a texel in an image of {{ IMAGE_WIDTH }} texels a row.
fn texel(index: u32) -> vec2<u32> {
    return vec2<u32>(index % {{ IMAGE_WIDTH }}u, index / {{ IMAGE_WIDTH }}u);
}
