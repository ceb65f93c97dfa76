//! Teams of invocations that work on one line together and join their results by a fixed tree (`lib/team.wgsl`).

use serde_json::json;

use super::{DeviceClass, DeviceTraits, LINEAR_WORKGROUP, LONG_LOOP, Refusal, Shader, ends, layout};

/// How the lines of a reduction are spread over invocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Team {
    /// Invocations that share a line.
    lanes: u32,
    /// Invocations in a workgroup.
    threads: u32,
    /// Elements that a lane takes in one round of its loop.
    unroll: u32,
}

/// Elements of a line that one lane should have at least, before more lanes join.
const ELEMENTS_PER_LANE: usize = 8;
/// Invocations that keep a GPU, and the cores of a processor, busy.
const BUSY: [usize; 2] = [1 << 14, 1 << 11];
/// Invocations that keep a device busy.
pub(super) fn busy(traits: &DeviceTraits) -> usize {
    let [gpu, processor] = BUSY;
    if traits.class == DeviceClass::Cpu { processor } else { gpu }
}

/// The steps of a tree that joins the values of `lanes` invocations, a power of two.
pub(super) fn steps(lanes: u32) -> Vec<u32> {
    std::iter::successors(Some(lanes / 2), |step| Some(step / 2)).take_while(|&step| step > 0).collect()
}

/// Elements of one round of an unrolled loop.
const UNROLL: u32 = 8;
/// Passes over a line that a loop which depends on it is allowed for; a handful is usual.
pub(super) const PASSES_ALONE: usize = 16;

impl Team {
    /// The team for lines of `length` elements. It follows from the length alone, so that results do too.
    pub(super) fn new(length: usize, traits: &DeviceTraits) -> Team {
        let lanes = [256, 64, 16, 4]
            .into_iter()
            .find(|&lanes| lanes <= traits.max_invocations && lanes as usize * ELEMENTS_PER_LANE <= length);
        Team::of(lanes.unwrap_or(1), length)
    }

    /// The team for many lines whose elements lie side by side: the fewer lines there are, the larger, and never larger than
    /// [`Team::new`]. Small teams leave room for more lines in a workgroup, which then reads longer rows.
    pub(super) fn beside(length: usize, lines: usize, traits: &DeviceTraits) -> Team {
        let most = busy(traits).div_ceil(lines.max(1));
        let lanes = [64, 16, 4].into_iter().find(|&lanes| lanes as usize <= most).unwrap_or(1);
        Team::of(lanes.min(Team::new(length, traits).lanes), length)
    }

    fn of(lanes: u32, length: usize) -> Team {
        let unroll = if length / lanes as usize > LONG_LOOP { UNROLL } else { 1 };
        Team { lanes, threads: lanes.max(LINEAR_WORKGROUP), unroll }
    }

    /// As [`Team::new`], with a whole workgroup for each line or one invocation, so that loops may depend on the line.
    pub(super) fn alone(length: usize, traits: &DeviceTraits) -> Team {
        let team = Team::new(length, traits);
        let lanes = if team.lanes > 1 { team.lanes.max(LINEAR_WORKGROUP) } else { 1 };
        let unroll = if length / lanes as usize > LONG_LOOP / PASSES_ALONE { UNROLL } else { 1 };
        Team { lanes, unroll, ..team }
    }

    /// Checks that `passes` over a line of `length` elements come to their end on this device.
    pub(super) fn ends(self, length: usize, passes: usize, traits: &DeviceTraits) -> Result<(), Refusal> {
        ends(length.div_ceil((self.lanes * self.unroll) as usize).saturating_mul(passes), traits)
    }

    /// The options that `lib/team.wgsl` asks for; `spread` lays the same lanes of neighbouring lines side by side.
    pub(super) fn options(self, shader: Shader, spread: bool) -> Shader {
        shader
            .with("lanes", self.lanes)
            .with("threads", self.threads)
            .with("steps", json!(steps(self.lanes)))
            .with("unroll", self.unroll)
            .with("spread", spread)
    }

    /// The number of lines and the grid for them. Without any line the first team still reads, so callers make its line
    /// empty.
    pub(super) fn grid(self, lines: usize, traits: &DeviceTraits) -> Result<(u32, [u32; 3]), Refusal> {
        let groups = (lines as u64).div_ceil(u64::from(self.threads / self.lanes));
        match traits.fold(groups) {
            Some(workgroups) => Ok((layout::count(lines)?, workgroups)),
            None => Refusal::because(format!("{lines} lines need {groups} workgroups, more than one dispatch has")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_grow_with_the_line_and_shrink_with_the_device() {
        let traits = DeviceTraits::portable(DeviceClass::Discrete);
        let lanes = |length| Team::new(length, &traits).lanes;
        assert_eq!([1, 31, 32, 127, 128, 511, 512, 2047, 2048].map(lanes), [1, 1, 4, 4, 16, 16, 64, 64, 256]);
        let small = DeviceTraits { max_invocations: 128, ..traits.clone() };
        assert_eq!(Team::new(1 << 21, &small), Team { lanes: 64, threads: 64, unroll: 8 });
        assert_eq!(Team::alone(40, &traits), Team { lanes: 64, threads: 64, unroll: 1 });
        let beside = |lines| Team::beside(784, lines, &traits).lanes;
        assert_eq!([8, 512, 2000, 40_000].map(beside), [64, 16, 4, 1]);
        assert_eq!(Team::beside(40, 8, &traits).lanes, 4);
        assert_eq!(Team::new(40, &traits).grid(17, &traits), Ok((17, [2, 1, 1])));
    }
}
