//! Inviting, and accepting: by a one-time link, which somebody hands over, so that it works without mail.

use super::Members;
use crate::base::secret::{Secret, new_token, sha256};
use crate::base::vault::VaultError;
use crate::model::audit::{Actor, Entry};
use crate::model::company::{Company, Membership};
use crate::model::ids::{CompanyId, InvitationId};
use crate::model::invitation::{Invitation, InvitationState, Invited, LIFETIME, may_give};
use crate::model::role::Role;
use crate::model::session::{Origin, SignedIn};
use crate::model::user::{Caller, Email, InvalidEmail};
use crate::services::auth::password::HashError;
use crate::services::auth::{AccountForm, InvalidAccount};
use crate::services::mail::InvitationLetter;
use crate::store::StoreError;
use crate::store::invitations::{Acceptance, Accepter};

/// An invitation just made: the one moment at which its token is known here.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// The invitation.
    pub invitation: Invitation,
    /// What its link carries.
    pub token: Secret<String>,
    /// Whether it is on its way by mail.
    pub mailed: bool,
}

/// Why nobody was invited.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// Not a mail address.
    #[error(transparent)]
    Email(#[from] InvalidEmail),
    /// The inviter's role does not allow giving this one, or it is owner.
    #[error("this role cannot be given by an invitation from you")]
    Role,
    /// The address belongs to a member.
    #[error("this address belongs to a member already")]
    Member,
    /// The mail's text could not be sealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an invitation was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// There is no such invitation.
    #[error("there is no such invitation")]
    Unknown,
    /// It was accepted, taken back, or its time is over.
    #[error("this invitation is {}", .0.as_str())]
    Ended(InvitationState),
    /// The address has an account: its owner signs in first.
    #[error("this address has an account: sign in with it, then accept")]
    SignInFirst,
    /// The signed-in account has another address.
    #[error("this invitation is for another address than yours")]
    OtherAddress,
    /// Every seat of the licence is taken.
    #[error("every seat of the licence is taken")]
    SeatsTaken,
    /// The account asked for is not right.
    #[error(transparent)]
    Account(#[from] InvalidAccount),
    /// No password could be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Somebody who has just joined a company.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The company, with their role.
    pub membership: Membership,
    /// The session that their new account opened; `None`: they had an account and are signed in, or have to sign in first.
    pub signed_in: Option<SignedIn>,
}

impl Members {
    /// Invites an address into a company, by mail too where mail is sent. An open invitation to the same address is replaced.
    ///
    /// # Errors
    /// See [`InviteError`].
    pub async fn invite(
        &self,
        by: &Caller,
        by_role: Role,
        company: &Company,
        email: &str,
        role: Role,
        origin: &Origin,
    ) -> Result<NewInvitation, InviteError> {
        let email: Email = email.parse()?;
        if role == Role::Owner || !may_give(by_role, role) {
            return Err(InviteError::Role);
        }
        if let Some((user, _)) = self.store.user_by_email(email.clone()).await?
            && self.store.membership(company.id.clone(), user.id).await?.is_some()
        {
            return Err(InviteError::Member);
        }
        let (at, token) = (self.seams.now(), new_token(&self.seams));
        let invitation = Invitation {
            id: InvitationId::new(&self.seams),
            company: company.id.clone(),
            email,
            role,
            invited_by: by.user.id.clone(),
            created_at: at,
            expires_at: at.plus(LIFETIME),
            accepted_at: None,
            withdrawn_at: None,
        };
        let entry = Entry::new(at, Actor::User(Some(by.user.id.clone())), "invitation.made", invitation.id.as_str()).in_company(company.id.clone());
        let entry = entry.from(origin.address).detail(serde_json::json!({"email": invitation.email, "role": role}));
        let Invitation { email: to, expires_at, .. } = &invitation;
        let letter = InvitationLetter { to, company: &company.name, by: &by.user.name, role, token: &token, expires_at: *expires_at };
        let mail = self.outbox.invitation(letter)?;
        let mailed = mail.is_some() && self.outbox.reaches_people();
        let invitation = self.store.invite(invitation, token_hash(&token), mail, entry).await?;
        self.outbox.posted();
        Ok(NewInvitation { invitation, token, mailed })
    }

    /// A company's invitations with what each is good for now, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn invitations(&self, company: &CompanyId) -> Result<Vec<(Invitation, InvitationState)>, StoreError> {
        let now = self.seams.now();
        let invitations = self.store.invitations_of(company.clone()).await?;
        Ok(invitations.into_iter().map(|invitation| (invitation.state(now), invitation)).map(|(state, invitation)| (invitation, state)).collect())
    }

    /// Takes an open invitation back. `false`: there is none such.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn withdraw(&self, by: &Caller, company: &CompanyId, id: InvitationId, origin: &Origin) -> Result<bool, StoreError> {
        let at = self.seams.now();
        let entry = Entry::new(at, Actor::User(Some(by.user.id.clone())), "invitation.withdrawn", id.as_str()).in_company(company.clone());
        self.store.withdraw_invitation(company.clone(), id, at, entry.from(origin.address)).await
    }

    /// What the holder of a token may see of the invitation behind it.
    ///
    /// # Errors
    /// [`AcceptError::Unknown`], [`AcceptError::Ended`], or that the store failed.
    pub async fn look(&self, token: &Secret<String>) -> Result<Invited, AcceptError> {
        let invited = self.store.invitation_by_token(token_hash(token)).await?.ok_or(AcceptError::Unknown)?;
        match invited.invitation.state(self.seams.now()) {
            InvitationState::Open => Ok(invited),
            ended => Err(AcceptError::Ended(ended)),
        }
    }

    /// Accepts with a new account, which is signed in by it unless signing in asks for more than its password here. The token is looked at before
    /// a password is hashed.
    ///
    /// # Errors
    /// See [`AcceptError`].
    pub async fn accept_as_new(&self, token: &Secret<String>, name: &str, password: Secret<String>, origin: Origin) -> Result<Accepted, AcceptError> {
        let invited = self.look(token).await?;
        if invited.has_account {
            return Err(AcceptError::SignInFirst);
        }
        let form = AccountForm::check(invited.invitation.email.as_str(), name, password)?;
        let new = self.auth.new_user(&form).await?;
        if self.auth.asks_new_accounts() {
            let (user, membership) = self.accept(token, Accepter::NewAccountOnly(Box::new(new), origin)).await?;
            if self.auth.verifies_addresses()
                && let Err(error) = self.auth.mail_verification(&user).await
            {
                // The account stands; signing in mails another link.
                tracing::warn!(%error, "no link was mailed to verify a new address");
            }
            return Ok(Accepted { membership, signed_in: None });
        }
        let (session, session_token) = self.auth.new_session(origin);
        let (session_id, expires_at) = (session.id.clone(), session.expires_at);
        let acceptance = self.accept(token, Accepter::NewAccount(Box::new(new), session)).await?;
        let (user, membership) = acceptance;
        Ok(Accepted { membership, signed_in: Some(SignedIn { user, session_id, token: session_token, expires_at }) })
    }

    /// Accepts as somebody who is signed in.
    ///
    /// # Errors
    /// See [`AcceptError`].
    pub async fn accept_as(&self, caller: &Caller, token: &Secret<String>, origin: Origin) -> Result<Accepted, AcceptError> {
        let (_, membership) = self.accept(token, Accepter::Account(caller.user.id.clone(), origin)).await?;
        Ok(Accepted { membership, signed_in: None })
    }

    async fn accept(&self, token: &Secret<String>, accepter: Accepter) -> Result<(crate::model::user::User, Membership), AcceptError> {
        let accepted = self.store.accept_invitation(token_hash(token), accepter, self.seats().await?, self.seams.now()).await?;
        match accepted {
            Acceptance::Done(user, company) => {
                let membership = self.store.membership(company, user.id.clone()).await?.ok_or(AcceptError::Unknown)?;
                Ok((user, membership))
            }
            Acceptance::Unknown => Err(AcceptError::Unknown),
            Acceptance::Ended(state) => Err(AcceptError::Ended(state)),
            Acceptance::HasAccount => Err(AcceptError::SignInFirst),
            Acceptance::OtherAddress => Err(AcceptError::OtherAddress),
            Acceptance::SeatsTaken => Err(AcceptError::SeatsTaken),
        }
    }
}

fn token_hash(token: &Secret<String>) -> [u8; 32] {
    sha256(token.expose().trim().as_bytes())
}
