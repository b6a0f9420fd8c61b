//! Files over the network.
