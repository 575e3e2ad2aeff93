//! What happens around every request, whatever it asks for: one step per file, in the order of [`super::front`].

pub(crate) mod authenticate;
pub(crate) mod impersonate;
pub(crate) mod limit;
pub(crate) mod timeout;
pub(crate) mod trace;
pub(crate) mod warning;
