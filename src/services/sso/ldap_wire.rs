//! A conversation with a directory server (RFC 4511) over a connection of egress: TLS or StartTLS, simple binds, searches. One question at a time;
//! answers are bounded in size, number and time, and referrals are not followed.

use bytes::BytesMut;
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapDerefAliases, LdapExtendedRequest, LdapFilter, LdapMsg, LdapOp, LdapResult, LdapResultCode, LdapSearchRequest,
    LdapSearchResultEntry, LdapSearchScope,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::codec::{Decoder, Encoder};

use super::LdapError;
use crate::base::secret::Secret;
use crate::base::text::{collapse_whitespace, truncate};
use crate::config::ldap::{LdapSecurity, LdapServer};
use crate::services::egress::{Connection, Destination, Egress, Purpose};

/// The extended operation that asks for TLS (RFC 4511 4.14).
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
/// The largest single answer: an entry with many groups.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// The deepest answer.
const MESSAGE_DEPTH_MAX: usize = 16;
/// Most bytes of all answers of one conversation.
const CONVERSATION_BYTES_MAX: usize = 8 << 20;
/// Seconds after which the server itself ends a search.
const SEARCH_SECONDS_MAX: i32 = 10;
/// Most bytes of the server's words that are repeated.
const REASON_BYTES_MAX: usize = 200;

/// A search: where, what, and how much of it.
pub(super) struct Search<'a> {
    pub(super) base: &'a str,
    pub(super) filter: LdapFilter,
    pub(super) attributes: Vec<String>,
    pub(super) entries_max: u16,
}

/// A conversation with a directory server.
pub(super) struct Conversation {
    connection: Connection,
    codec: LdapCodec,
    unread: BytesMut,
    read: usize,
    message: i32,
}

impl Conversation {
    /// Connects, and secures the connection as the setting says.
    pub(super) async fn open(egress: &Egress, server: &LdapServer) -> Result<Self, LdapError> {
        let protocol = if server.security == LdapSecurity::Tls { "ldaps" } else { "ldap" };
        let to = Destination { purpose: Purpose::SignIn, protocol, host: &server.host, port: server.port };
        let mut connection = egress.connect(to).await?;
        if server.security == LdapSecurity::Tls {
            connection = egress.secure(connection).await?;
        }
        let codec = LdapCodec::new(Some(MESSAGE_BYTES_MAX), Some(MESSAGE_DEPTH_MAX));
        let mut conversation = Self { connection, codec, unread: BytesMut::new(), read: 0, message: 0 };
        if server.security == LdapSecurity::StartTls {
            conversation = conversation.start_tls(egress).await?;
        }
        Ok(conversation)
    }

    async fn start_tls(mut self, egress: &Egress) -> Result<Self, LdapError> {
        let id = self.ask(LdapOp::ExtendedRequest(LdapExtendedRequest { name: START_TLS.to_owned(), value: None })).await?;
        match self.answer(id).await? {
            LdapOp::ExtendedResponse(answer) => expect_success(answer.res, "StartTLS").inspect_err(|_| self.connection.failed())?,
            _ => return Err(self.wrong("it answered StartTLS with something else")),
        }
        if !self.unread.is_empty() {
            // Words from before the encryption must not be taken for words from after it.
            return Err(self.wrong("it spoke on in the clear after StartTLS"));
        }
        let connection = egress.secure(self.connection).await?;
        Ok(Self { connection, ..self })
    }

    /// Whether name and password are right. An empty password would be no question at all (RFC 4513 5.1.2), and is not asked.
    pub(super) async fn bind(&mut self, dn: &str, password: &Secret<String>) -> Result<bool, LdapError> {
        if dn.is_empty() || password.expose().is_empty() {
            return Ok(false);
        }
        let cred = LdapBindCred::Simple(password.expose().clone());
        let id = self.ask(LdapOp::BindRequest(LdapBindRequest { version: 3, dn: dn.to_owned(), cred })).await?;
        let LdapOp::BindResponse(answer) = self.answer(id).await? else { return Err(self.wrong("it answered a bind with something else")) };
        match answer.res.code {
            LdapResultCode::Success => Ok(true),
            // Wrong, locked, expired, or not to be used: nobody is told which.
            LdapResultCode::InvalidCredentials
            | LdapResultCode::NoSuchObject
            | LdapResultCode::InvalidDNSyntax
            | LdapResultCode::InappropriateAuthentication
            | LdapResultCode::ConstraintViolation
            | LdapResultCode::InsufficentAccessRights
            | LdapResultCode::UnwillingToPerform => Ok(false),
            _ => Err(refused(&answer.res, "the bind")),
        }
    }

    /// The entries that a filter finds. Where the search goes on elsewhere, it does without us.
    pub(super) async fn search(&mut self, search: Search<'_>) -> Result<Vec<LdapSearchResultEntry>, LdapError> {
        let request = LdapSearchRequest {
            base: search.base.to_owned(),
            scope: LdapSearchScope::Subtree,
            aliases: LdapDerefAliases::Never,
            sizelimit: i32::from(search.entries_max),
            timelimit: SEARCH_SECONDS_MAX,
            typesonly: false,
            filter: search.filter,
            attrs: search.attributes,
        };
        let id = self.ask(LdapOp::SearchRequest(request)).await?;
        let mut entries = Vec::new();
        loop {
            match self.answer(id).await? {
                LdapOp::SearchResultEntry(entry) if entries.len() < usize::from(search.entries_max) => entries.push(entry),
                LdapOp::SearchResultEntry(_) => return Err(self.wrong("it found more than was asked for")),
                LdapOp::SearchResultReference(_) => {}
                // As many as were asked for are here; that there are more is for the caller to judge.
                LdapOp::SearchResultDone(done) if done.code == LdapResultCode::SizeLimitExceeded && !entries.is_empty() => return Ok(entries),
                LdapOp::SearchResultDone(done) => return expect_success(done, "the search").map(|()| entries),
                _ => return Err(self.wrong("it answered a search with something else")),
            }
        }
    }

    /// Takes leave.
    pub(super) async fn unbind(mut self) {
        let _ = self.ask(LdapOp::UnbindRequest).await;
        let _ = self.connection.shutdown().await;
    }

    async fn ask(&mut self, op: LdapOp) -> Result<i32, LdapError> {
        self.message += 1;
        let mut bytes = BytesMut::new();
        self.codec.encode(LdapMsg::new(self.message, op), &mut bytes).map_err(|error| LdapError::Protocol(error.to_string()))?;
        let written = async {
            self.connection.write_all(&bytes).await?;
            self.connection.flush().await
        };
        let written = written.await;
        // It may hold a password.
        bytes.fill(0);
        written.map_err(|error| LdapError::Protocol(error.to_string()))?;
        Ok(self.message)
    }

    async fn answer(&mut self, id: i32) -> Result<LdapOp, LdapError> {
        loop {
            match self.codec.decode(&mut self.unread) {
                Ok(Some(message)) if message.msgid == id => return Ok(message.op),
                Ok(Some(_)) => return Err(self.wrong("it answered something that was not asked, or it is going down")),
                Ok(None) => {}
                Err(_) => return Err(self.wrong("its answer is not LDAP, or too large")),
            }
            let read = self.connection.read_buf(&mut self.unread).await.map_err(|error| LdapError::Protocol(error.to_string()))?;
            if read == 0 {
                return Err(self.wrong("it closed the connection"));
            }
            self.read += read;
            if self.read > CONVERSATION_BYTES_MAX {
                return Err(self.wrong("its answers do not end"));
            }
        }
    }

    fn wrong(&mut self, reason: &str) -> LdapError {
        self.connection.failed();
        LdapError::Protocol(reason.to_owned())
    }
}

fn expect_success(result: LdapResult, step: &'static str) -> Result<(), LdapError> {
    if result.code == LdapResultCode::Success { Ok(()) } else { Err(refused(&result, step)) }
}

fn refused(result: &LdapResult, step: &'static str) -> LdapError {
    let words = collapse_whitespace(&format!("{:?} {}", result.code, truncate(&result.message, REASON_BYTES_MAX)));
    LdapError::Refused { step, reply: words }
}
