//! The device that this process computes on: chosen once, before the first
//! tensor. Tensors of two devices do not mix, and two handles of one GPU are
//! two devices to candle.

use std::sync::OnceLock;

use candle_core::Device;

static DEVICE: OnceLock<Device> = OnceLock::new();

/// Chooses the device of this process; `false` when one was in use already.
#[cfg(feature = "cuda")]
pub(crate) fn choose(device: Device) -> bool {
    DEVICE.set(device).is_ok()
}

/// Where new tensors go: the CPU, unless another device was chosen.
pub(crate) fn device() -> Device {
    #[cfg(test)]
    if let Some(device) = within::current() {
        return device;
    }
    DEVICE.get_or_init(|| Device::Cpu).clone()
}

/// A device for one thread's tests.
#[cfg(test)]
pub(crate) mod within {
    use std::cell::RefCell;

    use candle_core::Device;

    thread_local! {
        static CURRENT: RefCell<Option<Device>> = const { RefCell::new(None) };
    }

    pub(super) fn current() -> Option<Device> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// What `f` gives when this thread's tensors go to `device`.
    #[cfg(feature = "cuda")]
    pub(crate) fn run<T>(device: Device, f: impl FnOnce() -> T) -> T {
        CURRENT.set(Some(device));
        let value = f();
        CURRENT.set(None);
        value
    }
}
