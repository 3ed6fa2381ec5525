//! Invitations: made by a company's admins, accepted by whoever holds the link.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{SessionKind, signed_in_response};
use crate::base::clock::Timestamp;
use crate::base::secret::Secret;
use crate::base::text::sentence;
use crate::features::members::{AcceptError, Accepted, InviteError};
use crate::http::caller::{CompanyAdmin, Ids, RequestOrigin, Signed};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::ValidJson;
use crate::http::{ApiError, AppState};
use crate::model::company::Membership;
use crate::model::ids::{InvitationId, UserId};
use crate::model::invitation::{Invitation, InvitationState};
use crate::model::role::Role;
use crate::model::user::Email;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, invite))
        .routes(routes!(withdraw))
        .routes(routes!(look))
        .routes(routes!(accept_as_new))
        .routes(routes!(accept))
}

/// An invitation, as the company's admins see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Invitation)]
struct InvitationView {
    #[schema(value_type = String)]
    id: InvitationId,
    #[schema(value_type = String)]
    email: Email,
    #[schema(value_type = String)]
    role: Role,
    /// `open`, `accepted`, `expired` or `withdrawn`.
    state: &'static str,
    #[schema(value_type = String)]
    invited_by: UserId,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl InvitationView {
    fn new(invitation: Invitation, state: InvitationState) -> Self {
        let Invitation { id, email, role, invited_by, created_at, expires_at, .. } = invitation;
        Self { id, email, role, state: state.as_str(), invited_by, created_at, expires_at }
    }
}

#[derive(Serialize, ToSchema)]
struct InvitationList {
    invitations: Vec<InvitationView>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InvitationRequest {
    email: String,
    /// `admin`, `dev`, `member` or `viewer`.
    #[schema(value_type = String)]
    role: Role,
}

#[derive(Serialize, ToSchema)]
struct NewInvitationView {
    invitation: InvitationView,
    /// Opens the invitation, once. Shown only here: hand over the link `/invitation#TOKEN` of this appliance.
    token: String,
    /// Whether it is on its way by mail too.
    mailed: bool,
}

// No `Debug`: it holds a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    token: String,
}

/// What somebody who holds the link may know before accepting.
#[derive(Serialize, ToSchema)]
struct InvitedView {
    company: String,
    #[schema(value_type = String)]
    email: Email,
    #[schema(value_type = String)]
    role: Role,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Whether the address has an account: then its owner signs in and accepts, instead of making one.
    has_account: bool,
}

// No `Debug`: it holds a password and a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AcceptRequest {
    token: String,
    name: String,
    password: String,
    /// `cookie` (for browsers) unless given.
    #[serde(default)]
    session: SessionKind,
}

#[derive(Serialize, ToSchema)]
struct JoinedView {
    company_id: String,
    company: String,
    #[schema(value_type = String)]
    role: Role,
}

impl From<Membership> for JoinedView {
    fn from(membership: Membership) -> Self {
        Self { company_id: membership.company.id.to_string(), company: membership.company.name, role: membership.role }
    }
}

#[derive(Deserialize)]
struct InvitationPath {
    invitation: InvitationId,
}

/// A company's invitations, the newest first. For admins and owners.
#[utoipa::path(get, path = "/api/companies/{company}/invitations", tag = "members", operation_id = "list_invitations", params(("company" = String, Path)), responses(
    (status = 200, body = InvitationList),
    (status = 403, description = "`role_too_low`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
async fn list(State(state): State<AppState>, CompanyAdmin(member): CompanyAdmin) -> Result<Json<InvitationList>, ApiError> {
    let invitations = state.members.invitations(&member.company.id).await?;
    Ok(Json(InvitationList { invitations: invitations.into_iter().map(|(invitation, state)| InvitationView::new(invitation, state)).collect() }))
}

/// Invite somebody. For admins and owners; the answer holds the only copy of the link's token.
#[utoipa::path(post, path = "/api/companies/{company}/invitations", tag = "members", operation_id = "create_invitation", request_body = InvitationRequest,
    params(("company" = String, Path)), responses(
    (status = 201, body = NewInvitationView),
    (status = 403, description = "`role_too_low`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, description = "`member_already`", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
))]
async fn invite(
    State(state): State<AppState>,
    CompanyAdmin(member): CompanyAdmin,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<InvitationRequest>,
) -> Result<Response, ApiError> {
    let made = state.members.invite(&member.caller, member.role, &member.company, &request.email, request.role, &origin).await?;
    let view = NewInvitationView {
        invitation: InvitationView::new(made.invitation, InvitationState::Open),
        token: made.token.expose().clone(),
        mailed: made.mailed,
    };
    Ok((StatusCode::CREATED, [(axum::http::header::CACHE_CONTROL, "no-store")], Json(view)).into_response())
}

/// Take an open invitation back. For admins and owners.
#[utoipa::path(delete, path = "/api/companies/{company}/invitations/{invitation}", tag = "members", operation_id = "withdraw_invitation",
    params(("company" = String, Path), ("invitation" = String, Path)), responses(
    (status = 204),
    (status = 403, description = "`role_too_low`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
async fn withdraw(
    State(state): State<AppState>,
    CompanyAdmin(member): CompanyAdmin,
    Ids(path): Ids<InvitationPath>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<StatusCode, ApiError> {
    let withdrawn = state.members.withdraw(&member.caller, &member.company.id, path.invitation, &origin).await?;
    if withdrawn { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::not_found()) }
}

/// What is behind an invitation's token.
#[utoipa::path(post, path = "/api/invitations/look", tag = "members", operation_id = "look_at_invitation", request_body = TokenRequest, responses(
    (status = 200, body = InvitedView),
    (status = 404, body = ErrorEnvelope),
    (status = 410, description = "`invitation_ended`", body = ErrorEnvelope),
))]
async fn look(State(state): State<AppState>, ValidJson(request): ValidJson<TokenRequest>) -> Result<Json<InvitedView>, ApiError> {
    let invited = state.members.look(&Secret::new(request.token)).await?;
    let Invitation { email, role, expires_at, .. } = invited.invitation;
    Ok(Json(InvitedView { company: invited.company.name, email, role, expires_at, has_account: invited.has_account }))
}

/// Accept an invitation with a new account, which is signed in by it (201); where addresses are verified or codes are mailed it signs in next (202).
#[utoipa::path(post, path = "/api/invitations/accept-as-new", tag = "members", operation_id = "accept_invitation_as_new", request_body = AcceptRequest, responses(
    (status = 201, body = super::auth::SessionView),
    (status = 202, description = "The account is made; sign in with it", body = JoinedView),
    (status = 402, description = "`seat_limit_reached`", body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, description = "`sign_in_first`", body = ErrorEnvelope),
    (status = 410, description = "`invitation_ended`", body = ErrorEnvelope),
    (status = 422, description = "`invalid_field`", body = ErrorEnvelope),
    (status = 429, description = "`busy`", body = ErrorEnvelope),
))]
async fn accept_as_new(
    State(state): State<AppState>,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<AcceptRequest>,
) -> Result<Response, ApiError> {
    let token = Secret::new(request.token);
    let accepted = state.members.accept_as_new(&token, &request.name, Secret::new(request.password), origin).await?;
    match accepted {
        Accepted { signed_in: Some(signed_in), .. } => signed_in_response(&state, StatusCode::CREATED, request.session, signed_in),
        Accepted { signed_in: None, membership } => Ok((StatusCode::ACCEPTED, Json(JoinedView::from(membership))).into_response()),
    }
}

/// Accept an invitation as the signed-in account of its address.
#[utoipa::path(post, path = "/api/invitations/accept", tag = "members", operation_id = "accept_invitation", request_body = TokenRequest, responses(
    (status = 200, body = JoinedView),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, description = "`other_address`", body = ErrorEnvelope),
    (status = 410, description = "`invitation_ended`", body = ErrorEnvelope),
))]
async fn accept(
    State(state): State<AppState>,
    Signed(caller): Signed,
    RequestOrigin(origin): RequestOrigin,
    ValidJson(request): ValidJson<TokenRequest>,
) -> Result<Json<JoinedView>, ApiError> {
    let Accepted { membership, .. } = state.members.accept_as(&caller, &Secret::new(request.token), origin).await?;
    Ok(Json(membership.into()))
}

impl From<InviteError> for ApiError {
    fn from(error: InviteError) -> Self {
        match error {
            InviteError::Email(error) => Self::invalid("email", sentence(error)),
            InviteError::Role => Self::new(StatusCode::FORBIDDEN, "role_too_low", "You cannot invite somebody with this role.")
                .field("role")
                .remedy("Invite with at most your own role; an owner is made of a member, by an owner."),
            InviteError::Member => Self::conflict("member_already", "This address belongs to a member of the company.")
                .field("email")
                .remedy("Change the member's role instead."),
            InviteError::Vault(error) => Self::internal(error),
            InviteError::Store(error) => error.into(),
        }
    }
}

/// Why an invitation is no longer good for anything, and what its holder does next.
const fn ended(state: InvitationState) -> (&'static str, &'static str) {
    match state {
        InvitationState::Open => ("This invitation is still open.", "Open its link again."),
        InvitationState::Accepted => ("This invitation was already accepted.", "Sign in with the account that accepted it."),
        InvitationState::Expired => ("This invitation has expired.", "Ask an admin of the company for a new one."),
        InvitationState::Withdrawn => ("This invitation was withdrawn.", "Ask an admin of the company for a new one."),
    }
}

impl From<AcceptError> for ApiError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Unknown => {
                Self::new(StatusCode::NOT_FOUND, "not_found", "There is no such invitation.").remedy("Copy the whole link, or ask for another.")
            }
            AcceptError::Ended(state) => {
                let (message, remedy) = ended(state);
                Self::new(StatusCode::GONE, "invitation_ended", message).remedy(remedy)
            }
            AcceptError::SignInFirst => {
                Self::conflict("sign_in_first", "This address has an account.").remedy("Sign in with it, then open the link again.")
            }
            AcceptError::OtherAddress => Self::conflict("other_address", "This invitation is for another address than that of your account.")
                .remedy("Sign in with the invited address, or ask for an invitation to yours."),
            AcceptError::SeatsTaken => super::users::seats_taken(),
            AcceptError::Account(error) => Self::invalid(error.field(), sentence(error)),
            AcceptError::Hash(error) => error.into(),
            AcceptError::Store(error) => error.into(),
        }
    }
}
