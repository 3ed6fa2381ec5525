//! A real directory server: Debian's slapd in a temporary folder on loopback, with people, groups and a certificate of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub const BASE: &str = "dc=example,dc=com";
pub const ACCOUNT: &str = "cn=onsite,dc=example,dc=com";
pub const ACCOUNT_PASSWORD: &str = "canary of the account";

/// What is in it: `{}` stands for nothing, names and passwords are of the tests.
const ENTRIES: &str = "dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: cn=onsite,dc=example,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: onsite
userPassword: canary of the account

dn: uid=vera,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: vera
cn: Vera Rubin
sn: Rubin
displayName: Vera C. Rubin
mail: vera@example.com
userPassword: galaxies turn

dn: uid=twin,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: twin
cn: One Twin
sn: Twin
mail: twin1@example.com
userPassword: the same

dn: cn=other twin,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: twin
cn: other twin
sn: Twin
mail: twin2@example.com
userPassword: the same

dn: uid=nomail,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: nomail
cn: No Mail
sn: Mail
userPassword: without one

dn: cn=Data Team,dc=example,dc=com
objectClass: groupOfNames
cn: Data Team
member: uid=vera,ou=people,dc=example,dc=com
member: uid=nomail,ou=people,dc=example,dc=com
member: uid=twin,ou=people,dc=example,dc=com

dn: cn=empty,dc=example,dc=com
objectClass: groupOfNames
cn: empty
member: cn=onsite,dc=example,dc=com

dn: ou=elsewhere,dc=example,dc=com
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://192.0.2.1/ou=elsewhere,dc=example,dc=com
";

/// The server. Ends when dropped.
pub struct Directory {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    folder: tempfile::TempDir,
    child: Child,
}

fn slapd() -> PathBuf {
    let found = ["/usr/sbin/slapd", "/usr/lib/openldap/slapd", "/usr/libexec/slapd"].map(PathBuf::from).into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| panic!("slapd is needed for the tests of LDAP: apt-get install slapd ldap-utils (tests/run does so)"))
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Directory {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(path("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(path("entries.ldif"), ENTRIES).unwrap();
        std::fs::create_dir(path("data")).unwrap();
        let shown = |name: &str| path(name).display().to_string();
        let configuration = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\ninclude /etc/ldap/schema/inetorgperson.schema\n\
             modulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
             database mdb\nmaxsize 10485760\nsuffix \"{BASE}\"\nrootdn \"cn=root,{BASE}\"\nrootpw the-root-of-it\ndirectory {}\n\
             access to attrs=userPassword by self =x by anonymous auth by * none\n\
             access to * by dn.exact=\"{ACCOUNT}\" read by * none\n",
            shown("pid"),
            shown("cert.pem"),
            shown("key.pem"),
            shown("data"),
        );
        std::fs::write(path("slapd.conf"), configuration).unwrap();
        run(Command::new(slapd()).args(["-T", "add", "-f", &shown("slapd.conf"), "-l", &shown("entries.ldif")]));
        let (plain, tls) = (free_address(), free_address());
        let listen = format!("ldap://{plain}/ ldaps://{tls}/");
        let mut command = Command::new(slapd());
        command.args(["-f", &shown("slapd.conf"), "-h", &listen, "-d", "0"]).stdout(Stdio::null()).stderr(Stdio::null());
        let directory = Self { plain, tls, child: command.spawn().unwrap(), folder };
        directory.wait();
        directory
    }

    /// Until it listens.
    fn wait(&self) {
        for _ in 0..1_000 {
            if TcpStream::connect(self.tls).is_ok() && TcpStream::connect(self.plain).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("slapd does not listen");
    }

    /// The certificate, for `ONSITE_EXTRA_CA_FILE`.
    pub fn authority(&self) -> String {
        self.folder.path().join("cert.pem").display().to_string()
    }

    /// Changes entries, as an administrator would.
    pub fn modify(&self, ldif: &str) {
        let file = self.folder.path().join("change.ldif");
        std::fs::write(&file, ldif).unwrap();
        let address = format!("ldap://{}", self.plain);
        let root = format!("cn=root,{BASE}");
        run(Command::new("ldapmodify").args(["-x", "-H", &address, "-D", &root, "-w", "the-root-of-it", "-f"]).arg(Path::new(&file)));
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
