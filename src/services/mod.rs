//! What features share. Each service may import only those listed before it:
//! readiness, streams, secrets, egress, mail, audit, sso, auth, api_keys, companies, licensing, plans, ledger, collect, embed, gateway, recall, miners,
//! backup.

pub mod api_keys;
pub mod audit;
pub mod auth;
pub mod collect;
pub mod companies;
pub mod egress;
pub mod embed;
pub mod gateway;
pub mod ledger;
pub mod licensing;
pub mod mail;
pub mod plans;
pub mod readiness;
pub mod recall;
pub mod secrets;
pub mod sso;
pub mod streams;
