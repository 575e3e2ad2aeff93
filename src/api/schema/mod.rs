//! What is known of the types of objects beyond their fields: how lists are merged, and their published schemas.

pub mod merge_keys;
