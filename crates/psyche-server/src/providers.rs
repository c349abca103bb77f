//! Models that admins define while the program runs: kept sealed, with their keys, and put in again at every start.

use psyche_core::TenantId;
use psyche_core::port::{Directory, ModelCatalog, ProviderDefinition, StoreError};
use serde::{Deserialize, Serialize};

/// Sealed values of this kind are providers, by the id of their model.
pub(crate) const KIND: &str = "provider";

/// A definition and its key, as they are sealed together.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub definition: ProviderDefinition,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
}

impl std::fmt::Debug for Stored {
    /// Keys stay out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored").field("definition", &self.definition).finish_non_exhaustive()
    }
}

/// All that are kept, by id.
pub(crate) async fn stored(directory: &dyn Directory) -> Result<Vec<(String, Stored)>, StoreError> {
    let sealed = directory.sealed(TenantId::DEFAULT, KIND).await?;
    let read = |(id, bytes): (String, Vec<u8>)| {
        let stored = serde_json::from_slice(&bytes);
        let stored =
            stored.map_err(|_| StoreError::Corrupt(format!("the provider {id} was written by another version")));
        Ok((id, stored?))
    };
    sealed.into_iter().map(read).collect()
}

/// Puts what is kept among the models. One that cannot be is passed over with a warning: the others work without it.
pub async fn define_stored(directory: &dyn Directory, models: &dyn ModelCatalog) -> Result<(), StoreError> {
    for (id, Stored { definition, api_key }) in stored(directory).await? {
        if let Err(problem) = models.define(&id, &definition, api_key.as_deref()) {
            tracing::warn!(provider = id, problem, "a model that was defined in the dashboard is left out");
        }
    }
    Ok(())
}
