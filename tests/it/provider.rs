//! An OpenID Connect provider on loopback that speaks the real wire format with real signatures, and does what it is told: wrong claims, other keys,
//! `alg: none`. It checks what a provider checks: the code, the redirect, the client and the PKCE verifier.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::digest::{SHA256, SHA512, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use url::Url;

pub const CLIENT: &str = "onsite";
/// With what needs encoding in a header.
pub const CLIENT_SECRET: &str = "s3cr%t:+ canary";

/// A key that signs.
pub struct SigningKey {
    pub id: String,
    pair: Pair,
}

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl SigningKey {
    pub fn ec(id: &str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self { id: id.into(), pair: Pair::Ec(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap()) }
    }

    pub fn ed(id: &str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { id: id.into(), pair: Pair::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()) }
    }

    fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (BASE64URL_NOPAD.encode(&point[1..33]), BASE64URL_NOPAD.encode(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "x": x, "y": y })
            }
            Pair::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.id, "use": "sig", "alg": "EdDSA", "x": BASE64URL_NOPAD.encode(pair.public_key().as_ref()) })
            }
        }
    }

    pub fn sign(&self, claims: &Value) -> String {
        let algorithm = if matches!(self.pair, Pair::Ec(_)) { "ES256" } else { "EdDSA" };
        let head = json!({ "alg": algorithm, "kid": self.id, "typ": "JWT" });
        let signed = format!("{}.{}", part(&head), part(claims));
        let signature = match &self.pair {
            Pair::Ec(pair) => BASE64URL_NOPAD.encode(pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref()),
            Pair::Ed(pair) => BASE64URL_NOPAD.encode(pair.sign(signed.as_bytes()).as_ref()),
        };
        format!("{signed}.{signature}")
    }
}

pub fn part(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

/// How a token is made of its claims; without one the first published key signs.
pub type Forge = Box<dyn Fn(&Value) -> String + Send>;

struct Shared {
    /// Seconds: what the provider's clock says.
    now: Mutex<i64>,
    keys: Mutex<Vec<SigningKey>>,
    forge: Mutex<Option<Forge>>,
    /// Claims to put in or, where `null`, to leave out.
    change: Mutex<Value>,
    userinfo: Mutex<Value>,
    grants: Mutex<HashMap<String, Grant>>,
    asked: Mutex<Vec<String>>,
    /// Replaces the answer of a path.
    replaced: Mutex<HashMap<String, (u16, String)>>,
    /// Whether it keeps who asks what it is waiting.
    held: Mutex<bool>,
    /// Something was asked, or it was let go.
    moved: Condvar,
    address: SocketAddr,
    stopped: AtomicBool,
}

struct Grant {
    request: HashMap<String, String>,
    person: Value,
}

/// The provider. Stops when dropped.
pub struct Provider(Arc<Shared>);

impl Provider {
    pub fn start(now_seconds: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            now: Mutex::new(now_seconds),
            keys: Mutex::new(vec![SigningKey::ec("one")]),
            forge: Mutex::default(),
            change: Mutex::new(json!({})),
            userinfo: Mutex::new(Value::Null),
            grants: Mutex::default(),
            asked: Mutex::default(),
            replaced: Mutex::default(),
            held: Mutex::default(),
            moved: Condvar::new(),
            address: listener.local_addr().unwrap(),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                if serving.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || connection.map(|connection| serve(connection, &shared)));
            }
        });
        Self(shared)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    pub fn issuer(&self) -> String {
        format!("http://{}/realms/staff", self.0.address)
    }

    pub fn set_now(&self, seconds: i64) {
        *self.0.now.lock().unwrap() = seconds;
    }

    pub fn publish(&self, keys: Vec<SigningKey>) {
        *self.0.keys.lock().unwrap() = keys;
    }

    pub fn forge(&self, forge: Option<Forge>) {
        *self.0.forge.lock().unwrap() = forge;
    }

    pub fn change(&self, change: Value) {
        *self.0.change.lock().unwrap() = change;
    }

    pub fn userinfo(&self, answer: Value) {
        *self.0.userinfo.lock().unwrap() = answer;
    }

    pub fn replace(&self, path: &str, status: u16, body: &str) {
        self.0.replaced.lock().unwrap().insert(path.into(), (status, body.into()));
    }

    /// Keeps who asks what it is waiting, until it is let go.
    pub fn hold(&self, held: bool) {
        *self.0.held.lock().unwrap() = held;
        self.0.moved.notify_all();
    }

    /// Comes back once the path was asked for.
    pub async fn until_asked(&self, path: &'static str) {
        let shared = Arc::clone(&self.0);
        let waited = tokio::task::spawn_blocking(move || {
            let asked = shared.asked.lock().unwrap();
            drop(shared.moved.wait_while(asked, |asked| !asked.iter().any(|one| one == path)).unwrap());
        });
        waited.await.unwrap();
    }

    pub fn restore(&self) {
        self.0.replaced.lock().unwrap().clear();
    }

    /// How often a path was asked.
    pub fn asked(&self, path: &str) -> usize {
        self.0.asked.lock().unwrap().iter().filter(|asked| asked.as_str() == path).count()
    }

    /// Somebody signs in at the address that the appliance gave: the answer that the browser would bring back.
    pub fn authorize(&self, url: &str, person: Value) -> (String, String) {
        let url: Url = url.parse().unwrap();
        assert_eq!((url.path(), url.port()), ("/realms/staff/auth", Some(self.0.address.port())));
        let request: HashMap<String, String> = url.query_pairs().into_owned().collect();
        for (name, value) in [("response_type", "code"), ("client_id", CLIENT), ("code_challenge_method", "S256")] {
            assert_eq!(request[name], value);
        }
        assert!(request["scope"].split(' ').any(|scope| scope == "openid"));
        assert!(!url.as_str().contains("canary"), "a secret in an address");
        let state = request["state"].clone();
        let mut grants = self.0.grants.lock().unwrap();
        let code = format!("code-{}", grants.len());
        grants.insert(code.clone(), Grant { request, person });
        (state, code)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.0.address);
    }
}

fn serve(connection: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(());
    }
    let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    shared.asked.lock().unwrap().push(path.clone());
    shared.moved.notify_all();
    if path.ends_with("/openid-configuration") {
        drop(shared.moved.wait_while(shared.held.lock().unwrap(), |held| *held).unwrap());
    }
    let replaced = shared.replaced.lock().unwrap().get(&path).cloned();
    let (status, body) = replaced.unwrap_or_else(|| answer(shared, &path, &headers, &body));
    let mut connection = connection;
    let head = format!("HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    connection.write_all(head.as_bytes())?;
    connection.write_all(body.as_bytes())
}

fn answer(shared: &Shared, path: &str, headers: &HashMap<String, String>, body: &[u8]) -> (u16, String) {
    let issuer = format!("http://{}/realms/staff", shared.address);
    match path {
        "/realms/staff/.well-known/openid-configuration" => {
            let document = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/auth"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/keys"),
                "userinfo_endpoint": format!("{issuer}/userinfo"),
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                "id_token_signing_alg_values_supported": ["ES256", "EdDSA"],
            });
            (200, document.to_string())
        }
        "/realms/staff/keys" => {
            let keys: Vec<Value> = shared.keys.lock().unwrap().iter().map(SigningKey::jwk).collect();
            (200, json!({ "keys": keys }).to_string())
        }
        "/realms/staff/userinfo" => {
            assert_eq!(headers["authorization"], "Bearer access-token");
            (200, shared.userinfo.lock().unwrap().to_string())
        }
        "/realms/staff/token" => trade(shared, &issuer, headers, body),
        _ => (404, "{}".into()),
    }
}

fn trade(shared: &Shared, issuer: &str, headers: &HashMap<String, String>, body: &[u8]) -> (u16, String) {
    let refuse = |error: &str| (400, json!({ "error": error }).to_string());
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = format!("Basic {}", BASE64.encode(format!("{}:{}", encoded(CLIENT), encoded(CLIENT_SECRET)).as_bytes()));
    if headers.get("authorization") != Some(&basic) {
        return (401, json!({ "error": "invalid_client" }).to_string());
    }
    let form: HashMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
    let Some(grant) = shared.grants.lock().unwrap().remove(&form["code"]) else { return refuse("invalid_grant") };
    let challenge = BASE64URL_NOPAD.encode(digest(&SHA256, form["code_verifier"].as_bytes()).as_ref());
    if form["grant_type"] != "authorization_code"
        || form["redirect_uri"] != grant.request["redirect_uri"]
        || challenge != grant.request["code_challenge"]
    {
        return refuse("invalid_grant");
    }
    let now = *shared.now.lock().unwrap();
    // The hash of the signature's algorithm: of Ed25519 that is SHA-512.
    let hash = if matches!(shared.keys.lock().unwrap()[0].pair, Pair::Ed(_)) { &SHA512 } else { &SHA256 };
    let whole = digest(hash, b"access-token");
    let half = BASE64URL_NOPAD.encode(&whole.as_ref()[..whole.as_ref().len() / 2]);
    let mut claims =
        json!({ "iss": issuer, "aud": CLIENT, "nonce": grant.request["nonce"], "iat": now, "exp": now + 300, "at_hash": half, "auth_time": now });
    let changes = [grant.person, shared.change.lock().unwrap().clone()];
    for (name, value) in changes.iter().filter_map(Value::as_object).flatten() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    let token = match &*shared.forge.lock().unwrap() {
        Some(forge) => forge(&claims),
        None => shared.keys.lock().unwrap()[0].sign(&claims),
    };
    (200, json!({ "access_token": "access-token", "token_type": "Bearer", "expires_in": 300, "id_token": token }).to_string())
}
