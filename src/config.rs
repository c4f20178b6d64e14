//! Configuration: one struct, a flag or `SIZHI_*` variable each.
