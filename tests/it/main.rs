//! The one integration-test binary: modules mirror `api`, `inventory` and `store`.

mod architecture;
mod cli;
mod hostile_archives;
mod hostile_files;
mod import_directory;
mod import_judgements;
mod imports;
mod reach_out;
mod real_cadastres;
mod real_files;
mod real_formats;
mod real_geojson_rules;
mod round_trips;
mod sample;
mod support;
