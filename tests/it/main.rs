//! The one integration-test binary: modules mirror `api`, `inventory` and `store`.

// Whole bodies are long literals.
#![recursion_limit = "256"]

mod architecture;
mod cards;
mod collections;
mod health;
mod imports_conflicts;
mod imports_http;
mod imports_upload;
mod items;
mod items_http;
mod items_space_time;
mod openapi;
mod park_list;
mod problems;
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
