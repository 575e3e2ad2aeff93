//! The Docker runtime against a real engine. `tests/docker/run` starts one and says where it is.

mod runtime;
