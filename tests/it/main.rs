//! The one integration-test binary: modules mirror `api`, `inventory` and `store`.

// Whole bodies are long literals.
#![recursion_limit = "256"]

mod architecture;
mod as_of;
mod audit;
mod backup;
mod cards;
mod changes;
mod cli;
mod collections;
mod crash;
mod database_faults;
mod documentation;
mod drawings;
mod embedded;
mod file_systems;
mod health;
mod history;
mod hostile_archives;
mod hostile_files;
mod http_limits;
mod import_directory;
mod import_judgements;
mod imports;
mod imports_conflicts;
mod imports_http;
mod imports_lasting;
mod imports_upload;
mod items;
mod items_http;
mod items_space_time;
mod openapi;
mod park_list;
mod problems;
mod reach_out;
mod real_cadastres;
mod real_files;
mod real_formats;
mod real_geojson_rules;
mod revision_log;
mod round_trips;
mod sample;
mod streams;
mod support;
mod time_declared;
mod undo;
mod webhooks;
