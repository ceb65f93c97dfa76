//! Where things are kept that a device can do without, but works faster with.

use std::path::PathBuf;

use etcetera::BaseStrategy;

/// The folder of this crate among the user's caches: `$XDG_CACHE_HOME/wgconv` or what the system has in its place, or what
/// `WGCONV_CACHE` names instead. It need not exist. `None` when the system names none, or `WGCONV_CACHE` is `off`.
pub fn cache_folder() -> Option<PathBuf> {
    match std::env::var_os("WGCONV_CACHE").filter(|wish| !wish.is_empty()) {
        Some(wish) if wish == "off" => None,
        Some(wish) => Some(wish.into()),
        None => {
            etcetera::base_strategy::choose_native_strategy().ok().map(|strategy| strategy.cache_dir().join("wgconv"))
        }
    }
}
