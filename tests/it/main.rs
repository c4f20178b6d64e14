//! The one integration-test binary: modules mirror `api`, `inventory` and `store`.

mod architecture;
mod sample;
mod support;
