//! What an operator sees of `tidings` in a shell.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use insta::assert_snapshot;

use crate::redis_server::RedisServer;

const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";
const ACCOUNTS: &str = r#"[{
  "id": "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51",
  "username": "alice",
  "displayCurrency": "USD",
  "level": "ONE",
  "defaultWalletId": "6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01",
  "wallets": [{"id": "6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01", "walletCurrency": "BTC"}]
}]"#;

/// A shell in a directory of its own, and nothing in its environment.
struct Shell {
    directory: tempfile::TempDir,
    env: Vec<(String, String)>,
}

/// How a command ended.
struct Ended {
    code: i32,
    out: String,
    said: String,
}

impl Shell {
    fn new() -> Self {
        Shell {
            directory: tempfile::tempdir().unwrap(),
            env: Vec::new(),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn run(&self, arguments: &str) -> Ended {
        self.feed(arguments, "")
    }

    /// Runs `tidings` with these arguments, separated by spaces, and this stdin.
    fn feed(&self, arguments: &str, stdin: &str) -> Ended {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(arguments.split_whitespace())
            .current_dir(self.directory.path())
            .env_clear()
            .envs(self.env.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may have ended before it has read all of it.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            said: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn keys(&self) -> serde_json::Value {
        serde_json::from_str(&self.run("keys list --json").good()).unwrap()
    }
}

impl Ended {
    #[track_caller]
    fn good(self) -> String {
        assert_eq!(self.code, 0, "{}", self.said);
        self.out
    }

    #[track_caller]
    fn failed(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (1, ""), "{}", self.said);
        self.said
    }

    #[track_caller]
    fn misunderstood(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (2, ""), "{}", self.said);
        self.said
    }
}

#[test]
fn a_new_key_stands_alone_on_stdout() {
    let shell = Shell::new();
    let ended = shell.run(&format!("keys create --account {ACCOUNT}"));
    assert!(ended.said.contains("scopes read write"), "{}", ended.said);
    let out = ended.good();
    let code = out
        .strip_prefix("blink_")
        .unwrap()
        .strip_suffix('\n')
        .unwrap();
    assert_eq!(code.len(), 64);
    assert!(code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
}

#[test]
fn a_key_has_the_prefix_of_its_deployment() {
    let shell = Shell::new().with("TIDINGS_AUTH__KEY_PREFIX", "galoy_staging");
    let key = shell
        .run(&format!("keys create --account {ACCOUNT}"))
        .good();
    assert!(key.starts_with("galoy_staging_"), "{key}");
}

#[test]
fn a_key_is_listed_without_its_secret() {
    let shell = Shell::new();
    let create =
        format!("keys create --account {ACCOUNT} --scope publish --name till --expires-in 90d");
    let key = shell.run(&create).good();
    let code = key.trim().strip_prefix("blink_").unwrap();

    let list = shell.run("keys list").good();
    let words: Vec<_> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words[1..5], ["till", ACCOUNT, "-", "publish"]);
    assert_eq!(words[7], "active");
    assert!(!list.contains(code));

    let keys = shell.keys();
    assert_eq!(keys[0]["scopes"], serde_json::json!(["publish"]));
    assert_eq!(keys[0]["state"], "active");
    assert!(!keys.to_string().contains(code));

    let database = std::fs::read(shell.directory.path().join("data/tidings.db")).unwrap();
    let holds = |bytes: &[u8]| database.windows(bytes.len()).any(|window| window == bytes);
    assert!(!holds(code.as_bytes()), "only the hash is kept");
}

#[test]
fn a_revoked_key_is_listed_as_such() {
    let shell = Shell::new();
    shell
        .run(&format!("keys create --account {ACCOUNT}"))
        .good();
    let id = shell.keys()[0]["id"].as_str().unwrap().to_owned();
    shell.run(&format!("keys revoke {id}")).good();
    assert_eq!(shell.keys()[0]["state"], "revoked");

    let again = shell.run(&format!("keys revoke {id}"));
    assert!(
        again.said.starts_with(&format!("key {id} was revoked on ")),
        "{}",
        again.said
    );
    again.good();
}

#[test]
fn a_key_that_is_not_there_is_not_revoked() {
    let said = Shell::new().run(&format!("keys revoke {ACCOUNT}")).failed();
    assert_snapshot!(said, @"error: there is no key 0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51; `tidings keys list` shows those that are");
}

#[test]
fn what_is_not_understood_ends_with_2() {
    let shell = Shell::new();
    let create = format!("keys create --account {ACCOUNT}");
    shell.run("keys create").misunderstood();
    shell.run("keys create --account alice").misunderstood();
    shell.run(&format!("{create} --scope fly")).misunderstood();
    shell
        .run(&format!("{create} --expires-in 0s"))
        .misunderstood();
    shell.run("tell").misunderstood();
    shell.run("").misunderstood();
}

#[test]
fn whoever_makes_a_key_for_a_stranger_is_told() {
    let shell = Shell::new();
    let create = format!("keys create --account {ACCOUNT}");
    let note = "note: account 0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51 is not in the directory";
    assert!(shell.run(&create).said.contains(note));
    shell.feed("accounts import -", ACCOUNTS).good();
    assert!(!shell.run(&create).said.contains(note));
}

#[test]
fn what_was_imported_is_listed_and_can_be_imported_again() {
    let shell = Shell::new();
    shell.file("accounts.json", ACCOUNTS);
    let ended = shell.run("accounts import accounts.json");
    assert_eq!(ended.said, "imported 1 account\n");
    assert_snapshot!(shell.run("accounts list").good(), @"
    ID                                    USERNAME  CURRENCY  LEVEL  WALLETS
    0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51  alice     USD       ONE    BTC
    ");
    let json = shell.run("accounts list --json").good();
    shell.feed("accounts import -", &json).good();
    assert_eq!(shell.run("accounts list --json").good(), json);
}

#[test]
fn accounts_with_a_mistake_are_refused_whole() {
    let shell = Shell::new();
    let second = ACCOUNTS.replace("0d3d", "1d3d").replace("alice", "bob");
    let two = format!(
        "{},\n{}",
        ACCOUNTS.trim_end_matches(']'),
        second.trim_start_matches('[')
    );
    shell.file("accounts.json", &two);
    let said = shell.run("accounts import accounts.json").failed();
    assert_snapshot!(said, @"error: accounts.json:15: accounts[1].wallets[0].id: another wallet has it, too");
    assert_eq!(shell.run("accounts list --json").good(), "[]\n");
    let said = shell.run("accounts import missing.json").failed();
    assert_snapshot!(said, @"error: cannot read missing.json: No such file or directory (os error 2)");
}

#[test]
fn a_mistake_in_the_settings_is_named_with_its_place() {
    let shell = Shell::new();
    shell.run("config check").good();
    shell.file("tidings.toml", "[limits]\ninit_timeut = '3s'\n");
    let said = shell.run("config check --config tidings.toml").failed();
    assert_snapshot!(said, @"error: unknown setting limits.init_timeut (from tidings.toml), did you mean limits.init_timeout?");
    let said = shell.run("config check --config missing.toml").failed();
    assert_snapshot!(said, @"error: cannot read missing.toml: No such file or directory (os error 2)");
    let shell = Shell::new().with("TIDINGS_LIMITS__INIT_TIMEOUT", "soon");
    let said = shell.run("keys list").failed();
    assert_snapshot!(said, @r#"error: limits.init_timeout (from the environment, TIDINGS_LIMITS__INIT_TIMEOUT): expected a duration such as "3s""#);
}

#[test]
fn settings_are_printed_with_their_origin_and_without_passwords() {
    let shell = Shell::new().with("TIDINGS_LIMITS__DEPTH", "9");
    shell.file("tidings.toml", "[server]\nlisten = '0.0.0.0:80'\n");
    let print = "config print --config tidings.toml --redis-url rediss://tidings:hush@redis";
    let printed = shell.run(print).good();
    for line in [
        "listen = \"0.0.0.0:80\"  # tidings.toml",
        "kind = \"redis\"  # --redis-url",
        "url = \"rediss://tidings:***@redis\"  # --redis-url",
        "depth = 9  # TIDINGS_LIMITS__DEPTH",
        "documents = 1000  # default",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line} in\n{printed}"
        );
    }
    shell.file("printed.toml", &printed);
    shell.run("config check --config printed.toml").good();
}

#[test]
fn what_no_subscriber_could_read_is_not_published() {
    let shell = Shell::new();
    let said = shell.run("publish PRICES {}").failed();
    assert!(
        said.contains("there is no channel \"PRICES\"; there are PRICE_UPDATE_<currency>"),
        "{said}"
    );
    let said = shell.feed("publish PRICE_UPDATE_USD", "\n{}\n").failed();
    assert_snapshot!(said, @"error: line 2: the body is not what PRICE_UPDATE_USD tells: pricePerSat is missing, or not above zero");
}

#[test]
fn without_a_redis_events_go_to_the_server_with_a_key() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let shell = Shell::new()
        .with("TIDINGS_SERVER__LISTEN", &address)
        .with("TIDINGS_KEY", "blink_hush");
    let publish = || shell.run(r#"publish PRICE_UPDATE_USD {"pricePerSat":1}"#);

    let (request, ended) = answer_one(&server, "202 Accepted", publish);
    ended.good();
    assert!(
        request.starts_with("POST /v1/events/PRICE_UPDATE_USD HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.to_lowercase().contains("x-api-key: blink_hush\r\n"),
        "{request}"
    );
    assert!(request.ends_with(r#"{"pricePerSat":1}"#), "{request}");

    let (_, ended) = answer_one(&server, "403 Forbidden", publish);
    let said = ended.failed().replace(&address, "server");
    assert_snapshot!(said, @"error: http://server/ said 403 Forbidden: well; the key needs the scope publish");
}

/// What a server that says no more than this was asked for by a command.
fn answer_one(
    server: &std::net::TcpListener,
    status: &str,
    command: impl FnOnce() -> Ended,
) -> (String, Ended) {
    std::thread::scope(|scope| {
        let request = scope.spawn(|| {
            let (mut socket, _) = server.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                let mut some = [0; 1024];
                let count = socket.read(&mut some).unwrap();
                request.extend_from_slice(&some[..count]);
            }
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nwell");
            socket.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        let ended = command();
        (request.join().unwrap(), ended)
    })
}

#[test]
fn without_a_server_nothing_is_published() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", free.local_addr().unwrap());
    drop(free);
    let publish = format!(r#"publish --url {url} PRICE_UPDATE_USD {{"pricePerSat":1}}"#);
    let said = Shell::new().run(&publish).failed();
    assert!(
        said.starts_with(&format!(
            "error: cannot reach {url}; does a server run there?"
        )),
        "{said}"
    );
}

#[tokio::test]
async fn with_a_redis_keys_are_kept_there_and_events_go_there() {
    let redis = RedisServer::start().await;
    let shell = Shell::new().with("TIDINGS_BUS__URL", redis.url().as_str());
    shell
        .run(&format!("keys create --account {ACCOUNT}"))
        .good();
    assert_eq!(shell.keys().as_array().unwrap().len(), 1);
    assert!(!shell.directory.path().join("data").exists());

    let client = redis::Client::open(redis.url()).unwrap();
    let mut heard = client.get_async_pubsub().await.unwrap();
    heard.subscribe("PRICE_UPDATE_USD").await.unwrap();
    let lines = "PRICE_UPDATE_USD {\"pricePerSat\": 1}\nPRICE_UPDATE_USD {\"pricePerSat\": 2}\n";
    assert_eq!(shell.feed("publish", lines).said, "published 2 events\n");
    let mut messages = heard.on_message();
    for body in ["{\"pricePerSat\": 1}", "{\"pricePerSat\": 2}"] {
        let message = futures_util::StreamExt::next(&mut messages).await.unwrap();
        assert_eq!(message.get_payload::<String>().unwrap(), body);
    }
}

#[test]
fn a_redis_that_is_away_is_said_to_be() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", free.local_addr().unwrap());
    drop(free);
    let said = Shell::new()
        .with("TIDINGS_BUS__URL", &url)
        .run("keys list")
        .failed();
    assert!(said.starts_with("error: redis is away: "), "{said}");
}
