//! Organizations in files: seeds, plans, what is applied, what is exported.

mod network;
mod seeds;
mod world;
