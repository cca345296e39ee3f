//! `cargo xtask ci`: every check, in the order in which they fail fastest.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

use crate::tidy;

/// Options of `cargo xtask ci`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Leaves out the schema-based fuzzer of the JSON API, which needs Python.
    #[arg(long)]
    no_schemathesis: bool,
}

/// The fuzzer's version; a new one is tried by hand first.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// Runs every check.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    tidy::check()?;
    cargo(&["fmt", "--all", "--check"], &[])?;
    cargo(
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ],
        &[],
    )?;
    install_programs()?;
    let n_passed = test()?;
    cargo(
        &[
            "doc",
            "--workspace",
            "--no-deps",
            "--quiet",
            "--document-private-items",
        ],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )?;
    if !options.no_schemathesis {
        fuzz_json_api()?;
    }
    println!("{n_passed} passed, 0 failed");
    Ok(())
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    println!("cargo {}", arguments.join(" "));
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .envs(environment.iter().copied())
        .status()
        .context("cargo cannot be run")?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}

/// Runs the tests, shows their output, and adds up how many passed.
fn test() -> anyhow::Result<u64> {
    println!("cargo test --workspace");
    let mut child = Command::new(env!("CARGO"))
        .args(["test", "--workspace", "--quiet"])
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo cannot be run")?;
    let stdout = child.stdout.take().context("cargo has no output")?;
    let mut n_passed = 0;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        println!("{line}");
        let counted = line
            .strip_prefix("test result: ok. ")
            .and_then(|rest| rest.split(' ').next());
        n_passed += counted.and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    if !child.wait()?.success() {
        bail!("cargo test --workspace failed");
    }
    if n_passed == 0 {
        bail!("no test ran");
    }
    Ok(n_passed)
}

/// Programs that tests run, and the packages that bring them: the browser in which they look at
/// pages with its driver, and what a real MeshCentral runs on.
const PROGRAMS: [(&[&str], &str); 2] = [
    (&["chromium", "chromedriver"], "chromium chromium-driver"),
    (&["node", "npm"], "nodejs npm"),
];

/// Installs what is missing of the programs that tests run.
fn install_programs() -> anyhow::Result<()> {
    for (programs, packages) in PROGRAMS {
        let is_there = || {
            programs.iter().all(|program| {
                let output = Command::new(program).arg("--version").output();
                output.is_ok_and(|output| output.status.success())
            })
        };
        if is_there() {
            continue;
        }
        // Root needs no sudo, and a container may have none.
        let install = format!(
            "apt-get update -qq && apt-get install -y -qq --no-install-recommends {packages}"
        );
        println!("{install}");
        let as_root =
            format!("if [ $(id -u) = 0 ]; then {install}; else sudo sh -c '{install}'; fi");
        let _ = Command::new("sh").args(["-c", &as_root]).status();
        if !is_there() {
            bail!("the tests need programs: apt-get install -y {packages}");
        }
    }
    Ok(())
}

/// A server of its own data directory, ended when it is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Holds the OpenAPI document against the running server.
fn fuzz_json_api() -> anyhow::Result<()> {
    let schemathesis = install_schemathesis()?;
    cargo(&["build", "--quiet", "--package", "debrief"], &[])?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    // Beside this program, wherever cargo was told to build.
    let binary = std::env::current_exe()?.with_file_name("debrief");
    let binary = binary.as_path();
    run_quietly(
        Command::new(binary)
            .arg("--data")
            .arg(&data)
            .args(["demo", "--sessions", "30"]),
    )?;
    let server = start(binary, &data)?;
    let token = token(binary, &data, &server.url)?;
    println!("schemathesis run {}/api/v1/openapi.json", server.url);
    let status = Command::new(schemathesis)
        .arg("run")
        .arg(format!("{}/api/v1/openapi.json", server.url))
        .args(["--url", &server.url])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"])
        .args(["--phases", "coverage,fuzzing", "--generation-deterministic"])
        .args(["--max-examples", "20", "--request-timeout", "10"])
        // A tail never ends; its own tests follow it.
        .args(["--exclude-path", "/api/v1/tail", "--no-color"])
        .status()
        .context("schemathesis cannot be run")?;
    if !status.success() {
        bail!("schemathesis found that the server does not keep to its OpenAPI document");
    }
    Ok(())
}

/// The fuzzer in an environment of its own below `target`.
fn install_schemathesis() -> anyhow::Result<PathBuf> {
    let environment = Path::new("target/schemathesis");
    let program = environment.join("bin/schemathesis");
    if program.exists() {
        return Ok(program);
    }
    println!("pip install {SCHEMATHESIS}");
    let make = || {
        let made = Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(environment)
            .status();
        made.is_ok_and(|status| status.success())
    };
    if !make() {
        println!("apt-get install -y python3-venv");
        let _ = Command::new("apt-get").args(["update", "-qq"]).status();
        let _ = Command::new("apt-get")
            .args(["install", "-y", "-qq", "python3-venv"])
            .status();
        if !make() {
            bail!("the fuzzer needs Python: apt-get install -y python3-venv");
        }
    }
    run_quietly(Command::new(environment.join("bin/pip")).args([
        "install",
        "--quiet",
        SCHEMATHESIS,
    ]))?;
    Ok(program)
}

fn run_quietly(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} cannot be run"))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn start(binary: &Path, data: &Path) -> anyhow::Result<Server> {
    let mut child = Command::new(binary)
        .arg("--data")
        .arg(data)
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("DEBRIEF_REQUESTS_PER_SECOND", "0")
        .env("DEBRIEF_REQUESTS_PER_HOUR", "0")
        .env("DEBRIEF_LOG", "error")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("the server cannot be started")?;
    let stdout = child.stdout.take().context("the server has no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
    match url {
        Some(url) => Ok(Server { child, url }),
        None => {
            let _ = child.kill();
            bail!("the server said `{}` instead of its address", line.trim())
        }
    }
}

/// A token with every permission.
fn token(binary: &Path, data: &Path, url: &str) -> anyhow::Result<String> {
    let created = run_quietly(
        Command::new(binary)
            .arg("--data")
            .arg(data)
            .args(["account", "create", "fuzzer", "--json"])
            .args([
                "--allow",
                "reporting,recordings,command=full_access,ingest,admin",
            ]),
    )?;
    let account: serde_json::Value = serde_json::from_str(&created)?;
    let text = |name: &str| account[name].as_str().unwrap_or_default().to_owned();
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        text("client_id"),
        text("client_secret")
    );
    let answer = run_quietly(
        Command::new("python3").args([
            "-c",
            "import sys,urllib.request as r;print(r.urlopen(sys.argv[1],sys.argv[2].encode()).read().decode())",
            &format!("{url}/oauth2/token"),
            &form,
        ]),
    )?;
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    answer["access_token"]
        .as_str()
        .map(str::to_owned)
        .context("no token in the answer")
}
