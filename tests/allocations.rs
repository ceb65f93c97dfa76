//! After it has been warmed up, running a plan allocates nothing on the device, and nothing of the size of a tensor on the host but
//! its outputs.

mod shared_data;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use wgconv::session::{Device, Options, Session};
use wgconv::tensor::Tensor;

/// Counts what the Rust side of the process holds, and the largest piece asked for since it was last set to 0.
struct Counting;

static HELD: AtomicI64 = AtomicI64::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as i64, Ordering::Relaxed);
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn runs_after_the_first_allocate_nothing() {
    let model = wgconv::zoo::build("mobilenet_v1?alpha=0.25&size=224&classes=10").unwrap();
    let gpu = shared_data::gpu();
    let session = Session::new(model.graph(1).unwrap(), Device::Gpu(gpu.clone()), Options::default());
    let input = Tensor::from_fn([1, 224, 224, 3], |i| (i as f32 * 0.11).sin());
    let bytes = input.tensor_type().bytes();
    let inputs = BTreeMap::from([("input_layer".to_string(), input)]);
    session.warm_up(&BTreeMap::new()).unwrap();
    let run = || assert_eq!(session.run(&inputs).unwrap().len(), 1);
    (0..5).for_each(|_| run());
    let device_memory = || {
        gpu.wgpu_device()
            .generate_allocator_report()
            .map(|report| (report.total_allocated_bytes, report.allocations.len()))
    };
    let (held, on_device) = (HELD.load(Ordering::Relaxed), device_memory());
    LARGEST.store(0, Ordering::Relaxed);
    (0..30).for_each(|_| run());
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest < bytes / 4, "a run allocates {largest} bytes at once; its input has {bytes}");
    let grown = HELD.load(Ordering::Relaxed) - held;
    assert!(grown < 16 << 10, "30 runs left {grown} bytes behind");
    assert_eq!(device_memory(), on_device);
}
