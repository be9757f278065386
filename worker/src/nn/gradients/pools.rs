//! Pooling against PyTorch's values and gradients, padded and not.

use super::*;
use crate::nn::pool::Square;

pub(super) fn square(kernel: usize, stride: usize, padding: usize) -> Square {
    Square {
        kernel,
        stride,
        padding,
    }
}

#[test]
pub(super) fn pools_agree_with_pytorch() {
    for (name, kind, square) in [
        ("avgpool2", Pool::Average, square(2, 2, 0)),
        ("avgpool2_odd", Pool::Average, square(2, 2, 0)),
        ("avgpool3s2", Pool::Average, square(3, 2, 0)),
        ("avgpool3s1p1", Pool::Average, square(3, 1, 1)),
        ("avgpool3s2p1", Pool::Average, square(3, 2, 1)),
        ("maxpool2", Pool::Maximum, square(2, 2, 0)),
        ("maxpool2_odd", Pool::Maximum, square(2, 2, 0)),
        ("maxpool3s2", Pool::Maximum, square(3, 2, 0)),
        ("maxpool3s1p1", Pool::Maximum, square(3, 1, 1)),
        ("maxpool3s2p1", Pool::Maximum, square(3, 2, 1)),
    ] {
        check(name, |x| images(&pool(kind, &rows(&x[0])?, square)?));
    }
}

#[test]
fn windows_that_see_nothing_but_the_outside_are_refused() {
    let x = rows_of_normals();
    assert!(pool(Pool::Maximum, &x, square(2, 1, 2)).is_err());
}
