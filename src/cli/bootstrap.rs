//! `onsite bootstrap`: the token that lets the first admin in, for the operator on the server itself.

use std::io::IsTerminal;

use clap::Subcommand;
use serde_json::json;

use super::DataDirArgument;
use super::local::{open_stopped, require_database};
use super::outcome::{CommandResult, Failure, say};
use crate::base::clock::Timestamp;
use crate::base::paths::DataDir;
use crate::base::seams::Seams;
use crate::model::bootstrap::{BootstrapStatus, TokenState};
use crate::services::auth::bootstrap::Bootstrap;
use crate::store::bootstrap::bootstrap_status_in;
use crate::store::{InstanceLock, OpenError, open_read_only};

/// Look after the token that lets the first admin in.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BootstrapCommand {
    /// Whether there is an admin, and what the token is good for. Works beside a running server.
    Status {
        #[command(flatten)]
        data: DataDirArgument,
        /// One JSON document instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Replace the token, a burnt one too. The server must be stopped.
    Reissue {
        #[command(flatten)]
        data: DataDirArgument,
    },
}

impl BootstrapCommand {
    pub(in crate::cli) fn run(self) -> CommandResult {
        match self {
            Self::Status { data, json } => status(&data.dir(), json),
            Self::Reissue { data } => reissue(&data),
        }
    }
}

fn status(dir: &DataDir, as_json: bool) -> CommandResult {
    require_database(dir)?;
    let connection = open_read_only(&dir.database()).map_err(Failure::failed)?;
    let status = bootstrap_status_in(&connection).map_err(Failure::failed)?;
    let now = Seams::system().now();
    let running = matches!(InstanceLock::take(&dir.lock()), Err(OpenError::InUse { .. }));
    if as_json {
        say(status_json(&status, now, running));
    } else {
        say(status_text(&status, now, dir));
        say(if running { "the server is running" } else { "the server is stopped" });
    }
    Ok(())
}

fn status_text(status: &BootstrapStatus, now: Timestamp, dir: &DataDir) -> String {
    let BootstrapStatus::Open(newest) = status else {
        return "done: there is a system admin, and setup never opens again".to_owned();
    };
    let Some(token) = newest else { return "open: no token was made yet; `onsite serve` makes one".to_owned() };
    let file = dir.bootstrap_token();
    match token.state(now) {
        TokenState::Live { attempts_left } => {
            let place = if file.exists() { format!("in {}", file.display()) } else { "as configured in ONSITE_BOOTSTRAP_TOKEN".to_owned() };
            format!("open: the token {} is live until {}, {attempts_left} wrong tries left; it is {place}", token.id, token.expires_at)
        }
        TokenState::Expired => {
            format!("open: the token {} expired at {}; restart the server, or run `onsite bootstrap reissue`", token.id, token.expires_at)
        }
        TokenState::Burnt | TokenState::Used => {
            format!("open: the token {} was burnt by wrong tries; stop the server and run `onsite bootstrap reissue`", token.id)
        }
    }
}

fn status_json(status: &BootstrapStatus, now: Timestamp, running: bool) -> serde_json::Value {
    let BootstrapStatus::Open(newest) = status else { return json!({"setup": "done", "server_running": running}) };
    let Some(token) = newest else { return json!({"setup": "open", "token": null, "server_running": running}) };
    let (state, attempts_left) = match token.state(now) {
        TokenState::Live { attempts_left } => ("live", attempts_left),
        TokenState::Expired => ("expired", 0),
        TokenState::Burnt | TokenState::Used => ("burnt", 0),
    };
    let token = json!({
        "id": token.id, "state": state, "attempts_left": attempts_left, "created_at": token.created_at, "expires_at": token.expires_at,
    });
    json!({"setup": "open", "token": token, "server_running": running})
}

fn reissue(data: &DataDirArgument) -> CommandResult {
    let dir = &data.dir();
    let seams = Seams::system();
    let store = open_stopped(data, &seams, "bootstrap reissue")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(Failure::failed)?;
    let issued = runtime.block_on(Bootstrap::new(store, seams, dir.clone()).reissue()).map_err(Failure::failed)?;
    say(format!("a new bootstrap token is in {}, until {}; earlier ones open nothing any more", issued.file.display(), issued.expires_at));
    if std::io::stdout().is_terminal() {
        say(format!("bootstrap token {}", issued.token.expose()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::bootstrap::{BootstrapToken, LIFETIME};
    use crate::model::ids::BootstrapId;

    #[test]
    fn every_state_has_words_and_a_next_step_and_no_secret() {
        let dir = DataDir::new("/nowhere");
        let made = Timestamp::from_millis(0);
        let token = BootstrapToken {
            id: BootstrapId::new(&Seams::system()),
            secret_hash: [0xab; 32],
            created_at: made,
            expires_at: made.plus(LIFETIME),
            wrong_tries: 3,
            burnt_at: None,
            used_at: None,
        };
        let burnt = BootstrapToken { burnt_at: Some(made), ..token.clone() };
        let text = |status: &BootstrapStatus, now| status_text(status, now, &dir);
        assert!(text(&BootstrapStatus::Done, made).starts_with("done"));
        assert!(text(&BootstrapStatus::Open(None), made).contains("onsite serve"));
        assert!(text(&BootstrapStatus::Open(Some(token.clone())), made).contains("7 wrong tries left"));
        assert!(text(&BootstrapStatus::Open(Some(token.clone())), token.expires_at).contains("restart"));
        assert!(text(&BootstrapStatus::Open(Some(burnt)), made).contains("reissue"));
        let json = status_json(&BootstrapStatus::Open(Some(token)), made, true);
        assert_eq!((&json["token"]["state"], &json["token"]["attempts_left"], &json["server_running"]), (&json!("live"), &json!(7), &json!(true)));
        assert!(!json.to_string().contains("abab"));
    }
}
