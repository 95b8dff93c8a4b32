//! The way to the client: heads that keep hops from holding a stream back, and bodies that stay alive while nothing comes and
//! break off where an answer did.

mod body;
mod final_frame;
mod head;
mod numbering;
mod stream;
mod tail;
mod websocket;

pub use body::Body;
pub use head::{json, retry_later, stream};
pub use numbering::{LOST, Numbering};
pub use stream::{Manner, StreamBody};
pub use websocket::{NoHandshake, handshake, tell};
