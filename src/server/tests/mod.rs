//! What a caller of the server sees.
