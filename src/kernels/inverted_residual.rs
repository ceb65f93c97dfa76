//! `inverted_residual`: channels are expanded, filtered each on its own and projected, a rectangle of pixels at a time.

use serde_json::json;

use super::epilogue::{bias, epilogue_bindings};
use super::gemm::Tile;
use super::layout::count;
use super::separable::{BUSY, Pair};
use super::shader::function_options;
use super::{
    Binding, Case, DeviceClass, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, ends, params,
};
use crate::ops::{ConvSite, Epilogue, InvertedResidual, Op};
use crate::tensor::AxisWindow;

params! {
    /// Parameters of `inverted_residual`: rows (pixels of all rectangles), columns (output channels), expanded channels, tiles beside
    /// each other, vectors of expanded and of input channels, output pixels, pictures, rectangles of each, and the window.
    struct Params {
        rows: u32,
        columns: u32,
        reduction: u32,
        column_tiles: u32,
        channels: u32,
        in_quads: u32,
        pixels: u32,
        images: u32,
        tiles_down: u32,
        tiles_across: u32,
        height_input: u32,
        height_output: u32,
        height_before: u32,
        width_input: u32,
        width_output: u32,
        width_before: u32,
    }
}

/// Takes blocks whose window has up to 31 taps over one or two axes, whose channels divide by four, and whose rectangles fit
/// workgroup memory.
pub(super) const KERNEL: Kernel = Kernel { stem: "inverted_residual", accepts };

/// Output pixels of a workgroup, the most first.
const RECTANGLES: [[usize; 2]; 2] = [[8, 8], [4, 8]];
/// Expanded channels that are in workgroup memory at once for a single wave, so that it has room for as many waves as of larger
/// workgroups.
const DEPTH_OF_ONE_WAVE: usize = 8;
/// Invocations of a wave.
const WAVE: usize = 64;
/// Multiply-adds that a device does in the time in which it moves one element.
const PRODUCTS_PER_ELEMENT: usize = 40;

/// The three convolutions, resolved.
struct Block<'a> {
    op: &'a InvertedResidual,
    expand: ConvSite,
    pair: Pair<'a>,
    window: [AxisWindow; 2],
}

/// A rectangle of output pixels with its tile.
struct Rectangle {
    /// Rows and columns.
    outputs: [usize; 2],
    /// Input pixels under it.
    inputs: usize,
    /// How many there are of each picture, along both axes.
    count: [usize; 2],
    tile: Tile,
}

impl Rectangle {
    /// Workgroup memory.
    fn bytes(&self) -> usize {
        self.tile.bytes().saturating_add(self.inputs.saturating_mul(4 * self.tile.depth))
    }
}

impl<'a> Block<'a> {
    fn of(case: &Case<'a>) -> Result<Block<'a>, Refusal> {
        let Op::InvertedResidual(op) = case.op else { return Refusal::because("takes inverted residual blocks") };
        let wrong = |error: crate::error::ShapeError| Refusal(error.to_string());
        let [first, second] = op.stages(case.inputs).map_err(wrong)?;
        let expand = op.expand.site(&first).map_err(wrong)?;
        let pair = Pair::new(&op.separable, &second)?;
        let window = pair.window()?;
        if !expand.in_channels.is_multiple_of(4) {
            return Refusal::because(format!("takes channels that divide by 4, and these are {}", expand.in_channels));
        }
        Ok(Block { op, expand, pair, window })
    }

    /// Rectangles of all pictures.
    fn tiles(&self, rectangle: &Rectangle) -> usize {
        let [down, across] = rectangle.count;
        self.expand.batch.saturating_mul(down).saturating_mul(across)
    }

    /// The largest rectangle that fits and keeps a device busy, or the smallest that fits.
    fn rectangle(&self, traits: &DeviceTraits) -> Result<Rectangle, Refusal> {
        let [height, width] = &self.window;
        let under = |axis: &AxisWindow, outputs: usize| (outputs - 1) * axis.stride + axis.extent();
        let rectangle = |[rows, columns]: [usize; 2]| Rectangle {
            outputs: [rows, columns],
            inputs: under(height, rows).saturating_mul(under(width, columns)),
            count: [height.output.div_ceil(rows), width.output.div_ceil(columns)],
            tile: match self.pair.tile_of(rows * columns / 4) {
                tile if tile.invocations() > WAVE => tile,
                tile => Tile { depth: DEPTH_OF_ONE_WAVE, ..tile },
            },
        };
        let [large, small] = RECTANGLES.map(rectangle);
        let fits = |found: &Rectangle| found.tile.fits(found.bytes(), traits);
        match (fits(&large), fits(&small)) {
            (Ok(()), _) if self.tiles(&large) >= BUSY => Ok(large),
            (_, Ok(())) => Ok(small),
            (Ok(()), Err(_)) => Ok(large),
            (Err(_), Err(why)) => Err(why),
        }
    }
}

/// Whether a device gains from doing all three at once, or why it does not.
///
/// What is saved is writing and reading the expanded channels, also beside doing the other two at once. What it costs is
/// expanding anew what rectangles share, and reading all weights for each of them.
pub fn pays(case: &Case<'_>, traits: &DeviceTraits) -> Result<(), Refusal> {
    if traits.class == DeviceClass::Cpu {
        return Refusal::because("a processor has what lies between in its cache");
    }
    let block = Block::of(case)?;
    launch(&block, case, traits)?;
    let rectangle = block.rectangle(traits)?;
    let Block { expand, pair, .. } = &block;
    let column_tiles = pair.column_tiles(rectangle.tile);
    if column_tiles > 1 {
        return Refusal::because(format!("{column_tiles} tiles of columns would each expand all channels"));
    }
    let tiles = block.tiles(&rectangle);
    let (input, expanded) = (expand.pixels() * expand.in_channels, expand.output.elements());
    let each = expand.in_channels + pair.depthwise.taps() + pair.pointwise.out_channels;
    let weights = expand.out_channels * each;
    // Pixels that rectangles expand, of which neighbours share some.
    let read = tiles.saturating_mul(rectangle.inputs);
    let again = read.saturating_sub(expand.pixels()).saturating_mul(expand.in_channels * expand.out_channels);
    let apart = input.saturating_add(expanded.saturating_mul(2));
    let joined = read
        .saturating_mul(expand.in_channels)
        .saturating_add(tiles.saturating_mul(weights))
        .saturating_add(again / PRODUCTS_PER_ELEMENT);
    if joined >= apart {
        return Refusal::because(format!(
            "its {tiles} tiles would take as long as moving {} bytes, and apart {} are moved",
            joined.saturating_mul(4),
            apart.saturating_mul(4)
        ));
    }
    if tiles < BUSY {
        return Refusal::because(format!("its {tiles} tiles would not keep a device busy"));
    }
    Ok(())
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    launch(&Block::of(case)?, case, traits)
}

fn launch(block: &Block<'_>, case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    case.fits(traits)?;
    let Block { op, expand, pair, window: [height, width] } = block;
    let rectangle = block.rectangle(traits)?;
    let (channels, outs) = (expand.out_channels, pair.pointwise.out_channels);
    let column_tiles = pair.column_tiles(rectangle.tile);
    ends(channels.div_ceil(rectangle.tile.depth).saturating_mul(expand.in_channels / 4 + 1), traits)?;
    let tiles = block.tiles(&rectangle);
    let Some(workgroups) = traits.fold(tiles.saturating_mul(column_tiles) as u64) else {
        return Refusal::because(format!("{tiles} tiles are more than one dispatch can count"));
    };
    let [down, across] = rectangle.count;
    let params = Params {
        rows: count(tiles.saturating_mul(rectangle.tile.rows()))?,
        columns: count(outs)?,
        reduction: count(channels)?,
        column_tiles: count(column_tiles)?,
        channels: count(channels / 4)?,
        in_quads: count(expand.in_channels / 4)?,
        pixels: count(pair.pointwise.pixels())?,
        images: count(expand.batch)?,
        tiles_down: count(down)?,
        tiles_across: count(across)?,
        height_input: count(height.input)?,
        height_output: count(height.output)?,
        height_before: count(height.before)?,
        width_input: count(width.input)?,
        width_output: count(width.output)?,
        width_before: count(width.before)?,
    };
    let (depthwise, pointwise) = (&op.separable.depthwise.epilogue, &op.separable.pointwise.epilogue);
    let inner = op.expand_inputs();
    let outer = inner + op.separable.depthwise_inputs() - 1;
    let mut bindings = vec![
        Binding::new("x", Operand::Input(0), Form::ReadVec4),
        Binding::new("expand", Operand::Input(1), Form::ReadVec4),
        Binding::new("inner", Operand::Input(inner), Form::ReadVec4),
        Binding::new("w", Operand::Input(outer), Form::ReadVec4),
        Binding::new("y", Operand::Output(0), Form::WriteVec4),
    ];
    // Uniform, as there are more operands than storage buffers.
    let uniform = |name, epilogue: &Epilogue, first: usize| {
        let vectors = case.inputs.get(first).filter(|_| epilogue.bias)?.shape.elements().div_ceil(4) as u32;
        Some(Binding::new(name, Operand::Input(first), Form::Uniform { vectors }))
    };
    let inner_biases = [uniform("expand_bias", &op.expand.epilogue, 2), uniform("inner_bias", depthwise, inner + 1)];
    for binding in inner_biases.into_iter().flatten() {
        if let Form::Uniform { vectors } = binding.form
            && u64::from(vectors) * 16 > traits.max_uniform_bytes
        {
            return Refusal::because(format!("a bias of {vectors} vectors does not fit a uniform binding"));
        }
        bindings.push(binding);
    }
    bindings.extend(epilogue_bindings(pointwise, case.inputs, outer + 1, true));
    let activation = |epilogue: &Epilogue| epilogue.activation.map_or(serde_json::Value::Null, function_options);
    let shader = rectangle
        .tile
        .options(Shader::new(KERNEL.stem, Params::WGSL), channels)
        .with("T", "vec4<f32>")
        .with("vectors", true)
        .with("prepared", true)
        .with("tile", json!(rectangle.outputs))
        .with("size", json!([height.size, width.size]))
        .with("stride", json!([height.stride, width.stride]))
        .with("dilation", json!([height.dilation, width.dilation]))
        .with("expand_bias", bias(&op.expand.epilogue, case.inputs, 2))
        .with("expand_activation", activation(&op.expand.epilogue))
        .with("inner_bias", bias(depthwise, case.inputs, inner + 1))
        .with("inner_activation", activation(depthwise))
        .with_epilogue(pointwise, case.inputs, outer + 1);
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Conv, Separable};
    use crate::tensor::{Padding, TensorType, Window};

    #[test]
    fn blocks_are_joined_where_that_saves_bytes_and_keeps_a_device_busy() {
        let why = |class, batch: usize, side: usize, [ins, outs]: [usize; 2], stride: usize| {
            let window = Window { stride: vec![stride; 2], padding: Padding::Same, ..Window::unit(2) };
            let expanded = 6 * ins;
            let pointwise = || Conv::new(Window::unit(2), 1);
            let separable = Separable { depthwise: Conv::new(window, expanded), pointwise: pointwise() };
            let op = Op::from(InvertedResidual { expand: pointwise(), separable });
            let shapes = [[batch, side, side, ins], [1, 1, ins, expanded], [3, 3, 1, expanded], [1, 1, expanded, outs]];
            let inputs = shapes.map(TensorType::f32);
            let outputs = op.spec().infer(&inputs).unwrap();
            let case = Case { op: &op, inputs: &inputs, outputs: &outputs };
            pays(&case, &DeviceTraits::portable(class)).err().map(|why| why.0)
        };
        let card = DeviceClass::Discrete;
        assert_eq!(why(card, 1, 112, [16, 24], 2), None);
        assert!(why(card, 1, 56, [24, 24], 1).is_some());
        assert_eq!(why(card, 8, 56, [24, 24], 1), None);
        assert!(why(card, 1, 14, [64, 64], 1).unwrap().contains("tiles"));
        assert!(why(card, 8, 14, [96, 160], 1).unwrap().contains("2 tiles of columns"));
        assert!(why(DeviceClass::Cpu, 1, 112, [16, 24], 2).unwrap().contains("cache"));
    }
}
