//! `wgconv info`: the adapters of this machine.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;

use super::{Failure, Output};
use crate::gpu::adapters;

#[derive(Debug, Args)]
pub(super) struct InfoArgs {
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &InfoArgs) -> Result<ExitCode, Failure> {
    let found = pollster::block_on(adapters());
    let mut text = String::new();
    for (position, adapter) in found.iter().enumerate() {
        let traits = &adapter.traits;
        let chosen = if position == 0 { "  <- auto" } else { "" };
        writeln!(text, "{}{chosen}", adapter.name)?;
        writeln!(text, "  class     {:?}", adapter.class)?;
        writeln!(text, "  backend   {}, driver {}", adapter.backend, adapter.driver)?;
        let features: Vec<String> = adapter
            .features
            .iter()
            .map(|(name, there)| format!("{name} {}", if *there { "yes" } else { "no" }))
            .collect();
        writeln!(text, "  features  {}", features.join(", "))?;
        let subgroups = traits.subgroups.map_or("none".into(), |(low, high)| format!("{low} to {high} lanes"));
        writeln!(
            text,
            "  limits    binding {} MiB, uniform {} KiB, workgroup {} invocations and {} KiB, {} workgroups an axis, subgroups {subgroups}",
            traits.max_binding_bytes >> 20,
            traits.max_uniform_bytes >> 10,
            traits.max_invocations,
            traits.max_workgroup_bytes >> 10,
            traits.max_workgroups
        )?;
    }
    if found.is_empty() {
        text.push_str("no adapter: models run on the CPU reference. On Debian, mesa-vulkan-drivers brings one.");
    }
    args.output.print(&text, &found)?;
    Ok(ExitCode::SUCCESS)
}
