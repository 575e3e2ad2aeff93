//! Whole clusters, embedded: one binary, a module per capability. Time is virtual wherever the subject is not time
//! or a socket.

mod architecture;
mod determinism;
mod kube_rs;
mod lifecycle;
mod remote;
mod services;
