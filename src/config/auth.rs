//! Sessions, factors and mail.

use super::definition::{Kind, section};
use crate::base::seams::Seams;
use crate::base::secret::Secret;
use crate::base::vault::{Key, Vault};

section! {
    /// Sessions, factors and mail.
    Auth {
        /// The hosted service signed its tokens with this; sessions are opaque here.
        jwt_secret: Option<Secret<String>> = "JWT_SECRET", Kind::Secret(None), None, NotYet;
        /// Lifetime of a session, in hours.
        session_hours: u64 = "JWT_EXPIRY_HOURS", Kind::Integer(1, 8_760), Some("24"), Yes;
        /// A session ends after so many minutes without a request; 0 = never.
        idle_timeout_minutes: u64 = "AUTH_IDLE_TIMEOUT_MINUTES", Kind::Integer(0, 10_080), Some("15"), Yes;
        /// Whether an e-mail address must be verified before the first sign-in.
        require_email_verification: bool = "AUTH_REQUIRE_EMAIL_VERIFICATION", Kind::Flag, Some("0"), Yes;
        /// Whether sign-in asks for a code sent by mail. Who has a passkey or an authenticator app is asked for that instead.
        require_email_2fa: bool = "AUTH_REQUIRE_EMAIL_2FA", Kind::Flag, Some("0"), Yes;
        /// Whether everybody must have a passkey or an authenticator app, which need no mail: who has none can only set one up.
        require_second_factor: bool = "ONSITE_REQUIRE_SECOND_FACTOR", Kind::Flag, Some("0"), Yes;
        /// Minutes for which a password, a code or a passkey counts as fresh. Licence, keys, users, roles and exports ask for it again after that.
        step_up_minutes: u64 = "ONSITE_STEP_UP_MINUTES", Kind::Integer(1, 1_440), Some("10"), Yes;
        /// Mail server: smtp://user:password@host:port (STARTTLS, 587) or smtps:// (TLS, 465); ?tls=none for a server of one's own network without TLS.
        smtp_url: Option<Secret<String>> = "SMTP_URL", Kind::Secret(None), None, Yes;
        /// The address that mail comes from. Default: Azure's sender, else the user of SMTP_URL where that is an address.
        mail_from: Option<String> = "ONSITE_MAIL_FROM", Kind::Text, None, Yes;
        /// Connection string of Azure Communication Services.
        azure_connection_string: Option<Secret<String>> = "AZURE_COMMUNICATION_SERVICES_CONNECTION_STRING", Kind::Secret(None), None, Yes;
        /// Sender address at Azure Communication Services.
        azure_sender: Option<String> = "AZURE_COMMUNICATION_EMAIL_SENDER", Kind::Text, None, Yes;
        /// Key of what is encrypted at rest: 32 bytes in base64, as `onsite secrets new-key` makes one; a Fernet key serves as well. Keep a copy away from this server: without it a backup does not open.
        db_encryption_key: Option<Key> = "DB_ENCRYPTION_KEY", Kind::Keys(1), None, Yes;
        /// Keys before it, separated by commas. They open what is not encrypted anew yet; the server does that while it serves, and `onsite secrets status` says when they can go.
        db_encryption_key_previous: Vec<Key> = "DB_ENCRYPTION_KEY_PREVIOUS", Kind::Keys(8), None, Yes;
    }
}

impl Auth {
    /// The keys as a vault.
    #[must_use]
    pub fn vault(&self, seams: &Seams) -> Vault {
        Vault::new(self.db_encryption_key.clone(), self.db_encryption_key_previous.clone(), seams)
    }
}
