//! The plain loops of [`Conv`]: the oracle of every convolution kernel.

use super::{Conv, Filters};
use crate::error::ShapeError;
use crate::ops::{output, types, values};
use crate::tensor::{Tensor, TensorType};

pub(super) fn conv(op: &Conv, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
    let site = op.site(&types(inputs))?;
    let data = values("Conv", inputs)?;
    let (x, w, further) = (data[0], data[1], &data[2..]);
    let [depth, height, width] = site.axes3();
    let per_group = site.in_channels / site.groups;
    let outputs_per_group = site.out_channels / site.groups;
    let shared = op.filters == Filters::Shared;
    let mut sums = vec![0f64; site.out_channels];
    let mut y = Vec::with_capacity(site.output.elements());
    for batch in 0..site.batch {
        for (od, oh, ow) in positions(depth.output, height.output, width.output) {
            sums.fill(0.0);
            for (tap, (kd, kh, kw)) in positions(depth.size, height.size, width.size).enumerate() {
                let (Some(d), Some(h), Some(w_in)) =
                    (depth.position(od, kd), height.position(oh, kh), width.position(ow, kw))
                else {
                    continue;
                };
                let pixel = ((batch * depth.input + d) * height.input + h) * width.input + w_in;
                let channels = &x[pixel * site.in_channels..][..site.in_channels];
                if shared {
                    let weight = f64::from(w[tap]);
                    for (sum, &value) in sums.iter_mut().zip(channels) {
                        *sum += f64::from(value) * weight;
                    }
                    continue;
                }
                for (group, group_channels) in channels.chunks_exact(per_group).enumerate() {
                    let group_sums = &mut sums[group * outputs_per_group..][..outputs_per_group];
                    for (channel, &value) in group_channels.iter().enumerate() {
                        let row = (tap * per_group + channel) * site.out_channels + group * outputs_per_group;
                        for (sum, &weight) in group_sums.iter_mut().zip(&w[row..]) {
                            *sum += f64::from(value) * f64::from(weight);
                        }
                    }
                }
            }
            for &sum in &sums {
                let index = y.len();
                y.push(op.epilogue.apply(sum, further, index, site.out_channels));
            }
        }
    }
    output("Conv", &TensorType::f32(site.output), y)
}

/// All positions of a three-axis box, row-major.
pub(in crate::ops) fn positions(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}
