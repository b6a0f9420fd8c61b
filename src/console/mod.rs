//! The web console: pages for people, rendered here and complete without scripts.

pub mod assets;
pub mod chart;
pub mod form;
#[cfg(test)]
mod gallery;
pub mod layout;
pub mod parts;
pub mod qr;
pub mod words;
