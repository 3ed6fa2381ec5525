//! Signs orders that waited for a key.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::features::issuer::Issuer;

/// Signs what waits: at the start, which is when a key appears, and once an hour, for a key whose time begins later.
#[derive(Clone, Debug)]
pub struct IssuerSigner(pub Issuer);

impl Reconciler for IssuerSigner {
    fn name(&self) -> &'static str {
        "issuer signer"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(3600)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async { Ok(self.0.sign_pending().await?) })
    }
}
