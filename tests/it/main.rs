//! The one integration-test binary: modules mirror `api`, `inventory` and `store`.

mod architecture;
mod audit;
mod revision_log;
mod sample;
mod support;
mod undo;
