//! Get.

use crate::api::{ApiError, Consistency, GetOptions, Object, Target};
use crate::server::convert::from_stored;
use crate::server::pipeline::Inner;
use crate::server::subresource::scale;
use crate::server::usage;
use crate::store::StoreError;

impl Inner {
    pub(in crate::server) async fn get(&self, target: &Target, options: &GetOptions) -> Result<Object, ApiError> {
        if let Consistency::NotOlderThan(asked) | Consistency::Exact(asked) = options.consistency {
            let current = self.store.revision().await?;
            if asked > current {
                return Err(StoreError::Future { asked, current }.into());
            }
        }
        if usage::is_of(&target.kind) {
            return self.usage_of(target).await;
        }
        let stored = self.stored_target(target)?;
        let not_found = || ApiError::not_found(&target.kind.resource(), target.name());
        let object = self.find(&stored).await?.ok_or_else(not_found)?;
        match target.subresource.as_str() {
            scale::NAME => self.scale_of(&object),
            _ => from_stored(&target.kind, object),
        }
    }
}
