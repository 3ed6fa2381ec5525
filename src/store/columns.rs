//! How the model's types are written to and read from columns.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::base::clock::Timestamp;
use crate::model::ids::{
    ApiKeyId, BootstrapId, ChatRunId, CompanyId, ConversationId, DocumentId, EgressRuleId, EmailVerificationId, GroupRoleId, InvitationId,
    IssueRequestId, LicenceId, MailId, MessageId, PasskeyId, PasswordResetId, PendingSignInId, ReportId, ReservationId, RunId, SessionId, UserId,
    WidgetId,
};

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.millis()))
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self::from_millis)
    }
}

macro_rules! id_columns {
    ($($name:ident),* $(,)?) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.as_str()))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_str()?.parse().map_err(FromSqlError::other)
            }
        }
    )*};
}

id_columns!(
    ApiKeyId,
    BootstrapId,
    EmailVerificationId,
    InvitationId,
    MailId,
    PendingSignInId,
    PasskeyId,
    PasswordResetId,
    ChatRunId,
    CompanyId,
    ConversationId,
    DocumentId,
    EgressRuleId,
    GroupRoleId,
    IssueRequestId,
    LicenceId,
    MessageId,
    ReportId,
    ReservationId,
    RunId,
    SessionId,
    UserId,
    WidgetId
);

/// Implements the column form of an enum that has `as_str` and `FromStr`.
#[macro_export]
macro_rules! text_column {
    ($($name:ty),* $(,)?) => {$(
        impl rusqlite::types::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(rusqlite::types::ToSqlOutput::from(self.as_str()))
            }
        }

        impl rusqlite::types::FromSql for $name {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
                value.as_str()?.parse().map_err(rusqlite::types::FromSqlError::other)
            }
        }
    )*};
}
