//! What only the appliance has.

use super::definition::{Kind, section};
use crate::base::secret::Secret;

section! {
    /// What only the appliance has.
    Appliance {
        /// 1 = appliance, 0 = issuer.
        onsite: bool = "ONSITE", Kind::Flag, Some("1"), Yes;
        /// The hosted front end's name for ONSITE; accepted with the same meaning.
        next_public_onsite: bool = "NEXT_PUBLIC_ONSITE", Kind::Flag, Some("1"), Yes;
        /// The bootstrap token to use instead of a generated one: id.secret with a secret of at least 128 bits.
        bootstrap_token: Option<Secret<String>> = "ONSITE_BOOTSTRAP_TOKEN", Kind::Secret(None), None, Yes;
        /// A file of certificates (PEM) that outbound connections trust beside the host's.
        extra_ca_file: Option<String> = "ONSITE_EXTRA_CA_FILE", Kind::Text, None, Yes;
        /// The largest document that can be uploaded, in megabytes.
        upload_megabytes_max: u64 = "ONSITE_UPLOAD_MEGABYTES_MAX", Kind::Integer(1, 1_024), Some("50"), Yes;
        /// Days for which reports are kept, with what is recalled from them; the latest of each automation stays. 0 = for ever.
        report_days: u64 = "ONSITE_REPORT_DAYS", Kind::Integer(0, 36_500), Some("365"), Yes;
        /// PostgreSQL instead of the embedded database.
        database_url: Option<Secret<String>> = "DATABASE_URL", Kind::Secret(None), None, NotYet;
        /// Accepted so that an environment file can be carried over; not needed.
        redis_url: Option<Secret<String>> = "REDIS_URL", Kind::Secret(None), None, NotYet;
    }
}
