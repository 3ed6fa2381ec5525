//! The vendor's commands that end codes and keys, and show the books.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::super::outcome::{CommandResult, Failure, say, table};
use super::passphrase::PassphraseArguments;
use super::vendor::{PRIVATE_KEY, PUBLIC_KEYS, REVOCATION_LIST, folder_of, register_beside, replace, ring_of, ring_text, signing_key, write_new};
use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::model::ids::LicenceId;
use crate::services::licensing::issue;
use crate::services::licensing::keys::{VendorKey, fingerprint};
use crate::services::licensing::private_key::{encrypted_private_pem, private_pem};
use crate::services::licensing::register::{Record, Register};

/// Revoke codes: sign the next revocation list, which holds every code that was ever revoked.
#[derive(Debug, Args)]
pub(in crate::cli) struct Revoke {
    /// The ids of the codes (lic_...), as `onsite license register` shows them.
    #[arg(value_name = "ID", required = true)]
    pub(super) ids: Vec<LicenceId>,
    /// The private key: a PKCS#8 PEM file. The register is kept beside it.
    #[arg(long, value_name = "FILE")]
    pub(super) key: PathBuf,
    #[command(flatten)]
    pub(super) passphrase: PassphraseArguments,
    /// Why, for the register.
    #[arg(long)]
    pub(super) reason: String,
    /// Take ids that the register does not know.
    #[arg(long)]
    pub(super) unregistered: bool,
    /// Who issues.
    #[arg(long, default_value = "onsite")]
    pub(super) issuer: String,
    /// Where the list goes [default: revocations.onsite beside the key].
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// One JSON document instead of text.
    #[arg(long)]
    pub(super) json: bool,
}

impl Revoke {
    pub(super) fn run(self) -> CommandResult {
        let mut register = register_beside(&self.key)?;
        if let Some(unknown) = self.ids.iter().find(|id| !self.unregistered && !register.issued(id)) {
            return Err(Failure::Usage(format!(
                "the register beside the key does not know {unknown}: `onsite license register` lists what was issued; --unregistered revokes it anyway"
            )));
        }
        let key = signing_key(&self.key, &self.passphrase)?;
        let seams = Seams::system();
        let mut revoked = register.revoked();
        let new: Vec<&LicenceId> = self.ids.iter().filter(|id| !revoked.contains(id)).collect();
        let mut records: Vec<Record> =
            new.iter().map(|id| Record::Revoked { at: seams.now(), jti: (*id).clone(), reason: self.reason.clone() }).collect();
        revoked.extend(self.ids.iter().cloned());
        let list = issue::sign_list(register.newest_list() + 1, &self.issuer, revoked, &key, &seams);
        let list = list.map_err(|error| Failure::Usage(format!("the list cannot be written: {error}")))?;
        records.push(Record::of_list(&list));
        register.append(records).map_err(Failure::failed)?;
        let path = self.out.unwrap_or_else(|| folder_of(&self.key).join(REVOCATION_LIST));
        replace(&path, list.to_armour().as_bytes(), 0o644)?;
        if self.json {
            say(json!({ "number": list.list().number, "codes": list.list().revoked.len(), "file": path, "list": list.to_line() }));
        } else {
            say(format!("revocation list {} with {} code(s): {}", list.list().number, list.list().revoked.len(), path.display()));
            say("Send it to customers (licence page, `onsite license enter`, or into the data folder), and build it into the next release:");
            say(format!("LICENSE_REVOCATIONS_FILE={}", path.display()));
        }
        Ok(())
    }
}

/// Make a new signing key and retire the present one.
#[derive(Debug, Args)]
pub(in crate::cli) struct Rotate {
    /// The folder of the keys, as `onsite license keygen` made it.
    #[arg(long, value_name = "DIR")]
    pub(super) keys: PathBuf,
    /// When the present key retires: codes issued before stay good [default: now].
    #[arg(long, value_name = "TIME")]
    pub(super) retire_at: Option<Timestamp>,
    #[command(flatten)]
    pub(super) passphrase: PassphraseArguments,
    /// Write the new private key in the clear.
    #[arg(long, conflicts_with = "passphrase_file")]
    pub(super) unencrypted: bool,
    /// One JSON document instead of text.
    #[arg(long)]
    pub(super) json: bool,
}

impl Rotate {
    pub(super) fn run(self) -> CommandResult {
        let seams = Seams::system();
        let (private, public) = (self.keys.join(PRIVATE_KEY), self.keys.join(PUBLIC_KEYS));
        let mut keys = ring_of(&public)?.keys().to_vec();
        let now = seams.now().whole_seconds();
        let retired_at = self.retire_at.unwrap_or(now);
        let old = keys.iter_mut().rev().find(|key| key.retired_at.is_none());
        let old = old.ok_or_else(|| Failure::failed(format!("{}: every key in it is retired already", public.display())))?;
        old.retired_at = Some(retired_at);
        let old_kid = old.kid.clone();
        let key = issue::generate_key(&seams);
        let kid = fingerprint(&key.verifying_key());
        keys.push(VendorKey { kid: kid.clone(), key: key.verifying_key(), valid_from: now, retired_at: None });
        let pem = if self.unencrypted { private_pem(&key) } else { encrypted_private_pem(&key, &self.passphrase.for_new()?, &seams) };
        let pem = pem.map_err(Failure::failed)?;
        // In an order in which a stop between two steps leaves a key that can be used: the new one, the ring, then their places.
        let next = self.keys.join(format!("license-private-key.{kid}.pem"));
        write_new(&next, pem.as_bytes(), 0o600)?;
        replace(&public, ring_text(&keys)?.as_bytes(), 0o644)?;
        let kept = self.keys.join(format!("license-private-key.{old_kid}.retired.pem"));
        rename(&private, &kept)?;
        rename(&next, &private)?;
        let mut register = Register::open(&self.keys).map_err(Failure::failed)?;
        let records = vec![Record::KeyMade { at: now, kid: kid.clone() }, Record::KeyRetired { at: now, kid: old_kid.clone(), retired_at }];
        register.append(records).map_err(Failure::failed)?;
        if self.json {
            say(json!({ "kid": kid, "retired": old_kid, "retired_at": retired_at, "private_key": private, "public_key": public, "kept": kept }));
        } else {
            say(format!("key {kid} signs from now on: {}", private.display()));
            say(format!("key {old_kid} is retired at {retired_at}; codes issued before stay good. It is kept in {}", kept.display()));
            say(format!(
                "Build both into the next release before you issue with the new one: LICENSE_PUBLIC_KEY_PEM=\"$(cat {})\"",
                public.display()
            ));
        }
        Ok(())
    }
}

fn rename(from: &Path, to: &Path) -> CommandResult {
    std::fs::rename(from, to).map_err(|error| Failure::failed(format!("{} to {}: {error}", from.display(), to.display())))
}

/// Show what was issued, revoked and rotated.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowRegister {
    /// The folder of the keys.
    #[arg(long, value_name = "DIR")]
    pub(super) keys: PathBuf,
    /// Only codes of this customer.
    #[arg(long)]
    pub(super) customer: Option<String>,
    /// One JSON document instead of a table.
    #[arg(long)]
    pub(super) json: bool,
}

impl ShowRegister {
    pub(super) fn run(self) -> CommandResult {
        let register = Register::open(&self.keys).map_err(Failure::failed)?;
        let revoked = register.revoked();
        let wanted = |record: &&Record| match (&self.customer, record) {
            (None, _) => true,
            (Some(wanted), Record::Issued { customer, .. }) => wanted == customer,
            (Some(_), _) => false,
        };
        let records: Vec<&Record> = register.records().iter().filter(wanted).collect();
        if self.json {
            say(json!({ "records": records, "revoked": revoked, "newest_list": register.newest_list() }));
            return Ok(());
        }
        if records.is_empty() {
            say(format!("nothing was issued yet from {}", self.keys.display()));
            return Ok(());
        }
        say(table(&records.iter().map(|record| row(record, revoked.iter())).collect::<Vec<_>>()));
        Ok(())
    }
}

fn row<'a>(record: &Record, mut revoked: impl Iterator<Item = &'a LicenceId>) -> Vec<String> {
    let cells: [String; 4] = match record {
        Record::KeyMade { at, kid } => [at.to_string(), "key made".into(), kid.clone(), String::new()],
        Record::KeyRetired { at, kid, retired_at } => [at.to_string(), "key retired".into(), kid.clone(), format!("from {retired_at}")],
        Record::Issued { at, jti, customer, seq, plan, seats, expires_at, .. } => {
            let ended = if revoked.any(|id| id == jti) { ", revoked" } else { "" };
            [at.to_string(), "issued".into(), jti.to_string(), format!("{customer} #{seq}: {plan}, {seats} seats, until {expires_at}{ended}")]
        }
        Record::Revoked { at, jti, reason } => [at.to_string(), "revoked".into(), jti.to_string(), reason.clone()],
        Record::ListSigned { at, number, codes, .. } => [at.to_string(), "list signed".into(), number.to_string(), format!("{codes} code(s)")],
    };
    cells.into()
}
