//! One 3x3 filter for all 16 channels, or something else? Trains the five forms that people try and shows what each can learn.
//!
//! ```sh
//! cargo run --release --example 02_question
//! ```
//!
//! The data is made by one known 3x3 filter that runs over each of 16 channels. A layer with one shared kernel has nine numbers
//! to find and finds them, whether it is a layer of its own or spelled out as slices; a depthwise layer finds the filter 16 times;
//! a separable one finds it up to a factor per channel, which its mixing of channels undoes; a pointwise layer cannot look at
//! neighbours at all.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use wgconv::cpu;
use wgconv::layers::{
    Concatenate, Conv2D, DataFormat, DepthwiseConv2D, Input, IntoLayer, LayerRef, Model, Reshaping, SeparableConv2D,
    Sequential, SharedDepthwiseConv2D,
};
use wgconv::session::Device;
use wgconv::tensor::Tensor;
use wgconv::train::{Arrays, FitOptions, Loss, Optimizer, Settings, Trainer};

/// The filter to be found.
const FILTER: [f32; 9] = [0.0, -1.0, 0.5, -1.0, 2.0, 0.25, 0.5, 0.25, -0.75];
const CHANNELS: usize = 16;
const SIZE: [usize; 3] = [10, 10, CHANNELS];

/// One convolution of one channel, called on every channel by itself.
fn slices() -> Result<Model, Box<dyn Error>> {
    let input = Input::new(SIZE);
    let shared: LayerRef = Conv2D::new(1, 3).use_bias(false).named("shared");
    let channels =
        (0..CHANNELS).map(|channel| input.channels(4, channel, channel + 1)).collect::<Result<Vec<_>, _>>()?;
    let filtered: Vec<_> = channels.iter().map(|channel| shared.call(channel)).collect();
    let joined = Concatenate::new(-1).layer().call_many(&filtered.iter().collect::<Vec<_>>());
    Ok(Model::new(&[input], &[joined])?)
}

/// The five forms: a name, the model, and where its 3x3 filters are.
fn forms() -> Result<Vec<(&'static str, Model)>, Box<dyn Error>> {
    let one = |layer: LayerRef| Sequential::new().add(layer).build(SIZE);
    Ok(vec![
        ("separable", one(SeparableConv2D::new(CHANNELS, 3).use_bias(false).layer())?),
        ("depthwise only", one(DepthwiseConv2D::new(3).use_bias(false).layer())?),
        ("pointwise only", pointwise()?),
        ("one shared kernel", one(SharedDepthwiseConv2D::new(3).use_bias(false).layer())?),
        ("shared by slices", slices()?),
    ])
}

/// A 1x1 convolution of the pixels that have all their neighbours.
fn pointwise() -> Result<Model, Box<dyn Error>> {
    let cropped = Reshaping::Cropping(vec![(1, 1), (1, 1)], DataFormat::ChannelsLast);
    Ok(Sequential::new().add(cropped).add(Conv2D::new(CHANNELS, 1).use_bias(false)).build(SIZE)?)
}

/// What the filter makes of pictures of noise.
fn data() -> Result<(Tensor, Tensor), Box<dyn Error>> {
    let teacher = Sequential::new().add(SharedDepthwiseConv2D::new(3).use_bias(false)).build(SIZE)?;
    let kernel = &teacher.weights()[0];
    kernel.set(Tensor::from_f32(kernel.spec().shape.clone(), FILTER.to_vec())?)?;
    let mut state = 1u32;
    let x = Tensor::from_fn([256, SIZE[0], SIZE[1], SIZE[2]], |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    });
    let inputs = [(teacher.inputs()[0].name.clone(), x.clone())].into_iter().collect();
    let y = cpu::run(&teacher.graph(256)?, &inputs)?.remove(0);
    Ok((x, y))
}

/// The 3x3 filters of a model: the first of them, and how far the worst is from the one that made the data.
fn learnt(model: &Model) -> Option<(Vec<f32>, f32)> {
    let weights = model.weights();
    let kernel = weights.iter().find(|weight| weight.spec().shape[..2] == [3, 3])?.get();
    let values = kernel.f32s().ok()?.to_vec();
    let filters = values.len() / 9;
    let filter = |channel: usize| (0..9).map(|tap| values[tap * filters + channel]).collect::<Vec<f32>>();
    let distance = |filter: &[f32]| filter.iter().zip(FILTER).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let worst = (0..filters).map(|channel| distance(&filter(channel))).fold(0.0, f32::max);
    Some((filter(0), worst))
}

struct Form {
    name: &'static str,
    losses: Vec<f64>,
    filter: Option<Vec<f32>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (x, y) = data()?;
    let device = Device::auto();
    println!("on {}", device.name());
    println!("{:<18} {:>10} {:>12} {:>24}", "form", "parameters", "last loss", "worst tap of any filter");
    let mut trained = Vec::new();
    for (name, model) in forms()? {
        model.initialize(3);
        // Both ways to share a kernel start from the same one.
        for weight in model.weights().iter().filter(|weight| weight.spec().shape.to_vec() == [3, 3, 1, 1]) {
            weight.set(Tensor::full([3, 3, 1, 1], 0.1))?;
        }
        let settings = Settings::new(&model, Loss::MeanSquaredError, Optimizer::adam().learning_rate(0.02));
        let mut trainer = Trainer::new(&model, device.clone(), settings)?;
        let arrays = Arrays::new(&model, x.clone(), y.clone())?;
        let history = trainer.fit(&arrays, &FitOptions::epochs(40).batch_size(32))?;
        let losses: Vec<f64> = history.epochs.iter().map(|epoch| epoch.loss).collect();
        let found = learnt(&model);
        let last = losses.last().copied().unwrap_or_default();
        let worst = found.as_ref().map_or("no 3x3 filter".into(), |(_, worst)| format!("off by {worst:.4}"));
        println!("{name:<18} {:>10} {last:>12.2e} {worst:>24}", model.parameters());
        trained.push(Form { name, losses, filter: found.map(|(filter, _)| filter) });
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/examples");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("question.svg");
    draw(&path, &trained)?;
    println!("saved {}", path.display());
    let shared = trained.iter().find(|form| form.name == "one shared kernel").and_then(|form| form.filter.clone());
    let found = shared.is_some_and(|filter| filter.iter().zip(FILTER).all(|(a, b)| (a - b).abs() < 1e-2));
    if found { Ok(()) } else { Err("the shared kernel is not the filter that made the data".into()) }
}

/// Losses over the epochs, and below them the filters.
fn draw(path: &Path, forms: &[Form]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (860, 580)).into_drawing_area();
    root.fill(&WHITE)?;
    let (upper, lower) = root.split_vertically(400);
    let epochs = forms.iter().map(|form| form.losses.len()).max().unwrap_or(1) as f64;
    let positive = || forms.iter().flat_map(|form| &form.losses).copied().filter(|loss| *loss > 0.0);
    let (low, high) = (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
    let mut chart = ChartBuilder::on(&upper)
        .caption("loss of the five forms", ("sans-serif", 18))
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(64)
        .build_cartesian_2d(1.0..epochs, (low * 0.5..high * 2.0).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .light_line_style(WHITE)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0e}"))
        .draw()?;
    for (number, form) in forms.iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        let points = form.losses.iter().enumerate().map(|(epoch, &loss)| (epoch as f64 + 1.0, loss.max(low)));
        let series = chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
        series.label(form.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    let found = forms.iter().filter_map(|form| Some((form.name, form.filter.clone()?)));
    let filters: Vec<(&str, Vec<f32>)> = [("made the data", FILTER.to_vec())].into_iter().chain(found).collect();
    for ((name, filter), area) in filters.iter().zip(lower.split_evenly((1, filters.len()))) {
        area.draw(&Text::new(*name, (10, 8), ("sans-serif", 15)))?;
        for (tap, &value) in filter.iter().enumerate() {
            let (left, top) = (10 + 42 * (tap % 3) as i32, 34 + 42 * (tap / 3) as i32);
            // Red below zero, blue above.
            let share = f64::from(value.abs() / 2.0).min(1.0);
            let color = if value < 0.0 { RED.mix(share) } else { BLUE.mix(share) };
            area.draw(&Rectangle::new([(left, top), (left + 40, top + 40)], color.filled()))?;
            let ink = if share > 0.6 { &WHITE } else { &BLACK };
            area.draw(&Text::new(
                format!("{value:.2}"),
                (left + 5, top + 14),
                ("sans-serif", 12).into_font().color(ink),
            ))?;
        }
    }
    root.present()?;
    Ok(())
}
