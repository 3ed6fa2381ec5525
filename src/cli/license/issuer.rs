//! The vendor's commands that make keys and codes: they need no data folder and no network.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::super::outcome::{CommandResult, Failure, say};
use super::input::request_of;
use super::order::{LimitGiven, OrderFile};
use super::passphrase::PassphraseArguments;
use super::vendor::{PRIVATE_KEY, PUBLIC_KEYS, folder_of, register_beside, ring_beside, ring_text, signing_key, write_new};
use crate::base::clock::Timestamp;
use crate::base::qr::Picture;
use crate::base::seams::Seams;
use crate::model::ids::LicenceId;
use crate::model::licence::text::CODE;
use crate::model::licence::{Environment, SignedCode};
use crate::services::licensing::issue;
use crate::services::licensing::keys::{VendorKey, fingerprint};
use crate::services::licensing::private_key::{encrypted_private_pem, private_pem};
use crate::services::licensing::register::{Record, Register};

/// Make a signing key, encrypted with a passphrase, and its public half.
#[derive(Debug, Args)]
pub(in crate::cli) struct Keygen {
    /// The folder for both files and the register. Files that are there already are never overwritten.
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) passphrase: PassphraseArguments,
    /// Write the private key in the clear: for trials, and where the disk or a secret store encrypts it.
    #[arg(long, conflicts_with = "passphrase_file")]
    pub(super) unencrypted: bool,
    /// One JSON document instead of text.
    #[arg(long)]
    pub(super) json: bool,
}

impl Keygen {
    pub(super) fn run(self) -> CommandResult {
        let seams = Seams::system();
        std::fs::create_dir_all(&self.out).map_err(|error| Failure::failed(format!("{}: {error}", self.out.display())))?;
        let (private, public) = (self.out.join(PRIVATE_KEY), self.out.join(PUBLIC_KEYS));
        if let Some(there) = [&private, &public].into_iter().find(|path| path.exists()) {
            return Err(Failure::failed(format!(
                "{} is there already and is not overwritten: `onsite license rotate` adds a new key",
                there.display()
            )));
        }
        let mut register = Register::open(&self.out).map_err(Failure::failed)?;
        let key = issue::generate_key(&seams);
        let pem = if self.unencrypted { private_pem(&key) } else { encrypted_private_pem(&key, &self.passphrase.for_new()?, &seams) };
        let kid = fingerprint(&key.verifying_key());
        let vendor_key = VendorKey { kid: kid.clone(), key: key.verifying_key(), valid_from: Timestamp::from_millis(i64::MIN), retired_at: None };
        write_new(&private, pem.map_err(Failure::failed)?.as_bytes(), 0o600)?;
        write_new(&public, ring_text(&[vendor_key])?.as_bytes(), 0o644)?;
        register.append(vec![Record::KeyMade { at: seams.now(), kid: kid.clone() }]).map_err(Failure::failed)?;
        if self.json {
            say(json!({ "kid": kid, "private_key": private, "public_key": public, "encrypted": !self.unencrypted }));
        } else {
            let kept =
                if self.unencrypted { "in the clear: keep it off every customer's machine" } else { "encrypted; keep its passphrase elsewhere" };
            say(format!("key {kid}\nprivate: {} ({kept})\npublic:  {}", private.display(), public.display()));
            say(format!("Build a release that believes it: LICENSE_PUBLIC_KEY_PEM=\"$(cat {})\" cargo build --release", public.display()));
        }
        Ok(())
    }
}

/// Sign an activation code. The code goes to standard output as one line, with --out to an armoured file, with --qr to the terminal.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct Issue {
    /// The private key: a PKCS#8 PEM file. The register is kept beside it.
    #[arg(long, value_name = "FILE")]
    pub(super) key: PathBuf,
    #[command(flatten)]
    pub(super) passphrase: PassphraseArguments,
    /// The order: a YAML or JSON file. What is given as an argument counts instead.
    #[arg(long, value_name = "FILE")]
    pub(super) order: Option<PathBuf>,
    /// The customer's request (file, line or picture): binds the code to that installation.
    #[arg(long, value_name = "REQUEST|FILE|-")]
    pub(super) request: Option<String>,
    /// The customer's key in your books: codes are counted per customer.
    #[arg(long)]
    pub(super) customer: Option<String>,
    /// The company as the appliance shows it [default: the request's].
    #[arg(long)]
    pub(super) company: Option<String>,
    /// Key of the plan: team, business, enterprise.
    #[arg(long)]
    pub(super) plan: Option<String>,
    /// Active users [default: the plan's].
    #[arg(long)]
    pub(super) seats: Option<u32>,
    /// A limit that differs from the plan's: KEY=NUMBER or KEY=unlimited. May be repeated.
    #[arg(long = "feature", value_name = "KEY=LIMIT", value_parser = parse_feature)]
    pub(super) features: Vec<(String, LimitGiven)>,
    /// Days it lasts [default: 365].
    #[arg(long)]
    pub(super) days: Option<u32>,
    /// Days of grace after its end [default: 14].
    #[arg(long)]
    pub(super) grace_days: Option<u32>,
    /// When it begins, RFC 3339 [default: now].
    #[arg(long, value_name = "TIME")]
    pub(super) not_before: Option<Timestamp>,
    /// The one installation it is for [default: the request's, else any].
    #[arg(long, value_name = "ID")]
    pub(super) install_id: Option<String>,
    /// Counts the customer's codes: a lower one cannot replace a higher one [default: the next of the register].
    #[arg(long)]
    pub(super) seq: Option<u64>,
    /// The id of a code that ends with this one. May be repeated.
    #[arg(long, value_name = "ID")]
    pub(super) supersedes: Vec<LicenceId>,
    /// Who issues [default: onsite].
    #[arg(long)]
    pub(super) issuer: Option<String>,
    /// Make a development code, which release builds refuse.
    #[arg(long)]
    pub(super) development: bool,
    /// Also write the armoured file.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Also print the QR picture.
    #[arg(long)]
    pub(super) qr: bool,
    /// Also write the QR picture: .svg or .png.
    #[arg(long, value_name = "FILE")]
    pub(super) qr_out: Option<PathBuf>,
    /// One JSON document instead of the line.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn parse_feature(text: &str) -> Result<(String, LimitGiven), String> {
    let (key, limit) = text.split_once('=').ok_or("expected KEY=NUMBER or KEY=unlimited")?;
    let word = || (limit == "unlimited").then(|| LimitGiven::Word(limit.to_owned()));
    let given = limit.parse().map(LimitGiven::Number).ok().or_else(word);
    Ok((key.to_owned(), given.ok_or_else(|| format!("`{limit}` is neither a number nor `unlimited`"))?))
}

impl Issue {
    pub(super) fn run(self) -> CommandResult {
        let mut register = register_beside(&self.key)?;
        let order = self.order(&register)?;
        let key = signing_key(&self.key, &self.passphrase)?;
        let seams = Seams::system();
        self.check_key(&fingerprint(&key.verifying_key()), seams.now())?;
        let code = issue::issue(order, &key, &seams).map_err(|error| Failure::Usage(error.to_string()))?;
        let picture = if self.qr || self.qr_out.is_some() { Some(picture_of(&code)?) } else { None };
        // Before the code is out of the house.
        register.append(vec![Record::of_code(&code)]).map_err(Failure::failed)?;
        if let Some(path) = &self.out {
            std::fs::write(path, code.to_armour()).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        }
        if let (Some(path), Some(picture)) = (&self.qr_out, &picture) {
            write_picture(path, picture)?;
        }
        if self.json {
            say(json!({ "code": code.to_line(), "claims": code.claims(), "file": self.out, "picture": self.qr_out }));
            return Ok(());
        }
        say(code.to_line());
        if let (true, Some(picture)) = (self.qr, &picture) {
            say(picture.terminal());
        }
        Ok(())
    }

    fn order(&self, register: &Register) -> Result<issue::Order, Failure> {
        let mut file = self.order.as_deref().map_or_else(|| Ok(OrderFile::default()), OrderFile::read)?;
        file.customer = self.customer.clone().or(file.customer);
        file.company = self.company.clone().or(file.company);
        file.plan = self.plan.clone().or(file.plan);
        file.seats = self.seats.or(file.seats);
        file.features.extend(self.features.iter().cloned());
        file.days = self.days.or(file.days);
        file.grace_days = self.grace_days.or(file.grace_days);
        file.not_before = self.not_before.or(file.not_before);
        file.install_id = self.install_id.clone().or(file.install_id);
        file.seq = self.seq.or(file.seq);
        file.supersedes.extend(self.supersedes.iter().cloned());
        file.issuer = self.issuer.clone().or(file.issuer);
        if self.development {
            file.environment = Some(Environment::Development);
        }
        if let Some(argument) = &self.request {
            let request = request_of(argument)?;
            self.warn_of_unknown_key(&request.keys);
            file = file.with_request(&request);
        }
        let order = file.order(|customer| register.newest_seq(customer) + 1)?;
        let newest = register.newest_seq(&order.customer);
        if order.seq <= newest {
            return Err(Failure::Usage(format!(
                "the newest code of {} has the count {newest}, and one with {} could not replace it: leave --seq out, or give {} or more",
                order.customer,
                order.seq,
                newest + 1
            )));
        }
        Ok(order)
    }

    /// The key must be one that the ring beside it believes now.
    fn check_key(&self, kid: &str, now: Timestamp) -> CommandResult {
        let Some(ring) = ring_beside(&self.key)? else { return Ok(()) };
        match ring.find(kid) {
            Some(key) if key.in_use_at(now) => Ok(()),
            Some(_) => {
                Err(Failure::failed(format!("the key {kid} is not in use now, and no appliance would believe the code: sign with the current key")))
            }
            None => Err(Failure::failed(format!(
                "the key {kid} is not in {}, so the releases that are built from it would not believe the code",
                folder_of(&self.key).join(PUBLIC_KEYS).display()
            ))),
        }
    }

    fn warn_of_unknown_key(&self, believed: &[String]) {
        let Ok(Some(ring)) = ring_beside(&self.key) else { return };
        let known = ring.keys().iter().any(|key| believed.contains(&key.kid));
        if !believed.is_empty() && !known {
            eprintln!(
                "onsite: the customer's build believes the keys {}, none of which is yours: it will refuse the code until it is upgraded",
                believed.join(", ")
            );
        }
    }
}

fn picture_of(code: &SignedCode) -> Result<Picture, Failure> {
    Picture::of(&CODE.picture_text(code.bytes())).map_err(Failure::failed)
}

/// Writes a picture in the form that the file's name asks for.
pub(super) fn write_picture(path: &Path, picture: &Picture) -> CommandResult {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let bytes = match ending.as_str() {
        "svg" => picture.svg().into_bytes(),
        "png" => picture.png(),
        _ => return Err(Failure::Usage(format!("{}: a picture's name ends with .svg or .png", path.display()))),
    };
    std::fs::write(path, bytes).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

#[cfg(test)]
#[path = "issuer_tests.rs"]
mod tests;
