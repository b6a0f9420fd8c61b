//! The API, over a real socket, as people use it.

#![expect(unreachable_pub, reason = "everything here is of one crate")]

mod support;

mod organizations;
