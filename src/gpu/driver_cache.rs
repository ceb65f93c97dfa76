//! What drivers make of shaders, kept from process to process.
//!
//! wgpu refuses data of another device, driver or version, but hands damaged data to the driver: a checksum stands before it.

use std::fs;
use std::io::{Error, ErrorKind, Result, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::device::Device;
use crate::tensor::write_atomically;

const MAGIC: &[u8; 16] = b"wgconv driver 1\n";
/// A larger cache is not kept: reading it would take longer than it saves.
const LARGEST: usize = 64 << 20;
/// Files of other devices and drivers that are kept beside it, the newest ones.
const FILES: usize = 8;
const ENDING: &str = "pipelines";

/// A driver's pipeline cache and its file.
pub(super) struct DriverCache {
    cache: wgpu::PipelineCache,
    file: PathBuf,
    /// Checksum of what the file holds.
    kept: AtomicU32,
}

impl DriverCache {
    /// The cache of a device, filled from its file in `folder`; `None` where the backend has none.
    pub(super) fn open(device: &Device, folder: &Path) -> Option<DriverCache> {
        let shared = &device.shared;
        if !shared.device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let info = &shared.info;
        let driver = crc32fast::hash(format!("{} {} {}", info.name, info.driver, info.driver_info).as_bytes());
        let file = folder.join(format!("{}_{driver:08x}.{ENDING}", wgpu::util::pipeline_cache_key(info)?));
        let data = match read(&file) {
            Ok(data) => Some(data),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    log::warn!("ignoring {}: {error}", file.display());
                }
                None
            }
        };
        let kept = AtomicU32::new(data.as_deref().map_or(0, crc32fast::hash));
        let create = |data: Option<&[u8]>| {
            // SAFETY: the data was written by `save` from what wgpu gave out, its checksum is right, and wgpu compares its
            // header with the device and driver.
            device.scoped("the pipeline cache", || unsafe {
                shared.device.create_pipeline_cache(&wgpu::PipelineCacheDescriptor {
                    label: Some("wgconv"),
                    data,
                    fallback: true,
                })
            })
        };
        let cache = create(data.as_deref()).or_else(|error| {
            log::warn!("ignoring {}: {error}", file.display());
            create(None)
        });
        cache.ok().map(|cache| DriverCache { cache, file, kept })
    }

    pub(super) fn get(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Writes the file if there is more to keep than it holds. That it cannot be written is no failure.
    pub(super) fn save(&self) {
        let Some(data) = self.cache.get_data().filter(|data| data.len() <= LARGEST) else { return };
        let sum = crc32fast::hash(&data);
        if self.kept.swap(sum, Ordering::Relaxed) == sum {
            return;
        }
        let written = self.file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            write_atomically(&self.file, |out| {
                out.write_all(MAGIC)?;
                out.write_all(&sum.to_le_bytes())?;
                out.write_all(&data)
            })
        });
        match written {
            Ok(()) => self.file.parent().into_iter().for_each(|folder| remove_oldest(folder, FILES)),
            Err(error) => log::warn!("the pipeline cache is not kept: {}: {error}", self.file.display()),
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let wrong = |what: &str| Error::new(ErrorKind::InvalidData, what.to_string());
    if fs::metadata(file)?.len() > (LARGEST + MAGIC.len() + 4) as u64 {
        return Err(wrong("it is too large to be a pipeline cache of this crate"));
    }
    let bytes = fs::read(file)?;
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| wrong("it is no pipeline cache of this crate"))?;
    match rest.split_first_chunk::<4>() {
        Some((sum, data)) if crc32fast::hash(data) == u32::from_le_bytes(*sum) => Ok(data.to_vec()),
        _ => Err(wrong("it is damaged")),
    }
}

/// Removes all but the newest caches of a folder.
fn remove_oldest(folder: &Path, keep: usize) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let ours = |path: &PathBuf| path.extension().is_some_and(|ending| ending == ENDING);
    let mut files: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(ours)
        .filter_map(|path| Some((fs::metadata(&path).and_then(|of| of.modified()).ok()?, path)))
        .collect();
    files.sort();
    for (_, path) in files.iter().rev().skip(keep) {
        // Another process may have been faster.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.pipelines");
        let mut bytes = [MAGIC.as_slice(), &crc32fast::hash(b"data").to_le_bytes(), b"data"].concat();
        fs::write(&file, &bytes).unwrap();
        assert_eq!(read(&file).unwrap(), b"data");
        for cut in [0, 10, 18, bytes.len() - 1] {
            fs::write(&file, &bytes[..cut]).unwrap();
            assert_eq!(read(&file).unwrap_err().kind(), ErrorKind::InvalidData, "{cut} bytes");
        }
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn a_folder_of_caches_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..12 {
            fs::write(folder.path().join(format!("{i}.{ENDING}")), b"x").unwrap();
        }
        fs::write(folder.path().join("other.json"), b"x").unwrap();
        remove_oldest(folder.path(), 3);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    }
}
