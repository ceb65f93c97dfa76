//! The step by burn, on the wgpu device that it takes by default.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, DeviceKind, Int, Tensor, TensorData};

use wgconv_peers::{Result, version};

use crate::{Engine, LEARNING_RATE, Step, Task};

#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    depthwise: Conv2d,
    pointwise: Conv2d,
    dense: Linear,
}

impl Net {
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.pointwise.forward(self.depthwise.forward(self.conv.forward(x)));
        let [batch, channels, ..] = x.dims();
        self.dense.forward(relu(x).mean_dims(&[2, 3]).reshape([batch, channels]))
    }
}

pub struct Burn {
    device: Device,
    /// Away only while a step has it.
    net: Option<Net>,
    optimizer: ModuleOptimizer,
    loss: CrossEntropyLoss,
    x: TensorData,
    y: TensorData,
}

impl Burn {
    pub fn new(task: &Task) -> Result<Burn> {
        let device = Device::wgpu(DeviceKind::DefaultDevice).autodiff();
        let data = |at: usize| TensorData::new(task.weights[at].1.clone(), task.weights[at].0.clone());
        let conv = |at: usize, channels: [usize; 2], size: usize, groups: usize| {
            let config =
                Conv2dConfig::new(channels, [size, size]).with_groups(groups).with_padding(PaddingConfig2d::Same);
            let mut conv = config.init(&device);
            conv.weight = Param::from_data(data(at), &device);
            conv.bias = Some(Param::from_data(data(at + 1), &device));
            conv
        };
        let mut dense = LinearConfig::new(32, 10).init(&device);
        dense.weight = Param::from_data(data(6), &device);
        dense.bias = Some(Param::from_data(data(7), &device));
        let (conv, depthwise, pointwise) = (conv(0, [1, 16], 3, 1), conv(2, [16, 16], 3, 16), conv(4, [16, 32], 1, 1));
        Ok(Burn {
            net: Some(Net { conv, depthwise, pointwise, dense }),
            optimizer: SgdConfig::new().init(),
            loss: CrossEntropyLossConfig::new().init(&device),
            x: TensorData::new(task.x.clone(), [task.batch, 1, 28, 28]),
            y: TensorData::new(task.y.iter().map(|class| i32::from(*class)).collect(), [task.batch]),
            device,
        })
    }

    fn train(&mut self) -> Result<f32> {
        let net = self.net.take().ok_or("an earlier step failed")?;
        let x = Tensor::from_data(self.x.clone(), &self.device);
        let y = Tensor::<1, Int>::from_data(self.y.clone(), &self.device);
        let loss = self.loss.forward(net.forward(x), y);
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        self.net = Some(self.optimizer.step(LEARNING_RATE, net, gradients));
        let loss = loss.into_scalar::<f32>();
        // The loss comes back without the updated weights having been waited for.
        self.device.sync()?;
        Ok(loss)
    }
}

impl Engine for Burn {
    fn label(&self) -> String {
        let adapter = self.device.identity().map_or_else(|| "?".into(), |identity| identity.name);
        format!("burn {} (WGSL, fusion) on {adapter}", version("burn"))
    }

    fn step(&mut self) -> Result<Step> {
        Step::timed(|| self.train())
    }
}
