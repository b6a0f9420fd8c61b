//! Organizations in files: seeds, plans, what is applied, what is exported.

mod kinds;
mod network;
mod random;
mod rules;
mod seeds;
mod world;
