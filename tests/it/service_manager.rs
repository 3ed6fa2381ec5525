//! What systemd and the appliance say to each other, with this test in the place of systemd.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The words of the next message that has one beginning with `wanted`.
fn heard(manager: &UnixDatagram, wanted: &str) -> String {
    let mut bytes = [0; 1024];
    loop {
        let size = manager.recv(&mut bytes).unwrap_or_else(|error| panic!("no {wanted}: {error}"));
        let message = String::from_utf8_lossy(&bytes[..size]).into_owned();
        if message.lines().any(|line| line.starts_with(wanted)) {
            return message;
        }
    }
}

#[test]
fn systemd_hands_over_a_socket_and_is_told_of_readiness_life_and_stop() {
    let folder = tempfile::tempdir().unwrap();
    let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();

    // Descriptor 3 and LISTEN_PID are how sockets are handed over (sd_listen_fds(3)).
    let script = r#"LISTEN_PID=$$ exec "$1" serve --dev --listen 127.0.0.1:9 --data-dir "$2" 3<&0 </dev/null"#;
    let mut child = Command::new("/bin/sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_onsite")])
        .arg(folder.path().join("data"))
        .env_clear()
        .envs([("LISTEN_FDS", "1"), ("WATCHDOG_USEC", "400000")])
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first.trim(), format!("listening on http://127.0.0.1:{port}"), "the socket that was handed over comes first");

    assert!(heard(&manager, "READY=1").contains(&format!("STATUS=serving http://127.0.0.1:{port}")));
    for _ in 0..3 {
        heard(&manager, "WATCHDOG=1");
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    heard(&manager, "STOPPING=1");
    assert!(child.wait().unwrap().success());
}
