//! Kinds that are only created: a question, whose answer is its status. The server answers them.

use crate::api::object::ApiType;
use crate::api::{Kind, Strategy};

/// A strategy for each of these types, under the name behind `as`.
macro_rules! reviews {
    ($($(#[doc = $doc:literal])* $type:ty as $name:ident),* $(,)?) => {$(
        $(#[doc = $doc])*
        #[derive(Debug)]
        struct $name;

        impl $crate::api::Strategy for $name {
            type Object = $type;

            fn default(&self, review: &mut $type) {
                review.status.get_or_insert_default();
            }

            fn prepare_create(&self, review: &mut $type, _: &$crate::api::Surroundings) {
                review.status = Some(Default::default());
            }
        }
    )*};
}
pub(super) use reviews;

pub(super) fn review<S: Strategy<Object: ApiType>>(strategy: S) -> Kind {
    Kind::builtin(strategy).verbs(&["create"])
}
