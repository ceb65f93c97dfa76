//! Cases of convolutions whose channels do not fill whole vectors, in any number of axes and groups.

use super::OpCase;
use crate::ops::{Conv, ConvTranspose, Epilogue, UnaryFn};
use crate::tensor::{Padding, TensorType, Window};

fn window(stride: &[usize], dilation: &[usize], padding: Padding) -> Window {
    Window { stride: stride.to_vec(), dilation: dilation.to_vec(), padding, ceil_mode: false }
}

fn conv(id: &str, window: Window, groups: usize, x: &[usize], w: &[usize]) -> OpCase {
    OpCase::new(format!("conv/{id}"), Conv::new(window, groups), &[x, w])
}

fn epilogue(
    id: &str,
    epilogue: Epilogue,
    mut conv: Conv,
    x: &[usize],
    w: &[usize],
    bias: usize,
    y: &[usize],
) -> OpCase {
    conv.epilogue = epilogue;
    let mut inputs = vec![x, w];
    let bias = [bias];
    if epilogue.bias {
        inputs.push(&bias);
    }
    if epilogue.residual {
        inputs.push(y);
    }
    OpCase::new(format!("conv/{id}"), conv, &inputs)
}

fn transposed(stride: &[usize], dilation: &[usize], pads: &[(usize, usize)], groups: usize) -> ConvTranspose {
    ConvTranspose {
        stride: stride.to_vec(),
        dilation: dilation.to_vec(),
        pads: pads.to_vec(),
        output_padding: vec![0; stride.len()],
        groups,
        epilogue: Epilogue::default(),
    }
}

pub(super) fn cases() -> Vec<OpCase> {
    use Padding::{Causal, Explicit, Same, SameLower, Valid};
    let full = Epilogue { bias: true, residual: true, activation: Some(UnaryFn::Silu) };
    let bias = Epilogue { bias: true, ..Epilogue::default() };
    let mut cases = vec![
        conv("3x3 3 to 5", window(&[1, 1], &[1, 1], Same), 1, &[2, 7, 5, 3], &[3, 3, 3, 5]),
        conv("2x4 stride 2x1", window(&[2, 1], &[1, 1], Same), 1, &[1, 9, 13, 5], &[2, 4, 5, 7]),
        conv("stride with dilation", window(&[2, 3], &[3, 2], Valid), 1, &[1, 15, 24, 3], &[3, 3, 3, 6]),
        conv("window larger than the input", window(&[1, 1], &[1, 1], Same), 1, &[1, 2, 1, 5], &[7, 5, 5, 4]),
        conv("same lower", window(&[2, 2], &[1, 1], SameLower), 1, &[1, 8, 8, 3], &[4, 4, 3, 2]),
        conv("explicit", window(&[1, 2], &[1, 1], Explicit(vec![(0, 2), (3, 1)])), 1, &[1, 5, 6, 1], &[3, 2, 1, 1]),
        conv("1 axis causal dilated", window(&[1], &[2], Causal), 1, &[2, 13, 5], &[3, 5, 7]),
        conv("3 axes", window(&[1, 2, 1], &[1, 1, 2], Same), 1, &[1, 4, 5, 7, 3], &[2, 3, 3, 3, 5]),
        conv("2 groups", window(&[1, 1], &[1, 1], Same), 2, &[1, 6, 5, 6], &[3, 3, 3, 10]),
        conv("3 groups of vectors", window(&[1, 1], &[1, 1], Valid), 3, &[1, 6, 5, 12], &[3, 3, 4, 24]),
        conv("depthwise 127", window(&[1, 1], &[1, 1], Same), 127, &[1, 5, 6, 127], &[3, 3, 1, 127]),
        conv("depthwise multiplier", window(&[2, 2], &[1, 1], Valid), 3, &[2, 7, 8, 3], &[3, 3, 1, 9]),
        conv("depthwise multiplier in vectors", window(&[1, 1], &[2, 2], Same), 4, &[1, 7, 8, 4], &[3, 3, 1, 16]),
        conv("pointwise 127 to 13", Window::unit(2), 1, &[1, 5, 3, 127], &[1, 1, 127, 13]),
        conv("pointwise to one", Window::unit(2), 1, &[2, 15, 24, 16], &[1, 1, 16, 1]),
        conv("pointwise stride", window(&[2, 2], &[1, 1], Valid), 1, &[1, 7, 7, 6], &[1, 1, 6, 10]),
        conv("dense", Window::unit(0), 1, &[13, 127], &[127, 10]),
        conv("dense on three axes", Window::unit(0), 1, &[2, 3, 5], &[5, 3]),
        conv("planes as batch", window(&[1, 1], &[1, 1], Valid), 1, &[2, 3, 5, 5, 2], &[3, 3, 2, 3]),
        epilogue("everything", full, Conv::new(Window::unit(2), 1), &[1, 6, 5, 3], &[3, 3, 3, 5], 5, &[1, 4, 3, 5]),
        epilogue("one bias", bias, Conv::new(Window::unit(2), 1), &[1, 6, 5, 3], &[3, 3, 3, 5], 1, &[]),
        epilogue("shared 5", full, Conv::shared(Window::unit(2)), &[1, 6, 5, 5], &[3, 3, 1, 1], 1, &[1, 4, 3, 5]),
        epilogue("shared 16", full, Conv::shared(Window::unit(2)), &[1, 6, 5, 16], &[3, 2, 1, 1], 16, &[1, 4, 4, 16]),
    ];
    cases.extend([
        conv(
            "3 axes dilated, few channels",
            window(&[1, 1, 1], &[2, 1, 1], Same),
            1,
            &[1, 5, 6, 7, 3],
            &[3, 3, 3, 3, 8],
        ),
        conv("groups over 1 axis", window(&[1], &[1], Same), 4, &[1, 13, 8], &[3, 2, 12]),
        conv("groups over 3 axes", window(&[1, 1, 1], &[1, 1, 1], Valid), 2, &[1, 3, 4, 5, 6], &[2, 2, 2, 3, 8]),
        conv("dense in groups", Window::unit(0), 3, &[5, 9], &[3, 12]),
        conv("one pixel", window(&[1, 1], &[1, 1], Explicit(vec![(3, 3), (2, 4)])), 1, &[1, 1, 1, 5], &[3, 3, 5, 16]),
        conv("127 to 127", window(&[1, 1], &[1, 1], Same), 1, &[1, 5, 4, 127], &[3, 3, 127, 127]),
    ]);
    let shared = Conv::shared(window(&[2, 1], &[1, 2], Same));
    cases.push(OpCase::new("conv/shared strided dilated", shared, &[&[2, 7, 9, 6], &[3, 3, 1, 1]]));
    cases.push(OpCase::new("conv/shared 1 axis", Conv::shared(Window::unit(1)), &[&[2, 13, 4], &[5, 1, 1]]));
    let transposes: [(&str, ConvTranspose, &[usize], &[usize]); 26] = [
        ("2x2 stride 2", transposed(&[2, 2], &[1, 1], &[(0, 0), (0, 0)], 1), &[2, 5, 7, 3], &[2, 2, 5, 3]),
        ("3x3 stride 2", transposed(&[2, 2], &[1, 1], &[(0, 1), (1, 0)], 1), &[1, 6, 5, 8], &[3, 3, 5, 8]),
        ("stride beyond the kernel", transposed(&[3, 3], &[1, 1], &[(0, 0), (0, 0)], 1), &[1, 4, 3, 1], &[2, 2, 2, 1]),
        ("dilated", transposed(&[1, 2], &[2, 3], &[(1, 1), (2, 2)], 1), &[1, 6, 5, 4], &[3, 3, 6, 4]),
        ("1 axis in groups", transposed(&[2], &[1], &[(1, 0)], 3), &[1, 13, 6], &[4, 2, 6]),
        ("3 axes", transposed(&[2, 1, 2], &[1, 1, 1], &[(0, 0); 3], 1), &[1, 3, 4, 2, 3], &[2, 3, 2, 5, 3]),
        ("vectors", transposed(&[2, 2], &[1, 1], &[(1, 0), (0, 2)], 1), &[2, 5, 6, 12], &[3, 4, 8, 12]),
        ("vectors of 5 channels", transposed(&[1, 3], &[1, 1], &[(0, 0), (1, 1)], 1), &[1, 5, 4, 5], &[2, 5, 12, 5]),
        ("groups of vectors", transposed(&[2, 2], &[1, 1], &[(1, 1), (1, 1)], 3), &[1, 4, 5, 24], &[3, 3, 4, 24]),
        ("stride and dilation 2", transposed(&[2, 2], &[2, 2], &[(0, 0), (1, 2)], 1), &[1, 4, 5, 3], &[3, 3, 4, 3]),
        ("stride 6 dilation 4", transposed(&[6, 4], &[4, 6], &[(0, 3), (5, 0)], 1), &[1, 5, 4, 4], &[5, 4, 3, 4]),
        ("stride 3 dilation 5", transposed(&[3, 5], &[5, 3], &[(7, 0), (0, 1)], 1), &[1, 6, 3, 2], &[7, 7, 2, 2]),
        ("little left", transposed(&[3, 2], &[2, 1], &[(11, 5), (4, 3)], 1), &[1, 5, 4, 3], &[4, 3, 5, 3]),
        ("little left of vectors", transposed(&[2, 2], &[1, 2], &[(7, 2), (0, 9)], 1), &[2, 5, 5, 8], &[3, 3, 4, 8]),
        ("3x3 stride 2 of 64 channels", transposed(&[2, 2], &[1, 1], &[(0, 1); 2], 1), &[2, 7, 5, 64], &[3, 3, 36, 64]),
        ("5x4 stride 3 by 1", transposed(&[3, 1], &[1, 1], &[(5, 1), (2, 2)], 1), &[1, 6, 13, 12], &[5, 4, 20, 12]),
        ("1 axis of vectors", transposed(&[4], &[1], &[(3, 2)], 1), &[2, 27, 8], &[9, 4, 8]),
        ("depthwise", transposed(&[2, 2], &[1, 1], &[(0, 1), (1, 0)], 8), &[2, 5, 7, 8], &[3, 3, 1, 8]),
        ("depthwise of many channels", transposed(&[2, 2], &[1, 1], &[(1, 1); 2], 68), &[1, 6, 5, 68], &[3, 3, 1, 68]),
        ("depthwise of 5 channels", transposed(&[2, 2], &[1, 1], &[(1, 1); 2], 5), &[1, 6, 5, 5], &[3, 3, 1, 5]),
        ("depthwise stride 1", transposed(&[1, 1], &[1, 1], &[(1, 1), (0, 2)], 12), &[1, 13, 5, 12], &[3, 4, 1, 12]),
        ("depthwise stride 3 by 2", transposed(&[3, 2], &[1, 1], &[(4, 2), (3, 1)], 4), &[2, 5, 4, 4], &[7, 5, 1, 4]),
        ("depthwise stride beyond it", transposed(&[3, 3], &[1, 1], &[(0, 0); 2], 4), &[1, 3, 4, 4], &[2, 1, 1, 4]),
        ("depthwise dilated", transposed(&[2, 1], &[1, 2], &[(1, 0), (1, 1)], 8), &[1, 4, 6, 8], &[3, 3, 1, 8]),
        ("depthwise over 1 axis", transposed(&[2], &[1], &[(2, 1)], 16), &[2, 27, 16], &[5, 1, 16]),
        ("3 axes of vectors", transposed(&[1, 2, 3], &[2, 3, 1], &[(1, 0); 3], 1), &[1, 3, 4, 2, 8], &[2, 3, 4, 8, 8]),
    ];
    for (id, mut op, x, w) in transposes {
        cases.push(OpCase::new(format!("conv_transpose/{id}"), op.clone(), &[x, w]));
        op.epilogue = Epilogue { bias: true, activation: Some(UnaryFn::Relu), ..Epilogue::default() };
        op.output_padding = vec![1; op.stride.len()];
        let channels = [w[w.len() - 2] * op.groups];
        cases.push(OpCase::new(format!("conv_transpose/{id}, epilogue"), op.clone(), &[x, w, &channels]));
        let types: Vec<_> = [x, w, &channels].map(|shape| TensorType::f32(shape.to_vec())).into();
        // A case whose shapes do not fit fails by name when its graph is built.
        let y = op.site(&types).map(|site| site.output.to_vec()).unwrap_or_default();
        op.epilogue.residual = true;
        cases.push(OpCase::new(format!("conv_transpose/{id}, residual"), op, &[x, w, &[1], &y]));
    }
    cases
}
