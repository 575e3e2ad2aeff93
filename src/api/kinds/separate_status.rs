//! Methods of a [`Strategy`](crate::api::Strategy) that most kinds with a spec and a status have in common.

/// The status is written through its own subresource only: cleared on creation, kept by updates of the main
/// resource, and the only thing that an update of the subresource changes.
macro_rules! separate_status {
    () => {
        fn prepare_create(&self, object: &mut Self::Object, _: &$crate::api::Surroundings) {
            object.status = None;
            self.default(object);
        }
        fn prepare_update(&self, new: &mut Self::Object, old: &Self::Object, _: &$crate::api::Surroundings) {
            $crate::api::kinds::separate_status::restore(&mut new.status, &old.status);
        }
        fn prepare_status(&self, new: &mut Self::Object, old: &Self::Object, _: &$crate::api::Surroundings) {
            $crate::api::kinds::separate_status::restore(&mut new.spec, &old.spec);
        }
    };
}

/// The generation counts changes of the spec.
macro_rules! spec_generation {
    () => {
        fn generation_changes(&self, new: &Self::Object, old: &Self::Object) -> Option<bool> {
            Some(!std::ptr::eq(new, old) && new.spec != old.spec)
        }
    };
}

/// Makes `new` what `old` is, which it mostly is already: to compare costs less than to copy.
pub(crate) fn restore<T: Clone + PartialEq>(new: &mut T, old: &T) {
    if new != old {
        new.clone_from(old);
    }
}

pub(crate) use {separate_status, spec_generation};
