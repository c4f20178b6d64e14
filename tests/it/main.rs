//! The one integration-test binary: modules mirror `api`, `inventory` and `store`.

// Whole bodies are long literals.
#![recursion_limit = "256"]

mod architecture;
mod audit;
mod backup;
mod cards;
mod collections;
mod crash;
mod database_faults;
mod embedded;
mod health;
mod http_limits;
mod imports_conflicts;
mod imports_http;
mod imports_upload;
mod items;
mod items_http;
mod items_space_time;
mod openapi;
mod park_list;
mod problems;
mod revision_log;
mod sample;
mod support;
mod undo;
