//! The invariants of ARCHITECTURE.md that can be read off the files: rooms, arrows, sizes, stems and panics.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms from the bottom up; a room may name only rooms of the rows above its own in this table, which lie below it.
const ROOMS: &[&[&str]] = &[
    &["error", "tensor"],
    &["ops"],
    &["graph", "kernels"],
    &["plan"],
    &["passes", "cpu", "gpu"],
    &["session"],
    &["layers", "cases"],
    &["import", "zoo"],
    &["export", "train"],
    &["bench"],
    &["cli"],
    &["bin"],
];

/// Rooms of one row that may name each other all the same, with the reason in ARCHITECTURE.md.
const NEIGHBOURS: &[(&str, &str)] = &[("error", "tensor"), ("tensor", "error")];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no .{ending} files under {folder}");
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The first folder or file name under `src/`.
fn room(path: &Path) -> String {
    let first = path.strip_prefix(root().join("src")).unwrap().components().next().unwrap();
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_string()
}

fn row(room: &str) -> Option<usize> {
    ROOMS.iter().position(|row| row.contains(&room))
}

/// The part of a file before its unit tests.
fn code(text: &str) -> &str {
    let before = |mark| text.split(mark).next().unwrap_or(text);
    // A file that is a test as a whole says so at its top.
    if text.contains("#![cfg(test)]") { before("#![cfg(test)]") } else { before("#[cfg(test)]") }
}

fn report(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn rooms_name_only_rooms_below_them() {
    let mut wrong = Vec::new();
    for path in files("src", "rs") {
        let own = room(&path);
        if own == "lib" {
            continue;
        }
        let Some(own_row) = row(&own) else {
            wrong.push(format!("{}: `{own}` is in no row of the table", name(&path)));
            continue;
        };
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text).lines().enumerate() {
            let line = line.split("//").next().unwrap_or("");
            for prefix in ["crate::", "wgconv::"] {
                for part in line.split(prefix).skip(1) {
                    let target: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    let Some(target_row) = row(&target) else { continue };
                    let neighbour = NEIGHBOURS.contains(&(own.as_str(), target.as_str()));
                    if target != own && target_row >= own_row && !neighbour {
                        wrong.push(format!("{}:{} names `{target}`", name(&path), number + 1));
                    }
                }
            }
        }
    }
    report("a room names one that is not below it", wrong);
}

#[test]
fn only_gpu_names_wgpu() {
    let names = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().any(|line| line.split("//").next().unwrap_or("").contains("wgpu::"))
    };
    let wrong = files("src", "rs").into_iter().filter(|path| room(path) != "gpu" && names(path));
    report("names wgpu outside of gpu/", wrong.map(|path| name(&path)).collect());
}

#[test]
fn files_open_with_a_sentence_and_stay_short() {
    let mut wrong = Vec::new();
    for path in files("src", "rs").into_iter().chain(files("tests", "rs")) {
        let text = fs::read_to_string(&path).unwrap();
        if !text.starts_with("//! ") {
            wrong.push(format!("{}: does not open with a //! sentence", name(&path)));
        }
        let lines = text.lines().count();
        if lines > 500 {
            wrong.push(format!("{}: {lines} lines", name(&path)));
        }
        if path
            .file_stem()
            .is_some_and(|stem| ["utils", "util", "helpers", "misc", "common"].iter().any(|bad| stem == *bad))
        {
            wrong.push(format!("{}: the name says nothing", name(&path)));
        }
    }
    report("files", wrong);
}

#[test]
fn every_shader_has_its_kernel_and_every_kernel_its_shader() {
    let stem = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().to_string();
    let shaders: BTreeSet<String> =
        files("shaders", "wgsl").iter().filter(|path| !name(path).contains("/lib/")).map(stem).collect();
    // A file that goes with a shader begins with its stem.
    let opens = |path: &PathBuf| fs::read_to_string(path).unwrap().starts_with(&format!("//! `{}`: ", stem(path)));
    let kernels: BTreeSet<String> = files("src/kernels", "rs").iter().filter(|path| opens(path)).map(stem).collect();
    assert_eq!(shaders, kernels, "shaders on the left, kernels on the right");
}

#[test]
fn nothing_in_src_panics_by_name() {
    let bad = [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unreachable!("];
    let mut wrong = Vec::new();
    // The checker of kernels is compiled for tests only.
    for path in files("src", "rs").into_iter().filter(|path| name(path) != "src/kernels/check.rs") {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text).lines().enumerate() {
            let line = line.split("//").next().unwrap_or("");
            if bad.iter().any(|bad| line.contains(bad)) {
                wrong.push(format!("{}:{}: {}", name(&path), number + 1, line.trim()));
            }
        }
    }
    report("can panic", wrong);
}

#[test]
fn ignored_tests_say_why() {
    let mut wrong = Vec::new();
    for path in files("src", "rs").into_iter().chain(files("tests", "rs")) {
        let text = fs::read_to_string(&path).unwrap();
        let bare = ["#[", "ignore]"].concat();
        if text.contains(&bare) {
            wrong.push(name(&path));
        }
    }
    report("an ignored test without a reason", wrong);
}
