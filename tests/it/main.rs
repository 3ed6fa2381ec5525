//! The one integration-test binary: the real appliance, over HTTP, from outside.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing")]

mod answers;
mod api_keys;
mod app;
mod audit;
mod authenticator;
mod bad_input;
mod binary;
mod bootstrap_secret;
mod commands;
mod companies;
mod crash;
mod directory;
mod factors;
mod floors;
mod isolation;
mod issuer;
mod journey;
mod licence;
mod licence_life;
mod lists;
mod mail;
mod mail_server;
mod members;
mod model_answers;
mod model_server;
mod openapi;
mod passkeys;
mod provider;
mod query_plans;
mod secrets;
mod service_manager;
mod setup;
mod sign_on;
mod sign_on_ldap;
mod sign_on_people;
mod site;
mod streams;
mod web;
