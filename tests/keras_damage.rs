//! Reads files that are incomplete, damaged or no Keras files at all.

mod keras_support;
mod shared_data;

use std::panic::{AssertUnwindSafe, catch_unwind};

use hdf5_pure::FileBuilder;
use keras_support::{class_named, layer, model, saved, zipped};
use serde_json::json;
use tempfile::TempDir;
use wgconv::import::keras::archive::{self, Format};
use wgconv::import::keras::assign;

fn error_of(path: &std::path::Path) -> String {
    let message = archive::read(path).unwrap_err().to_string();
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    message
}

#[test]
fn errors_say_what_is_wrong_and_where() {
    let folder = TempDir::new().unwrap();
    let weights = class_named(&[("dense", &[1.0])]);
    let config = model("Sequential", "m", &[layer("Dense", "d")]).to_string();
    let config = ("config.json", config.as_bytes());
    let good = ("model.weights.h5", weights.as_slice());

    let file = archive::read(&saved(&folder, "g.keras", &zipped(&[config, good]))).unwrap();
    assert_eq!((file.format, file.keras_version), (Format::Archive, None));

    let cases: [(&str, Vec<u8>, &str); 12] = [
        ("a.keras", zipped(&[good]), "has no member config.json"),
        ("b.keras", zipped(&[config]), "has no member model.weights.h5"),
        ("c.keras", zipped(&[config, ("model.weights.json", b"{}")]), "in shards"),
        ("d.keras", zipped(&[("config.json", b"{nope"), good]), "config.json of"),
        ("e.keras", b"PK\x03\x04".to_vec(), "the table of contents"),
        ("f.keras", zipped(&[config, ("model.weights.h5", b"x")]), "not a readable HDF5 file"),
        ("g.h5", b"{\"class_name\": 1}".to_vec(), "looks like JSON"),
        ("h.h5", Vec::new(), "it is empty"),
        ("i.h5", b"\x08\x01".to_vec(), "starts like neither"),
        ("j.h5", FileBuilder::new().finish().unwrap(), "neither layer names nor layers"),
        ("l.keras", zipped(&[config, ("model.weights.h5", &vec![0; 100 << 20])]), "unpacks to more than"),
        ("k.h5", weights[..weights.len() / 2].to_vec(), "k.h5"),
    ];
    for (name, bytes, expected) in cases {
        let message = error_of(&saved(&folder, name, &bytes));
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("again") || message.contains("save"), "{message}");
    }
    assert!(error_of(folder.path()).contains("SavedModel"));
    assert!(error_of(&folder.path().join("none.h5")).contains("check the path"));
    let broken = zipped(&[config, good]);
    assert!(error_of(&saved(&folder, "cut.keras", &broken[..broken.len() - 30])).contains("damaged"));
}

/// Damages every file that it finds, and files of its own, in ways that repeat.
#[test]
fn damaged_files_never_panic() {
    let folder = TempDir::new().unwrap();
    let mut samples = vec![class_named(&[("conv2d", &[1.0, 2.0]), ("dense", &[3.0])])];
    for name in ["seed/v0_separable.h5", "seed/v0_separable.keras", "seed/v0_separable.weights.h5"] {
        samples.extend(shared_data::models(name).map(|folder| std::fs::read(folder.join(name)).unwrap()));
    }
    let rounds: u64 = std::env::var("WGCONV_FUZZ").map_or(300, |n| n.parse().unwrap());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let mut refused = 0;
    for sample in &samples {
        for round in 0..rounds {
            let mut bytes = sample.clone();
            if round % 4 == 0 {
                bytes.truncate(random() % sample.len());
            }
            for _ in 0..random() % 6 {
                let end = if round % 2 == 0 { bytes.len() } else { bytes.len().min(4096) };
                if end > 0 {
                    let byte = [0, 0xff, random() as u8][random() % 3];
                    bytes[random() % end] = byte;
                }
            }
            let path = saved(&folder, "damaged", &bytes);
            let read = catch_unwind(AssertUnwindSafe(|| {
                let file = archive::read(&path).map_err(|error| error.to_string())?;
                let config = file.config.clone().unwrap_or(json!({}));
                assign::match_layers(&config, &file).map_err(|error| error.to_string())?;
                Ok::<_, String>(())
            }));
            match read {
                Ok(Ok(())) => {}
                Ok(Err(message)) => {
                    assert!(message.contains(path.to_str().unwrap()), "{message}");
                    refused += 1;
                }
                Err(_) => panic!("round {round} panicked; see {}", folder.keep().display()),
            }
        }
    }
    assert!(refused > 0);
}
