//! Black-box tests: the built binary, real sockets, and a scripted model server that sends what a test says, when it says it.
//!
//! One file per group of promises. All modules are `cfg(test)`, so that the lints know them for tests.

#[cfg(test)]
mod admission;
#[cfg(test)]
mod backend;
#[cfg(test)]
mod backpressure;
#[cfg(test)]
mod cancel;
#[cfg(test)]
mod channels;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod coding;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod door;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod edge;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod events;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod head;
#[cfg(test)]
mod hops;
#[cfg(test)]
mod http;
#[cfg(test)]
mod keepalive;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod llama_cpp;
#[cfg(test)]
mod log;
#[cfg(test)]
mod passthrough;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod pull;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod refuse;
#[cfg(test)]
mod reload;
#[cfg(test)]
#[cfg(feature = "redis")]
mod replicas;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod statuses;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;
#[cfg(test)]
mod terminators;
#[cfg(test)]
mod timers;
#[cfg(test)]
mod told;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod translate;
#[cfg(test)]
mod websocket;
