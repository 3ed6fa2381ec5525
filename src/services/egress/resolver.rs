//! Names to addresses: this machine's own names, /etc/hosts, then DNS. Static glibc's resolver would want the host's libraries.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use futures_util::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::parse_resolv_conf;

/// The largest hosts file read, bytes: some hold block lists.
const HOSTS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A name that has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveError {
    /// Why.
    pub reason: String,
    /// Whether asking again may help.
    pub temporary: bool,
}

/// Turns names into addresses.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a name, in the order in which to try them.
    fn resolve(&self, host: String) -> BoxFuture<'static, Result<Vec<IpAddr>, ResolveError>>;
}

/// The machine's own resolution. Works without `/etc/resolv.conf` (then only `/etc/hosts` and localhost have addresses), and reads both
/// files again when they change: a network often comes up after the appliance.
pub struct SystemResolver {
    hosts_file: PathBuf,
    resolv_conf: PathBuf,
    hosts: Mutex<Cached<HashMap<String, Vec<IpAddr>>>>,
    dns: Mutex<Cached<Option<TokioResolver>>>,
}

/// What a file said when it was last read, and the file's stamp then.
struct Cached<T> {
    stamp: Option<(SystemTime, u64)>,
    read: bool,
    value: Arc<T>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::with_files("/etc/hosts", "/etc/resolv.conf")
    }
}

impl SystemResolver {
    /// Resolves by these two files.
    pub fn with_files(hosts_file: impl Into<PathBuf>, resolv_conf: impl Into<PathBuf>) -> Self {
        Self {
            hosts_file: hosts_file.into(),
            resolv_conf: resolv_conf.into(),
            hosts: Mutex::new(Cached { stamp: None, read: false, value: Arc::new(HashMap::new()) }),
            dns: Mutex::new(Cached { stamp: None, read: false, value: Arc::new(None) }),
        }
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, host: String) -> BoxFuture<'static, Result<Vec<IpAddr>, ResolveError>> {
        let listed = fresh(&self.hosts, &self.hosts_file, |path| read_hosts(path).unwrap_or_default());
        if let Some(addresses) = listed.get(&host) {
            let addresses = addresses.clone();
            return Box::pin(async move { Ok(addresses) });
        }
        // RFC 6761: localhost never goes to a name server.
        if host == "localhost" || host.ends_with(".localhost") {
            return Box::pin(async { Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]) });
        }
        let dns = fresh(&self.dns, &self.resolv_conf, name_servers);
        Box::pin(async move {
            let Some(resolver) = dns.as_ref() else {
                return Err(ResolveError { reason: "this machine has no name server and /etc/hosts does not list it".into(), temporary: false });
            };
            match resolver.lookup_ip(host).await {
                Ok(found) => Ok(in_order(found.iter().collect())),
                Err(error) if error.is_nx_domain() => Err(ResolveError { reason: "there is no such name".into(), temporary: false }),
                Err(error) if error.is_no_records_found() => Err(ResolveError { reason: "the name has no address".into(), temporary: false }),
                Err(error) => Err(ResolveError { reason: error.to_string(), temporary: true }),
            }
        })
    }
}

/// IPv4 first: a machine without IPv6 would lose time on each connection.
fn in_order(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.dedup();
    addresses
}

fn fresh<T>(cache: &Mutex<Cached<T>>, path: &Path, read: impl FnOnce(&Path) -> T) -> Arc<T> {
    let stamp = std::fs::metadata(path).ok().and_then(|meta| Some((meta.modified().ok()?, meta.len())));
    let mut cached = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if !cached.read || cached.stamp != stamp {
        *cached = Cached { stamp, read: true, value: Arc::new(read(path)) };
    }
    Arc::clone(&cached.value)
}

fn read_hosts(path: &Path) -> Option<HashMap<String, Vec<IpAddr>>> {
    if std::fs::metadata(path).ok()?.len() > HOSTS_BYTES_MAX {
        tracing::warn!(path = %path.display(), "the hosts file is too large and is not used");
        return None;
    }
    let text = String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned();
    let mut hosts: HashMap<String, Vec<IpAddr>> = HashMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        for name in words {
            hosts.entry(name.trim_end_matches('.').to_ascii_lowercase()).or_default().push(address);
        }
    }
    Some(hosts.into_iter().map(|(name, addresses)| (name, in_order(addresses))).collect())
}

fn name_servers(path: &Path) -> Option<TokioResolver> {
    let text = std::fs::read(path).ok()?;
    let (config, mut options) = parse_resolv_conf(text).inspect_err(|error| tracing::warn!(%error, "resolv.conf is not used")).ok()?;
    if config.name_servers().is_empty() {
        return None;
    }
    // The hosts file is ours to read: it must work without name servers, too.
    options.use_hosts_file = hickory_resolver::config::ResolveHosts::Never;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build().inspect_err(|error| tracing::warn!(%error, "DNS is not used")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_and_localhost_work_without_a_name_server() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        std::fs::write(&hosts, "# a comment\nfd00::5 wiki.corp\n10.0.0.5\tWiki.Corp wiki # short\nnonsense line\n").unwrap();
        let resolver = SystemResolver::with_files(&hosts, folder.path().join("missing"));
        let found = |host: &str| resolver.resolve(host.to_owned());
        assert_eq!(found("wiki.corp").await.unwrap(), ["10.0.0.5".parse::<IpAddr>().unwrap(), "fd00::5".parse().unwrap()]);
        assert_eq!(found("localhost").await.unwrap()[0], IpAddr::from([127, 0, 0, 1]));
        assert_eq!(found("a.localhost").await.unwrap().len(), 2);
        assert!(!found("example.com").await.unwrap_err().temporary);
        // A line added later counts.
        std::fs::write(&hosts, "10.0.0.6 example.com\n").unwrap();
        assert_eq!(found("example.com").await.unwrap(), [IpAddr::from([10, 0, 0, 6])]);
    }

    #[test]
    fn an_empty_resolv_conf_is_no_name_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        std::fs::write(&path, "search corp.example\n").unwrap();
        assert!(name_servers(&path).is_none());
    }
}
