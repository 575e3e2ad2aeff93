//! What every [`Runtime`](super::Runtime) must do, as functions to call from the tests of one.
