//! Who may call what: tokens in the store, a policy for every RPC, and the
//! layer that asks for both before a request is looked at.

mod book;
mod cut;
mod layer;
mod policy;
pub mod tokens;

pub(crate) use book::Book;
pub(crate) use layer::AuthLayer;
