//! PNG and JPEG pictures as input tensors.

use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, ImageDecoder, ImageReader, Luma};

use super::preprocess::{ChannelOrder, Layout, PictureError, Preprocess, ResizeTo, checked_size};
use crate::tensor::Tensor;

/// The picture that a model's input takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureInput {
    /// Rows; `None` where any number is taken.
    pub rows: Option<usize>,
    /// Columns; `None` where any number is taken.
    pub columns: Option<usize>,
    /// 1 (grey), 3 (colour) or 4 (colour and alpha).
    pub channels: usize,
    /// The order of axes.
    pub layout: Layout,
}

/// A picture as a tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedPicture {
    /// A batch of one: `[1, rows, columns, channels]` or `[1, channels, rows, columns]`.
    pub tensor: Tensor,
    /// What was done without having been asked for.
    pub notes: Vec<String>,
}

impl PictureInput {
    /// What an input takes, from its shape without the batch. The order of axes is `layout` if given, that of a shape whose
    /// channels (1, 3 or 4) can only be first or last, and `otherwise` for all other shapes. An open number of channels is 3.
    ///
    /// # Errors
    /// [`PictureError::Fit`] when the shape has other than three axes, or no such number of channels.
    pub fn of(
        shape: &[Option<usize>],
        layout: Option<Layout>,
        otherwise: Layout,
    ) -> Result<PictureInput, PictureError> {
        let sizes: Vec<String> = shape.iter().map(|size| size.map_or("?".into(), |size| size.to_string())).collect();
        let wrong = |what: &str| PictureError::Fit {
            what: format!("does not go into an input of {}: {what}; give an .npy file", sizes.join("x")),
        };
        let &[first, second, third] = shape else {
            return Err(wrong("a picture has three axes"));
        };
        let can_be = |size: Option<usize>| size.is_none_or(|size| [1, 3, 4].contains(&size));
        let layout = layout.unwrap_or(match (can_be(first), can_be(third)) {
            (true, false) => Layout::Nchw,
            (false, true) => Layout::Nhwc,
            _ => otherwise,
        });
        let (channels, rows, columns) = match layout {
            Layout::Nchw => (first, second, third),
            Layout::Nhwc => (third, first, second),
        };
        match channels.unwrap_or(3) {
            channels @ (1 | 3 | 4) => Ok(PictureInput { rows, columns, channels, layout }),
            channels => Err(wrong(&format!("a picture has 1, 3 or 4 channels and not {channels}"))),
        }
    }
}

/// Reads a PNG or JPEG file, turned as its EXIF orientation says.
///
/// # Errors
/// [`PictureError::File`] when it is none, or damaged.
pub fn read_picture(path: &Path) -> Result<DynamicImage, PictureError> {
    let wrong = |what: String| PictureError::File { path: path.to_path_buf(), what };
    let damaged = |e: image::ImageError| wrong(format!("not a PNG or JPEG picture that can be read: {e}"));
    let reader =
        ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(|e| wrong(e.to_string()))?;
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    // 512 MiB unless the crate changes its mind: a few bytes can claim to be more than there is memory.
    image::Limits::default().reserve(decoder.total_bytes()).map_err(damaged)?;
    // A picture whose further data are damaged stays as it is stored.
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// The PNG and JPEG files of a folder, by the endings of their names, in the order of their names.
///
/// # Errors
/// [`PictureError::File`] when the folder cannot be listed.
pub fn picture_files(folder: &Path) -> Result<Vec<PathBuf>, PictureError> {
    let wrong = |e: std::io::Error| PictureError::File { path: folder.to_path_buf(), what: e.to_string() };
    let entries = std::fs::read_dir(folder).map_err(wrong)?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    paths.retain(|path| is_picture_name(path));
    paths.sort();
    Ok(paths)
}

/// Whether a file's name ends as those of pictures do: `.png`, `.jpg`, `.jpeg`.
pub fn is_picture_name(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ["png", "jpg", "jpeg"].contains(&ending.as_str()))
}

impl Preprocess {
    /// Reads a picture and makes it what a model's input takes: [`read_picture`] and [`Preprocess::apply`].
    ///
    /// # Errors
    /// [`PictureError::File`] with either's reason.
    pub fn open(&self, path: &Path, input: PictureInput) -> Result<PreparedPicture, PictureError> {
        let picture = read_picture(path)?;
        let wrong = |e: PictureError| PictureError::File { path: path.to_path_buf(), what: e.to_string() };
        self.apply(&picture, input).map_err(wrong)
    }

    /// Reads pictures as one batch, in their order.
    ///
    /// # Errors
    /// As [`Preprocess::open`], and [`PictureError::File`] for the first picture that comes out at another size.
    pub fn open_batch<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a Path>,
        input: PictureInput,
    ) -> Result<Tensor, PictureError> {
        let (mut shape, mut values, mut count) = (Vec::new(), Vec::new(), 0);
        for path in paths {
            let wrong = |what: String| PictureError::File { path: path.to_path_buf(), what };
            let picture = self.open(path, input)?.tensor;
            if count > 0 && shape != picture.shape().to_vec() {
                let what = "comes out at another size than the pictures before it; give a size to resize to";
                return Err(wrong(what.into()));
            }
            shape = picture.shape().to_vec();
            values.extend_from_slice(picture.f32s().map_err(|e| wrong(e.to_string()))?);
            count += 1;
        }
        if let Some(batch) = shape.first_mut() {
            *batch = count;
        }
        Tensor::from_f32(shape, values).map_err(|e| PictureError::Setting { what: e.to_string() })
    }

    /// Makes a picture what a model's input takes. Grey and colour become each other (grey by ITU-R 601, as in Pillow), an
    /// alpha channel is dropped where none is taken. Without `resize` and `crop` the picture is resized to the input's size.
    ///
    /// # Errors
    /// [`PictureError`] when the size does not come out as the input takes it, or a setting does not fit.
    pub fn apply(&self, picture: &DynamicImage, input: PictureInput) -> Result<PreparedPicture, PictureError> {
        self.validate()?;
        if picture.width() == 0 || picture.height() == 0 {
            let what = format!("is {}x{} (rows x columns) and has no pixels", picture.height(), picture.width());
            return Err(PictureError::Fit { what });
        }
        if ![1, 3, 4].contains(&input.channels) {
            let what = format!("has 1, 3 or 4 channels, and the input takes {}", input.channels);
            return Err(PictureError::Fit { what });
        }
        let mut notes = Vec::new();
        let transparent = input.channels != 4 && picture.has_alpha() && picture.to_rgba8().pixels().any(|p| p[3] < 255);
        if transparent {
            notes.push("transparent pixels are taken in their full colour, as the input has no alpha channel".into());
        }
        let mut picture = match input.channels {
            1 => DynamicImage::ImageLuma8(grey(picture)),
            4 => DynamicImage::ImageRgba8(picture.to_rgba8()),
            _ => DynamicImage::ImageRgb8(picture.to_rgb8()),
        };
        let own = (picture.height() as usize, picture.width() as usize);
        let size = (input.rows.unwrap_or(own.0), input.columns.unwrap_or(own.1));
        picture = match self.resize {
            Some(ResizeTo::Exact(rows, columns)) => self.resized(&picture, rows, columns)?,
            Some(ResizeTo::Shortest { shortest }) => {
                let longer =
                    |longer: usize, shorter: usize| (longer as u64 * shortest as u64 / shorter as u64) as usize;
                match own.0 <= own.1 {
                    true => self.resized(&picture, shortest, longer(own.1, own.0))?,
                    false => self.resized(&picture, longer(own.0, own.1), shortest)?,
                }
            }
            None if self.crop.is_none() && own != size => {
                notes.push(format!("{}x{} resized to {}x{}", own.0, own.1, size.0, size.1));
                self.resized(&picture, size.0, size.1)?
            }
            None => picture,
        };
        if let Some((rows, columns)) = self.crop {
            picture = centre(&picture, rows, columns)?;
        }
        let (rows, columns) = (picture.height() as usize, picture.width() as usize);
        let taken = |wanted: Option<usize>, size| wanted.is_none_or(|wanted| wanted == size);
        if !taken(input.rows, rows) || !taken(input.columns, columns) {
            let what = format!(
                "is {rows}x{columns} (rows x columns) after resizing and cropping, and the input takes {}x{}; give that as \
                 `crop`, or leave resizing to the input's size",
                size.0, size.1
            );
            return Err(PictureError::Fit { what });
        }
        let tensor = self.tensor(&picture.into_bytes(), rows, columns, input)?;
        Ok(PreparedPicture { tensor, notes })
    }

    fn resized(&self, picture: &DynamicImage, rows: usize, columns: usize) -> Result<DynamicImage, PictureError> {
        // The rows come first, at the picture's own width.
        checked_size(rows, picture.width() as usize)?;
        let (rows, columns) = checked_size(rows, columns)?;
        Ok(picture.resize_exact(columns, rows, self.interpolation.kernel()))
    }

    fn tensor(&self, bytes: &[u8], rows: usize, columns: usize, input: PictureInput) -> Result<Tensor, PictureError> {
        let channels = input.channels;
        let numbers = (0..channels).map(|channel| self.numbers(channel, channels)).collect::<Result<Vec<_>, _>>()?;
        let value = |pixel: usize, channel: usize| {
            // Alpha stays last.
            let source = if self.order == ChannelOrder::Bgr && (3..=4).contains(&channels) && channel < 3 {
                2 - channel
            } else {
                channel
            };
            let (mean, std) = numbers[channel];
            (f32::from(bytes[pixel * channels + source]) * self.scale - mean) / std
        };
        let pixels = rows * columns;
        Ok(match input.layout {
            Layout::Nhwc => Tensor::from_fn([1, rows, columns, channels], |i| value(i / channels, i % channels)),
            Layout::Nchw => Tensor::from_fn([1, channels, rows, columns], |i| value(i % pixels, i / pixels)),
        })
    }
}

/// Grey by the weights of ITU-R 601 in 16 bits, as Pillow's `convert("L")` has it.
fn grey(picture: &DynamicImage) -> GrayImage {
    if !picture.color().has_color() {
        return picture.to_luma8();
    }
    let colour = picture.to_rgb8();
    GrayImage::from_fn(colour.width(), colour.height(), |x, y| {
        let [red, green, blue] = colour.get_pixel(x, y).0.map(u32::from);
        Luma([((19_595 * red + 38_470 * green + 7_471 * blue + 0x8000) >> 16) as u8])
    })
}

/// The middle of a picture. Where it cannot be exactly in the middle, it is where torchvision's `CenterCrop` has it.
fn centre(picture: &DynamicImage, rows: usize, columns: usize) -> Result<DynamicImage, PictureError> {
    let (height, width) = (picture.height() as usize, picture.width() as usize);
    if height < rows || width < columns {
        return Err(PictureError::Fit {
            what: format!(
                "is {height}x{width} (rows x columns), too small for a crop of {rows}x{columns}; resize it first"
            ),
        });
    }
    // Half to even, as Python rounds.
    let start = |spare: usize| (spare / 2 + usize::from(spare % 4 == 3)) as u32;
    Ok(picture.crop_imm(start(width - columns), start(height - rows), columns as u32, rows as u32))
}
