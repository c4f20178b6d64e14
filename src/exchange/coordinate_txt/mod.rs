//! Boundary-point TXT (报部坐标, 界址点坐标): sections in brackets, parcel lines that end in `@`, point lines
//! `点号,圈号,X,Y` with X north and Y east. Tolerant in reading, strict in writing.

mod header;
mod parcel;
mod pasted;
mod read;
mod write;

pub use pasted::read_pasted;
pub use read::read;
pub use write::{TxtOptions, TxtParcel, write};

#[cfg(test)]
mod tests;
