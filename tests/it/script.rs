//! A script of `tests/clients`, or an example, beside a server of its own that shows the demo.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::tidings::Tidings;

/// How long a script may run. Each waits for seconds by itself, and clients wait before they reconnect.
pub(crate) const WHOLE_SCRIPT: Duration = Duration::from_secs(300);

/// A script that runs beside a server.
pub(crate) struct Script {
    process: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    said: String,
}

impl Script {
    /// Starts it beside a server that shows the demo.
    pub(crate) async fn start(command: &mut Command, server: &Tidings) -> Self {
        let command = command
            .env(
                "TIDINGS_WS_URL",
                format!("ws://{}/graphql", server.address()),
            )
            .env("TIDINGS_HTTP_URL", server.http_url("/graphql"))
            .env(
                "TIDINGS_ALLENHARK_URL",
                format!("ws://{}/v1/ws", server.address()),
            )
            .env(
                "TIDINGS_BLOCKDB_URL",
                format!("ws://{}/v1/evm/", server.address()),
            )
            .env(
                "TIDINGS_REWARDS_WS_URL",
                format!("ws://{}/rewards-graphql-api/", server.address()),
            )
            .env("TIDINGS_REWARDS_PARAMS", rewards_params(server).await)
            .env("TIDINGS_KEY", server.named("API key").await)
            .env("TIDINGS_ARTIFACTS", artifacts())
            .env("TIDINGS_INVOICE", server.named("Invoice").await);
        Self::spawn(command)
    }

    /// Starts it, whatever it is beside.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        insist_on_clients();
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{command:?} does not start ({error}): it needs Node 20 and Python 3.11")
            });
        let stdout = BufReader::new(process.stdout.take().expect("it is piped"));
        Script {
            process,
            lines: stdout.lines(),
            said: String::new(),
        }
    }

    /// What it has printed, as far as it was waited for.
    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    /// Waits until it prints a line with this in it.
    pub(crate) async fn prints(&mut self, what: &str) {
        let printed = timeout(WHOLE_SCRIPT, async {
            while let Some(line) = self.lines.next_line().await.expect("it prints text") {
                self.said += &format!("{line}\n");
                if line.contains(what) {
                    return true;
                }
            }
            false
        });
        if printed.await != Ok(true) {
            self.fails(&format!("it does not print {what:?}")).await;
        }
    }

    /// Waits until it has ended well.
    pub(crate) async fn succeeds(&mut self) {
        let rest = timeout(WHOLE_SCRIPT, async {
            while let Some(line) = self.lines.next_line().await.expect("it prints text") {
                self.said += &format!("{line}\n");
            }
            self.process.wait().await.expect("it is our child")
        });
        match rest.await {
            Ok(status) if status.success() => {}
            Ok(status) => self.fails(&status.to_string()).await,
            Err(_) => self.fails("it does not end").await,
        }
    }

    async fn fails(&mut self, why: &str) -> ! {
        let _ = self.process.kill().await;
        let mut errors = String::new();
        if let Some(mut stderr) = self.process.stderr.take() {
            let _ = stderr.read_to_string(&mut errors).await;
        }
        panic!("{why}\n--- printed\n{}--- errors\n{errors}", self.said);
    }
}

/// Held by whoever has a browser run: two at a time keep each other from anything on a small machine.
pub(crate) static ONE_BROWSER: Mutex<()> = Mutex::const_new(());

pub(crate) async fn demo() -> Tidings {
    Tidings::start_as(&["serve", "--demo"], &[]).await
}

pub(crate) fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    in_clients(command.arg(script).stdin(Stdio::null()));
    command
}

pub(crate) fn python(script: &str) -> Command {
    let mut command = Command::new(clients().join(".venv/bin/python"));
    in_clients(command.args(["-u", "-B", script]).stdin(Stdio::null()));
    command
}

pub(crate) fn in_clients(command: &mut Command) -> &mut Command {
    command.current_dir(clients())
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where screenshots are left for people.
pub(crate) fn artifacts() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let artifacts = target
        .expect("it is in the target folder")
        .join("artifacts");
    std::fs::create_dir_all(&artifacts).expect("the target folder can be written to");
    artifacts
}

/// A program that `scripts/test` installs for the tests alone.
pub(crate) fn tool(name: &str) -> PathBuf {
    clients().join(".tools/bin").join(name)
}

fn clients() -> PathBuf {
    root().join("tests/clients")
}

/// Insists that what the scripts need is there: a test that skips itself proves nothing.
fn insist_on_clients() {
    let need = |path: &str, command: &str| {
        assert!(
            clients().join(path).exists(),
            "tests/clients/{path} is not there: run `scripts/test`, or\n  {command}"
        );
    };
    need("node_modules/ws", "npm ci --prefix tests/clients");
    need(
        ".venv/bin/python",
        "python3 -m venv tests/clients/.venv && tests/clients/.venv/bin/pip install -r tests/clients/requirements.txt",
    );
    need(
        ".tools/bin/websocat",
        "cargo install websocat --version 1.14.1 --no-default-features --locked --root tests/clients/.tools",
    );
}

/// The payload of the `connection_init` that the demo prints for its rewards user.
async fn rewards_params(server: &Tidings) -> String {
    let mut params = None;
    server
        .until(
            "the rewards user's connection_init is printed",
            async || {
                params = server.printed().iter().find_map(|line| {
                    let message = line.trim();
                    let message = message.contains("connection_id").then_some(message)?;
                    let message: Value = serde_json::from_str(message).ok()?;
                    Some(message["payload"].to_string())
                });
                params.is_some()
            },
        )
        .await;
    params.expect("it was printed")
}
