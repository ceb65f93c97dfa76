//! Finds faces in a picture and 68 points on each, and draws them: face-api.js's tiny networks, whose layers are separable
//! convolutions.
//!
//! ```sh
//! cargo run --release --example 04_faces [PICTURE [DETECTOR.keras [LANDMARKS.keras]]]
//! ```
//!
//! The result is `target/examples/faces/PICTURE.png`. Licences of models and picture: `examples/data/faces/LICENSE`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use image::{DynamicImage, Rgb, RgbImage, imageops};
use wgconv::import::{Layout, PictureInput, Preprocess, ResizeTo, read_model, read_picture};
use wgconv::session::{Device, Options, Session};
use wgconv::tensor::Tensor;

/// Rows and columns that the detector sees: more find smaller faces. Multiples of 32.
const SIZE: usize = 416;
/// Detections below this are none.
const SCORE: f32 = 0.5;
/// Of detections that overlap by more than this share of their union only the best one is kept.
const OVERLAP: f32 = 0.4;
/// Widths and heights of the boxes that the detector starts from, in cells.
const ANCHORS: [(f32, f32); 5] =
    [(1.603231, 2.094468), (6.041143, 7.080126), (2.882459, 3.518061), (4.266906, 5.178857), (9.041765, 10.66308)];

/// A network that takes one square picture.
struct Network {
    session: Session,
    input: String,
    preprocess: Preprocess,
}

impl Network {
    fn open(path: &Path, size: usize, mean: [f32; 3], divisor: f32) -> Result<Network, Box<dyn Error>> {
        let model = read_model(path)?;
        let preprocess = Preprocess {
            resize: Some(ResizeTo::Exact(size, size)),
            scale: 1.0 / divisor,
            mean: mean.map(|mean| mean / divisor).to_vec(),
            ..Preprocess::default()
        };
        let input = model.inputs().first().ok_or("a model without inputs")?.name.clone();
        let session = Session::new(model.graph(1)?, Device::auto(), Options::default());
        Ok(Network { session, input, preprocess })
    }

    fn run(&self, square: RgbImage) -> Result<Tensor, Box<dyn Error>> {
        let takes = PictureInput { rows: None, columns: None, channels: 3, layout: Layout::Nhwc };
        let tensor = self.preprocess.apply(&DynamicImage::ImageRgb8(square), takes)?.tensor;
        let outputs = self.session.run(&BTreeMap::from([(self.input.clone(), tensor)]))?;
        Ok(outputs.into_values().next().ok_or("a model without outputs")?)
    }
}

/// A face, in pixels of the picture.
#[derive(Debug, Clone, Copy)]
struct Face {
    score: f32,
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

impl Face {
    /// Intersection over union.
    fn overlap(&self, other: &Face) -> f32 {
        let width = (self.right.min(other.right) - self.left.max(other.left)).max(0.0);
        let height = (self.bottom.min(other.bottom) - self.top.max(other.top)).max(0.0);
        let area = |face: &Face| (face.right - face.left) * (face.bottom - face.top);
        width * height / (area(self) + area(other) - width * height)
    }
}

/// The picture on a black square, in its upper left corner or in its middle.
fn square(picture: &RgbImage, centred: bool) -> RgbImage {
    let side = picture.width().max(picture.height());
    let mut square = RgbImage::new(side, side);
    let offset = |size: u32| if centred { i64::from((side - size) / 2) } else { 0 };
    imageops::replace(&mut square, picture, offset(picture.width()), offset(picture.height()));
    square
}

/// The detector's output `[1, cells, cells, anchors * 5]` as boxes in a square of `side` pixels.
fn decode(output: &Tensor, side: f32) -> Result<Vec<Face>, Box<dyn Error>> {
    let &[1, cells, columns, 25] = &output.shape()[..] else {
        return Err(format!("the detector gives {} and not [1, cells, cells, 25]", output.shape()).into());
    };
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    let mut faces = Vec::new();
    for (position, numbers) in output.f32s()?.chunks(5).enumerate() {
        let (cell, anchor) = (position / ANCHORS.len(), ANCHORS[position % ANCHORS.len()]);
        let &[x, y, width, height, score] = numbers else { continue };
        let score = sigmoid(score);
        if score <= SCORE {
            continue;
        }
        let pixels = side / cells as f32;
        let (x, y) = ((cell % columns) as f32 + sigmoid(x), (cell / columns) as f32 + sigmoid(y));
        let (half_width, half_height) = (width.exp() * anchor.0 / 2.0, height.exp() * anchor.1 / 2.0);
        faces.push(Face {
            score,
            left: (x - half_width) * pixels,
            top: (y - half_height) * pixels,
            right: (x + half_width) * pixels,
            bottom: (y + half_height) * pixels,
        });
    }
    Ok(faces)
}

/// The best detections, none of which overlaps a better one by more than [`OVERLAP`].
fn suppress(mut faces: Vec<Face>) -> Vec<Face> {
    faces.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Face> = Vec::new();
    for face in faces {
        if kept.iter().all(|better| better.overlap(&face) <= OVERLAP) {
            kept.push(face);
        }
    }
    kept
}

/// 68 points of a face: jaw (0 to 16), brows (to 26), nose (to 35), eyes (to 47), mouth (to 67).
fn landmarks(network: &Network, picture: &RgbImage, face: &Face) -> Result<Vec<(f32, f32)>, Box<dyn Error>> {
    let inside = |value: f32, size: u32| value.floor().clamp(0.0, size as f32) as u32;
    let (left, top) = (inside(face.left, picture.width()), inside(face.top, picture.height()));
    let (right, bottom) = (inside(face.right, picture.width()), inside(face.bottom, picture.height()));
    let (width, height) = ((right - left).max(1), (bottom - top).max(1));
    let part = imageops::crop_imm(picture, left, top, width, height).to_image();
    let output = network.run(square(&part, true))?;
    let side = width.max(height);
    let start = |from: u32, size: u32| from as f32 - ((side - size) / 2) as f32;
    let (x, y) = (start(left, width), start(top, height));
    Ok(output.f32s()?.chunks(2).map(|p| (x + p[0] * side as f32, y + p[1] * side as f32)).collect())
}

/// Fills a square around a point.
fn dot(picture: &mut RgbImage, x: f32, y: f32, radius: i64, colour: Rgb<u8>) {
    let (x, y) = (x.round() as i64, y.round() as i64);
    for (column, row) in (x - radius..=x + radius).flat_map(|x| (y - radius..=y + radius).map(move |y| (x, y))) {
        if (0..picture.width().into()).contains(&column) && (0..picture.height().into()).contains(&row) {
            picture.put_pixel(column as u32, row as u32, colour);
        }
    }
}

fn outline(picture: &mut RgbImage, face: &Face, colour: Rgb<u8>) {
    for x in face.left as i64..=face.right as i64 {
        dot(picture, x as f32, face.top, 1, colour);
        dot(picture, x as f32, face.bottom, 1, colour);
    }
    for y in face.top as i64..=face.bottom as i64 {
        dot(picture, face.left, y as f32, 1, colour);
        dot(picture, face.right, y as f32, 1, colour);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/faces");
    let mut paths =
        ["astronaut.jpg", "tiny_face_detector.keras", "face_landmark_68_tiny.keras"].map(|name| data.join(name));
    for (path, argument) in paths.iter_mut().zip(std::env::args_os().skip(1)) {
        *path = PathBuf::from(argument);
    }
    if let Some(missing) = paths.iter().find(|path| !path.is_file()) {
        let usage = "give a PNG or JPEG picture, then tiny_face_detector.keras, then face_landmark_68_tiny.keras";
        return Err(format!(
            "there is no file {}; {usage}, or nothing for those in {}",
            missing.display(),
            data.display()
        )
        .into());
    }
    let [picture, detector, points] = paths;
    let detector = Network::open(&detector, SIZE, [117.001, 114.697, 97.404], 256.0)?;
    let points = Network::open(&points, 112, [122.782, 117.001, 104.298], 255.0)?;
    let file = picture.file_stem().unwrap_or_default().to_owned();
    let mut picture = read_picture(&picture)?.to_rgb8();
    let side = picture.width().max(picture.height()) as f32;
    let faces = suppress(decode(&detector.run(square(&picture, false))?, side)?);
    println!("{} faces, on {}", faces.len(), detector.session.device().name());
    let all = faces.iter().map(|face| landmarks(&points, &picture, face)).collect::<Result<Vec<_>, _>>()?;
    for (face, points) in faces.iter().zip(all) {
        let Face { score, left, top, right, bottom } = face;
        println!("score {score:.3}, columns {left:.0} to {right:.0}, rows {top:.0} to {bottom:.0}");
        outline(&mut picture, face, Rgb([0, 255, 64]));
        points.iter().for_each(|&(x, y)| dot(&mut picture, x, y, 1, Rgb([255, 0, 160])));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/examples/faces");
    std::fs::create_dir_all(&folder)?;
    let result = folder.join(file).with_extension("png");
    picture.save(&result)?;
    println!("saved {}", result.display());
    Ok(())
}
