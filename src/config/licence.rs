//! Activation codes and the bundle.

use super::definition::{Kind, section};
use crate::base::secret::Secret;

section! {
    /// Activation codes and the bundle.
    Licence {
        /// The vendor's public key. Compiled into a release build; at run time only a development build listens to it.
        public_key_pem: Option<String> = "LICENSE_PUBLIC_KEY_PEM", Kind::Text, None, Yes;
        /// The vendor's signing key: issuer only. Without it orders wait as `pending_signing_key`.
        signing_private_key_pem: Option<Secret<String>> = "LICENSE_SIGNING_PRIVATE_KEY_PEM", Kind::Secret(None), None, Yes;
        /// The passphrase of the signing key, when it is encrypted: issuer, and the vendor's commands.
        signing_key_passphrase: Option<Secret<String>> = "LICENSE_SIGNING_KEY_PASSPHRASE", Kind::Secret(None), None, Yes;
        /// Version of the published bundle.
        bundle_version: Option<String> = "ONPREM_BUNDLE_VERSION", Kind::Text, None, NotYet;
        /// SHA-256 of the published bundle.
        bundle_checksum_sha256: Option<String> = "ONPREM_BUNDLE_CHECKSUM_SHA256", Kind::Text, None, NotYet;
        /// When the bundle was published.
        bundle_published_at: Option<String> = "ONPREM_BUNDLE_PUBLISHED_AT", Kind::Text, None, NotYet;
        /// Where the bundle is published: connection string.
        bundle_blob_connection_string: Option<Secret<String>> = "ONPREM_BUNDLE_BLOB_CONNECTION_STRING", Kind::Secret(None), None, NotYet;
        /// Where the bundle is published: container.
        bundle_blob_container: Option<String> = "ONPREM_BUNDLE_BLOB_CONTAINER", Kind::Text, None, NotYet;
        /// Where the bundle is published: name.
        bundle_blob_name: Option<String> = "ONPREM_BUNDLE_BLOB_NAME", Kind::Text, None, NotYet;
    }
}
