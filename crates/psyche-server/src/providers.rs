//! Models that admins define while the program runs: kept sealed, with their keys, and put in again at every start.

use std::collections::BTreeMap;
use std::time::Duration;

use psyche_core::TenantId;
use psyche_core::port::{Directory, ModelCatalog, ProviderDefinition, StoreError};
use serde::{Deserialize, Serialize};

use crate::app::Shared;

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

/// How often a replica looks whether models were defined at another one.
const LOOK: Duration = Duration::from_secs(5);

/// Follows what other replicas define, until the server leaves.
pub async fn watch(app: Shared) {
    let mut ticks = tokio::time::interval(LOOK);
    let mut known: Option<BTreeMap<String, Vec<u8>>> = None;
    loop {
        tokio::select! {
            () = app.leaving.cancelled() => return,
            _ = ticks.tick() => {}
        }
        // Nobody here changes one meanwhile.
        let _held = app.providers.lock().await;
        let Ok(sealed) = app.ports.directory.sealed(TenantId::DEFAULT, KIND).await else { continue };
        let now: BTreeMap<String, Vec<u8>> = sealed.into_iter().collect();
        if known.as_ref() == Some(&now) {
            continue;
        }
        let (directory, models) = (app.ports.directory.as_ref(), app.ports.models.as_ref());
        for gone in known.iter().flat_map(BTreeMap::keys).filter(|id| !now.contains_key(*id)) {
            models.remove(gone);
        }
        match define_stored(directory, models).await {
            Ok(()) => known = Some(now),
            Err(error) => tracing::warn!(%error, "models that were defined at another replica cannot be read"),
        }
    }
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
