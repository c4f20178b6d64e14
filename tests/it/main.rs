//! The one integration-test binary: modules mirror `api`, `inventory` and `store`.

mod architecture;
mod audit;
mod backup;
mod crash;
mod database_faults;
mod embedded;
mod http_limits;
mod revision_log;
mod sample;
mod support;
mod undo;
