//! Get.

use crate::api::{ApiError, Consistency, GetOptions, Object, Target};
use crate::server::convert::from_stored;
use crate::server::pipeline::Inner;
use crate::server::subresource::scale;
use crate::store::StoreError;

impl Inner {
    pub(in crate::server) async fn get(&self, target: &Target, options: &GetOptions) -> Result<Object, ApiError> {
        if let Consistency::NotOlderThan(asked) | Consistency::Exact(asked) = options.consistency {
            let current = self.store.revision().await?;
            if asked > current {
                return Err(StoreError::Future { asked, current }.into());
            }
        }
        let object = self.read(&self.stored_target(target)?).await.map_err(|error| match error.is_not_found() {
            true => ApiError::not_found(&target.kind.resource(), &target.name),
            false => error,
        })?;
        match target.subresource.as_str() {
            scale::NAME => self.scale_of(&object),
            _ => from_stored(&target.kind, object),
        }
    }
}
