//! As much of HTTP/1.1 as the lab's servers and clients need: heads, `Content-Length` bodies, and the
//! times of the first and last byte.

pub mod arrival;
mod client;
mod message;
mod option;
mod pieces;
mod server;

pub use client::{Attempt, Connection, fetch, get};
pub use message::{Message, Received, Reply, receive, receive_head, request, take};
pub use option::reset_on_close;
pub use pieces::{pieces, write_pieces};
pub use server::{Sent, Service, serve};
