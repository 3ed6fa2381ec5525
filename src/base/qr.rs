//! QR pictures: made for a terminal, a page or a file, and read from a picture that somebody took. Nothing but text goes in or out.

use std::fmt::Write as _;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{GrayImage, ImageFormat, ImageReader, Limits};
use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around the code: readers need four.
const QUIET: i32 = 4;
/// Pixels per module of a picture file.
const PNG_SCALE: u32 = 6;
/// Largest picture that is read, bytes: a telephone's photograph.
pub const PICTURE_BYTES_MAX: usize = 8 << 20;
/// Largest width and height that is read, pixels.
const SIDE_MAX: u32 = 8_192;
/// Most pixels that are read.
const PIXELS_MAX: u64 = 40_000_000;
/// Most memory that decoding may take.
const DECODE_BYTES_MAX: u64 = 160 << 20;

/// A QR code.
#[derive(Clone)]
pub struct Picture(QrCode);

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Picture").field("side", &self.side()).finish_non_exhaustive()
    }
}

/// A text that does not fit into one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is too long for a QR picture: use the file instead")]
pub struct TooLong;

/// Why nothing was read from a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// Not a picture.
    #[error("this is neither a PNG nor a JPEG picture, or it is damaged")]
    NotAPicture,
    /// Too many pixels.
    #[error("the picture is larger than 8192 pixels on a side or 40 million in all: cut it to the QR code, or take it smaller")]
    TooLarge,
    /// No code in it that can be read.
    #[error("no QR code can be read in the picture: take it straight from the front, sharp, evenly lit, with the white border around the code")]
    NoCode,
}

impl Picture {
    /// A picture of a text, with the error correction M (15 %), or L where the text is too long for it.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn of(text: &str) -> Result<Self, TooLong> {
        let encode = |level| QrCode::encode_text(text, level);
        encode(QrCodeEcc::Medium).or_else(|_| encode(QrCodeEcc::Low)).map(Self).map_err(|_| TooLong)
    }

    /// Modules on a side, the quiet zone included.
    fn side(&self) -> i32 {
        self.0.size() + 2 * QUIET
    }

    fn dark(&self, x: i32, y: i32) -> bool {
        self.0.get_module(x - QUIET, y - QUIET)
    }

    /// For a terminal: two modules a character, drawn black on white whatever the terminal's colours are.
    #[must_use]
    pub fn terminal(&self) -> String {
        let mut text = String::new();
        for y in (0..self.side()).step_by(2) {
            text.push_str("\x1b[30;107m");
            for x in 0..self.side() {
                text.push(match (self.dark(x, y), self.dark(x, y + 1)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                });
            }
            text.push_str("\x1b[0m\n");
        }
        text
    }

    /// For a page: black on white, one unit per module.
    #[must_use]
    pub fn svg(&self) -> String {
        let side = self.side();
        let mut path = String::new();
        for y in 0..side {
            let mut x = 0;
            while x < side {
                let run = (x..side).take_while(|&x| self.dark(x, y)).count();
                let run = i32::try_from(run).unwrap_or(0);
                if run > 0 {
                    let _infallible = write!(path, "M{x},{y}h{run}v1h-{run}z");
                }
                x += run.max(1);
            }
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\"><rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path d=\"{path}\" fill=\"#000\"/></svg>\n"
        )
    }

    /// For a file: a PNG of six pixels a module.
    #[must_use]
    pub fn png(&self) -> Vec<u8> {
        let side = u32::try_from(self.side()).unwrap_or(0) * PNG_SCALE;
        let at = |pixel: u32| i32::try_from(pixel / PNG_SCALE).unwrap_or(0);
        let picture = GrayImage::from_fn(side, side, |x, y| image::Luma([if self.dark(at(x), at(y)) { 0 } else { 255 }]));
        let mut bytes = Cursor::new(Vec::new());
        // Writing to memory does not fail.
        let _infallible = picture.write_to(&mut bytes, ImageFormat::Png);
        bytes.into_inner()
    }
}

/// Whether bytes begin as a picture that [`read`] understands.
#[must_use]
pub fn is_picture(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89PNG\r\n\x1a\n") || bytes.starts_with(b"\xff\xd8\xff")
}

/// The texts of the QR codes in a PNG or JPEG picture. Blocking and hungry: at most one at a time, off the async threads.
///
/// # Errors
/// See [`PictureError`].
pub fn read(bytes: &[u8]) -> Result<Vec<String>, PictureError> {
    let picture = decode(bytes)?;
    // A large photograph is read better when it is made smaller; a small one only as it is.
    let mut scaled = Some(picture);
    for _ in 0..3 {
        let Some(picture) = scaled.take() else { break };
        let texts = codes_in(&picture);
        if !texts.is_empty() {
            return Ok(texts);
        }
        let (width, height) = (picture.width() / 2, picture.height() / 2);
        if width.min(height) >= 400 {
            scaled = Some(image::imageops::thumbnail(&picture, width, height));
        }
    }
    Err(PictureError::NoCode)
}

fn decode(bytes: &[u8]) -> Result<GrayImage, PictureError> {
    if bytes.len() > PICTURE_BYTES_MAX {
        return Err(PictureError::TooLarge);
    }
    if !is_picture(bytes) {
        return Err(PictureError::NotAPicture);
    }
    let reader = || ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|_| PictureError::NotAPicture);
    let (width, height) = reader()?.into_dimensions().map_err(|_| PictureError::NotAPicture)?;
    if width > SIDE_MAX || height > SIDE_MAX || u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(PictureError::TooLarge);
    }
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) = (Some(SIDE_MAX), Some(SIDE_MAX), Some(DECODE_BYTES_MAX));
    let mut reader = reader()?;
    reader.limits(limits);
    reader.decode().map(|picture| picture.into_luma8()).map_err(|error| match error {
        image::ImageError::Limits(_) => PictureError::TooLarge,
        _ => PictureError::NotAPicture,
    })
}

fn codes_in(picture: &GrayImage) -> Vec<String> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let find = || {
        let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| picture.as_raw()[y * width + x]);
        prepared.detect_grids().iter().filter_map(|grid| grid.decode().ok().map(|(_, text)| text)).collect()
    };
    // What is in the picture is a stranger's: whatever it does to the finder, it comes to nothing found.
    catch_unwind(AssertUnwindSafe(find)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(chars: usize) -> String {
        "ONSITE1-".to_owned() + &"0123456789ABCDEFGHJKMNPQRSTVWXYZ".repeat(chars / 32)
    }

    #[test]
    fn what_is_drawn_reads_back_from_png_and_jpeg_and_at_half_the_size() {
        for chars in [32, 640, 1_600] {
            let text = text(chars);
            let png = Picture::of(&text).unwrap().png();
            assert_eq!(read(&png).as_deref(), Ok(&[text.clone()][..]), "{chars}");
            let picture = image::load_from_memory(&png).unwrap();
            let mut jpeg = Cursor::new(Vec::new());
            picture.thumbnail(picture.width() / 2, picture.height() / 2).write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
            assert_eq!(read(&jpeg.into_inner()).as_deref(), Ok(&[text][..]), "{chars}");
        }
    }

    #[test]
    fn svg_and_terminal_draw_the_same_modules() {
        let picture = Picture::of("ONSITE1-ABC").unwrap();
        let drawn: usize = picture
            .terminal()
            .chars()
            .map(|c| match c {
                '█' => 2,
                '▀' | '▄' => 1,
                _ => 0,
            })
            .sum();
        let dark = (0..picture.side()).flat_map(|y| (0..picture.side()).map(move |x| (x, y))).filter(|&(x, y)| picture.dark(x, y)).count();
        assert_eq!(drawn, dark);
        let svg = picture.svg();
        let runs: usize = svg.split('h').skip(1).filter_map(|run| run.split('v').next()?.parse::<usize>().ok()).sum();
        assert_eq!(runs, dark);
    }

    #[test]
    fn what_is_no_picture_too_large_or_holds_no_code_is_told_apart() {
        assert_eq!(Picture::of(&"A".repeat(5_000)).unwrap_err(), TooLong);
        assert_eq!(read(b"GIF89a"), Err(PictureError::NotAPicture));
        assert_eq!(read(b"\x89PNG\r\n\x1a\nrubbish"), Err(PictureError::NotAPicture));
        assert_eq!(read(&vec![0; PICTURE_BYTES_MAX + 1]), Err(PictureError::TooLarge));
        let png = |picture: GrayImage| {
            let mut bytes = Cursor::new(Vec::new());
            picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
            bytes.into_inner()
        };
        assert_eq!(read(&png(GrayImage::new(9_000, 1))), Err(PictureError::TooLarge));
        assert_eq!(read(&png(GrayImage::from_pixel(500, 500, image::Luma([255])))), Err(PictureError::NoCode));
    }

    #[test]
    fn a_damaged_picture_never_panics() {
        let png = Picture::of(&text(640)).unwrap().png();
        for cut in (0..png.len()).step_by(97) {
            let _ = read(&png[..cut]);
        }
    }
}
