//! Where things are kept that a device can do without, but works faster with.

use std::path::PathBuf;

use etcetera::BaseStrategy;

/// The folder of this crate among the user's caches: `$XDG_CACHE_HOME/wgconv` or what the system has in its place. It need
/// not exist. `None` when the system names none.
pub fn cache_folder() -> Option<PathBuf> {
    etcetera::base_strategy::choose_native_strategy().ok().map(|strategy| strategy.cache_dir().join("wgconv"))
}
