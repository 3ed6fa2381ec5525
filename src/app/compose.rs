//! Builds the services, features and jobs, in the order in which they need each other.

use std::sync::Arc;
use std::time::Duration;

use super::instance::StartError;
use super::{mail, sso};
use crate::base::paths::DataDir;
use crate::base::places::Places;
use crate::base::seams::Seams;
use crate::base::service_manager;
use crate::base::signal::{Nudge, Signals};
use crate::base::tasks::Tasks;
use crate::base::vault::{Keeping, Vault};
use crate::base::web_origin::WebOrigin;
use crate::config::Config;
use crate::features::automations::{Automations, AutomationsParts, AutomationsSettings, BuiltInExtractor, Library, RecallIngester, WebCollector};
use crate::features::chat::{Chat, ChatParts, ChatSettings};
use crate::features::companies::CompanyCare;
use crate::features::documents::{DocumentSettings, Documents};
use crate::features::issuer::{Issuer, IssuerSettings, Signing};
use crate::features::members::Members;
use crate::features::setup::Setup;
use crate::features::sign_on::{SignOn, SignOnParts};
use crate::http::AppState;
use crate::http::cors::Cors;
use crate::http::hosts::Hosts;
use crate::http::metrics::Metrics;
use crate::http::rates::{RateSettings, Rates};
use crate::http::state::Facts;
use crate::jobs::chat_runner::ChatRunner;
use crate::jobs::documents::DocumentIngest;
use crate::jobs::{
    ChatRetention, ClockMark, CompanyPurge, Driver, IdleMemory, Ingest, IssuerSigner, LicenceDropIn, LicenceWatch, MailOut, Reconciler, Retention,
    RunDriver, RunStops, Schedule, SecretRotation, SessionEnds, SignOfLife,
};
use crate::model::installation::new_install_id;
use crate::services::api_keys::ApiKeys;
use crate::services::audit::Audit;
use crate::services::auth::bootstrap::{Bootstrap, BootstrapStart};
use crate::services::auth::{Auth, AuthParts, AuthSettings};
use crate::services::collect::crawl::CrawlSettings;
use crate::services::companies::Companies;
use crate::services::egress::{Egress, EgressSettings};
use crate::services::embed::{BuiltInEmbedder, EmbedSettings, Embedder};
use crate::services::gateway::{self, ModelServerSettings};
use crate::services::ledger::{Ledger, LedgerSettings};
use crate::services::licensing::{Licensing, LicensingSettings};
use crate::services::mail::{Courier, Outbox};
use crate::services::plans::Plans;
use crate::services::readiness::Readiness;
use crate::services::recall::{Recall, RecallSettings};
use crate::services::secrets::Secrets;
use crate::services::streams::Streams;
use crate::store::{Store, StoreOptions};

/// The longest body of an ordinary request. Uploads have a limit of their own.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Who issues: stands in every code that this issuer signs, as in those of `onsite license issue`.
const ISSUER: &str = "onsite";

/// What composition is given.
#[derive(Debug)]
pub struct Parts {
    /// Where everything is kept.
    pub dir: DataDir,
    /// Every setting.
    pub config: Config,
    /// Time and randomness.
    pub seams: Seams,
    /// Starts and stops tasks.
    pub tasks: Tasks,
    /// SHA-256 of the TLS certificate; `None` = plain HTTP on loopback.
    pub certificate_fingerprint: Option<String>,
}

/// The composed appliance, before it listens.
pub struct Composed {
    /// What handlers are given.
    pub state: AppState,
    /// What the start found or made of the bootstrap token.
    pub bootstrap: BootstrapStart,
    /// For the jobs that look after it.
    store: Store,
    /// Where everything is kept.
    dir: DataDir,
}

/// Builds everything and puts the store in order after whatever ended the last process; no job runs yet.
///
/// # Errors
/// When the database cannot be opened or a part cannot be made.
pub async fn compose(parts: Parts) -> Result<Composed, StartError> {
    let Parts { dir, config, seams, tasks, certificate_fingerprint } = parts;
    let vault = config.auth.vault(&seams);
    let options = StoreOptions { readers_max: size(config.server.readers_max), now: seams.now(), vault: vault.clone() };
    let store = Store::open(&dir, options)?;
    store.open_installation(new_install_id(&seams), seams.now()).await.map_err(StartError::part("the installation"))?;
    let outbox = Outbox::new(seams.clone(), vault.clone(), mail::settings(&config, &dir)?);
    let places = Places::new(size(config.orchestration.runs_max));
    let ground = Ground { store, seams, tasks, signals: Signals::default(), places, config };
    let Ground { store, seams, tasks, signals, config, .. } = &ground;

    let auth = ground.auth(&vault, &outbox)?;
    let api_keys = ApiKeys::new(store.clone(), seams.clone());
    let companies = Companies::new(store.clone(), seams.clone());
    let secrets = ground.secrets();
    let audit = Audit::new(store.clone(), seams.clone(), dir.clone());
    let token = Bootstrap::new(store.clone(), seams.clone(), dir.clone());
    let bootstrap = token.start(config.appliance.bootstrap_token.clone()).await.map_err(StartError::part("the bootstrap token"))?;
    let setup = Setup::new(store.clone(), seams.clone(), auth.clone(), token);

    let egress = ground.egress().await?;
    let licensing = ground.licensing()?;
    let issuer = ground.issuer();
    let sign_on = ground.sign_on(&auth, &licensing, &egress)?;
    let members = Members::new(store.clone(), seams.clone(), auth.clone(), licensing.clone(), outbox.clone());
    let care = CompanyCare::new(store.clone(), seams.clone(), tasks.clone());
    let courier = Courier::new(store.clone(), seams.clone(), tasks.clone(), vault, egress.clone(), outbox.clone());
    let plans = Plans::new(licensing.clone());
    let ledger = ground.ledger().await?;

    let recall = ground.recall(&ledger);
    let documents = ground.documents(&recall);
    let chat = ground.chat(&egress, &ledger, &recall)?;
    let automations = ground.automations(&egress, &plans, &ledger, &recall).await?;

    let facts = facts(config, certificate_fingerprint);
    let rates = Rates::new(Arc::clone(&seams.clock), rate_settings(config));
    let (store, seams, tasks) = (store.clone(), seams.clone(), tasks.clone());
    let streams = Streams::new(store.clone(), signals.clone());
    let state = AppState {
        api_keys,
        audit,
        auth,
        automations,
        care,
        chat,
        companies,
        config: Arc::new(ground.config),
        courier,
        documents,
        egress,
        facts: Arc::new(facts),
        issuer,
        ledger,
        licensing,
        members,
        metrics: Metrics::new(env!("CARGO_PKG_VERSION")),
        outbox,
        plans,
        rates,
        readiness: Readiness::new(store.clone()),
        recall,
        seams,
        secrets,
        setup,
        sign_on,
        streams,
        tasks,
    };
    Ok(Composed { state, bootstrap, store, dir })
}

/// What every section stands on.
struct Ground {
    store: Store,
    seams: Seams,
    tasks: Tasks,
    signals: Signals,
    places: Places,
    config: Config,
}

impl Ground {
    fn secrets(&self) -> Secrets {
        if self.store.sealing_with() == Keeping::Plain {
            tracing::warn!("encryption_at_rest: DB_ENCRYPTION_KEY is not set, so secrets and personal fields are kept unencrypted");
        }
        Secrets::new(self.store.clone(), self.seams.clone(), self.tasks.clone())
    }

    fn auth(&self, vault: &Vault, outbox: &Outbox) -> Result<Auth, StartError> {
        let (store, seams, tasks) = (self.store.clone(), self.seams.clone(), self.tasks.clone());
        let parts = AuthParts { store, seams, tasks, vault: vault.clone(), outbox: outbox.clone() };
        Auth::new(parts, auth_settings(&self.config, outbox)).map_err(StartError::part("password hashing"))
    }

    async fn egress(&self) -> Result<Egress, StartError> {
        let extra_authorities = self.config.appliance.extra_ca_file.clone().map(Into::into);
        let settings = EgressSettings { extra_authorities, ..EgressSettings::default() };
        Egress::new(self.store.clone(), self.seams.clone(), &self.tasks, settings).await.map_err(StartError::part("egress"))
    }

    fn licensing(&self) -> Result<Licensing, StartError> {
        let settings = LicensingSettings::of_build(self.config.licence.public_key_pem.as_deref());
        Ok(Licensing::new(self.store.clone(), self.seams.clone(), settings.map_err(StartError::part("LICENSE_PUBLIC_KEY_PEM"))?))
    }

    fn sign_on(&self, auth: &Auth, licensing: &Licensing, egress: &Egress) -> Result<SignOn, StartError> {
        let (store, seams) = (self.store.clone(), self.seams.clone());
        let (oidc, ldap) = (sso::oidc(&self.config, egress, &self.seams)?, sso::ldap(&self.config, egress)?);
        Ok(SignOn::new(SignOnParts { store, seams, auth: auth.clone(), licensing: licensing.clone(), oidc, ldap }))
    }

    fn issuer(&self) -> Issuer {
        let licence = &self.config.licence;
        let (private, passphrase) = (licence.signing_private_key_pem.as_ref(), licence.signing_key_passphrase.as_ref());
        let signing = Signing::of_settings(licence.public_key_pem.as_deref(), private, passphrase);
        let settings = IssuerSettings { enabled: self.config.is_issuer(), issuer: ISSUER.to_owned(), signing };
        Issuer::new(self.store.clone(), self.seams.clone(), settings)
    }

    async fn ledger(&self) -> Result<Ledger, StartError> {
        let settings = LedgerSettings { daily_free_tokens: self.config.tokens.daily_free_amount };
        let ledger = Ledger::new(self.store.clone(), self.seams.clone(), self.tasks.clone(), settings);
        ledger.recover().await.map_err(StartError::part("the token ledger"))?;
        Ok(ledger)
    }

    fn recall(&self, ledger: &Ledger) -> Recall {
        let embedder: Arc<dyn Embedder> = Arc::new(BuiltInEmbedder::new(self.tasks.clone(), EmbedSettings::default()));
        let settings = RecallSettings { automations_enabled: self.config.recall.automation_vectorstore_enabled, ..RecallSettings::default() };
        Recall::new(self.store.clone(), embedder, self.seams.clone(), self.tasks.clone(), ledger.clone(), settings)
    }

    fn documents(&self, recall: &Recall) -> Documents {
        let settings = DocumentSettings { upload_bytes_max: self.config.appliance.upload_megabytes_max << 20 };
        Documents::new(self.store.clone(), self.seams.clone(), self.tasks.clone(), Nudge::default(), recall.clone(), settings)
    }

    fn chat(&self, egress: &Egress, ledger: &Ledger, recall: &Recall) -> Result<Chat, StartError> {
        let server = model_server(&self.config)?;
        let provider = gateway::provider(server, egress.clone(), self.seams.clone()).map_err(StartError::part("the model server"))?;
        let parts = ChatParts {
            store: self.store.clone(),
            seams: self.seams.clone(),
            tasks: self.tasks.clone(),
            signals: self.signals.clone(),
            places: self.places.clone(),
            ledger: ledger.clone(),
            recall: recall.clone(),
            provider,
        };
        Ok(Chat::new(parts, chat_settings(&self.config)))
    }

    async fn automations(&self, egress: &Egress, plans: &Plans, ledger: &Ledger, recall: &Recall) -> Result<Automations, StartError> {
        let library = Library::new(self.store.clone());
        let parallelism = size(self.config.orchestration.web_fetch_parallelism);
        let collector = WebCollector {
            egress: egress.clone(),
            seams: self.seams.clone(),
            tasks: self.tasks.clone(),
            library: library.clone(),
            settings: CrawlSettings { parallelism, ..CrawlSettings::default() },
        };
        let automations = Automations::new(AutomationsParts {
            store: self.store.clone(),
            seams: self.seams.clone(),
            tasks: self.tasks.clone(),
            places: self.places.clone(),
            signals: self.signals.clone(),
            plans: plans.clone(),
            ledger: ledger.clone(),
            collector: Arc::new(collector),
            library,
            extractor: Arc::new(BuiltInExtractor),
            ingester: Arc::new(RecallIngester { recall: recall.clone() }),
            settings: automations_settings(&self.config),
        });
        automations.recover().await.map_err(StartError::part("automations"))?;
        Ok(automations)
    }
}

fn facts(config: &Config, certificate_fingerprint: Option<String>) -> Facts {
    let plain_http = certificate_fingerprint.is_none();
    let hosts = match config.server.app_base_url.as_deref().and_then(WebOrigin::parse) {
        _ if plain_http => Hosts::Loopback,
        Some(base) => Hosts::Canonical(base),
        None => Hosts::Any,
    };
    Facts {
        version: env!("CARGO_PKG_VERSION"),
        plain_http,
        certificate_fingerprint,
        request_timeout: Duration::from_secs(config.server.request_timeout_seconds),
        body_bytes_max: BODY_BYTES_MAX,
        hosts,
        cors: Cors::new(config.server.cors_allowed_origins.iter().filter_map(|origin| WebOrigin::parse(origin)).collect()),
    }
}

fn rate_settings(config: &Config) -> RateSettings {
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    RateSettings { per_user: narrow(config.server.user_requests_per_minute), per_address: narrow(config.server.address_requests_per_minute) }
}

/// Starts the recurring tasks.
pub fn start_jobs(composed: &Composed) {
    let Composed { state, store, dir, .. } = composed;
    let AppState { auth, automations, care, chat, courier, documents, issuer, licensing, outbox, seams, secrets, tasks, .. } = state;
    let driver = Driver::new(tasks.clone(), seams.clone());
    let jobs: [(Arc<dyn Reconciler>, Nudge); 17] = [
        (Arc::new(ChatRetention(chat.clone())), Nudge::default()),
        (Arc::new(ChatRunner::new(chat.clone())), chat.nudge()),
        (Arc::new(ClockMark(licensing.clone())), Nudge::default()),
        (Arc::new(CompanyPurge(care.clone())), Nudge::default()),
        (Arc::new(DocumentIngest::new(documents.clone())), documents.nudge()),
        (Arc::new(IdleMemory(store.clone())), Nudge::default()),
        (Arc::new(Ingest(automations.clone())), automations.ingest_nudge()),
        (Arc::new(MailOut(courier.clone())), outbox.nudge()),
        (Arc::new(IssuerSigner(issuer.clone())), Nudge::default()),
        (Arc::new(LicenceDropIn(licensing.clone(), dir.clone())), Nudge::default()),
        (Arc::new(LicenceWatch(licensing.clone())), Nudge::default()),
        (Arc::new(Retention(automations.clone())), Nudge::default()),
        (Arc::new(RunDriver(automations.clone())), automations.run_nudge()),
        (Arc::new(RunStops(automations.clone())), automations.stops()),
        (Arc::new(Schedule(automations.clone())), Nudge::default()),
        (Arc::new(SecretRotation(secrets.clone())), Nudge::default()),
        (Arc::new(SessionEnds(auth.clone())), Nudge::default()),
    ];
    for (job, nudge) in jobs {
        driver.start(job, nudge);
    }
    if let Some(every) = service_manager::sign_of_life_every() {
        driver.start(Arc::new(SignOfLife { readiness: state.readiness.clone(), every }), Nudge::default());
    }
}

fn automations_settings(config: &Config) -> AutomationsSettings {
    let ingest = config.recall.automation_vectorstore_enabled;
    let report_days = u32::try_from(config.appliance.report_days).ok().filter(|days| *days > 0);
    AutomationsSettings { ingest, report_days, ..AutomationsSettings::default() }
}

fn chat_settings(config: &Config) -> ChatSettings {
    let limit = Duration::from_secs(config.orchestration.stream_run_timeout_seconds);
    ChatSettings { answer_max: config.orchestration.stream_hard_timeout_enabled.then_some(limit) }
}

/// The model server of the settings; `None` = answers quote.
fn model_server(config: &Config) -> Result<Option<ModelServerSettings>, StartError> {
    let (Some(url), Some(name)) = (&config.models.url, &config.models.name) else { return Ok(None) };
    let url = url.parse().map_err(StartError::part("ONSITE_MODEL_URL"))?;
    let usual = ModelServerSettings::new(url, name.clone(), config.models.api_key.clone());
    // The answer's own limit ends it; without one a server may take as long as a day.
    let total_max = chat_settings(config).answer_max.unwrap_or(Duration::from_secs(86_400));
    let first_part_max = usual.first_part_max.max(total_max / 2);
    Ok(Some(ModelServerSettings { total_max, first_part_max, ..usual }))
}

fn auth_settings(config: &Config, outbox: &Outbox) -> AuthSettings {
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    AuthSettings {
        session_hours: narrow(config.auth.session_hours),
        idle_minutes: narrow(config.auth.idle_timeout_minutes),
        verify_addresses: config.auth.require_email_verification,
        mail_codes: config.auth.require_email_2fa && outbox.reaches_people(),
        require_factor: config.auth.require_second_factor,
        step_up_minutes: narrow(config.auth.step_up_minutes),
        ..AuthSettings::default()
    }
}

/// A checked setting as a size.
fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
