//! The real binary as a child process: started, asked, killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A running `onsite serve --dev`; killed when dropped.
pub struct Served {
    pub url: String,
    child: Child,
}

pub fn onsite() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onsite"));
    command.env_clear();
    command
}

impl Served {
    /// Starts the binary on a data folder and waits for its first line.
    pub fn start(folder: &Path) -> Self {
        let mut child = onsite()
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder)
            .env("AUTOMATION_VECTORSTORE_ENABLED", "1")
            .env("AUTH_IDLE_TIMEOUT_MINUTES", "0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("the first line was {line:?}")).to_owned();
        Self { url, child }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns whether it ended well.
    pub fn terminate(mut self) -> bool {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command of the binary to its end.
pub fn run(arguments: &[&str]) -> Output {
    onsite().args(arguments).output().unwrap()
}
