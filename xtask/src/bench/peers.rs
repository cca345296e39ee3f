//! The programs that Debrief is compared with: nginx as a file server, `xmllint` as a reader.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::debrief;

const STARTING_MAX: Duration = Duration::from_secs(10);
const STARTING_POLL: Duration = Duration::from_millis(10);
/// Debian starts it from here, which is not on every user's path.
const NGINX_PATHS: [&str; 2] = ["nginx", "/usr/sbin/nginx"];

pub(super) const NGINX_MISSING: &str = "nginx is missing: `apt-get install nginx-light`";
pub(super) const XMLLINT_MISSING: &str = "xmllint is missing: `apt-get install libxml2-utils`";

/// How nginx sends a file. The names are locations of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// `sendfile on`.
    Sendfile,
    /// `sendfile off`: read and written.
    Copied,
    /// Compressed while it is sent.
    OnTheFly,
}

impl Sending {
    pub(super) fn target(self, file: &str) -> String {
        let location = match self {
            Sending::Sendfile => "sendfile",
            Sending::Copied => "copied",
            Sending::OnTheFly => "on-the-fly",
        };
        format!("/{location}/{file}")
    }
}

/// A running nginx. It is ended when dropped.
pub(super) struct Nginx {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Nginx {
    /// Serves the files of `files`; `None` when it is not installed.
    pub(super) fn start(files: &Path, home: &Path) -> anyhow::Result<Option<Nginx>> {
        let mut installed = NGINX_PATHS.into_iter().filter(|path| answers(path, "-v"));
        let Some(program) = installed.next() else {
            return Ok(None);
        };
        // The port is free now and asked for at once; the kernel hands out others first.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let configuration = home.join("nginx.conf");
        let errors = home.join("nginx.log");
        fs::write(&configuration, nginx_conf(files, home, address)?)?;
        let child = Command::new(program)
            .arg("-p")
            .arg(home)
            .arg("-c")
            .arg(&configuration)
            .arg("-e")
            .arg(&errors)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start nginx")?;
        let mut nginx = Nginx { child, address };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = nginx.child.try_wait()?.is_some();
            if ended || STARTING_MAX < began.elapsed() {
                let talk = fs::read_to_string(&errors).unwrap_or_default();
                bail!("nginx does not start: {talk}");
            }
            std::thread::sleep(STARTING_POLL);
        }
        Ok(Some(nginx))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = debrief::end(&mut self.child);
    }
}

/// The best that nginx can do: no log, open files kept, connections kept for ever.
fn nginx_conf(files: &Path, home: &Path, address: SocketAddr) -> anyhow::Result<String> {
    let is_root = fs::metadata("/proc/self")?.uid() == 0;
    let user = if is_root { "user root;" } else { "" };
    let (files, home) = (path_text(files)?, path_text(home)?);
    Ok(format!(
        r#"{user}
daemon off;
worker_processes 2;
pid "{home}/nginx.pid";
events {{ worker_connections 512; }}
http {{
    access_log off;
    types {{ text/xml xml; }}
    default_type application/octet-stream;
    client_body_temp_path "{home}/body";
    proxy_temp_path "{home}/proxy";
    fastcgi_temp_path "{home}/fastcgi";
    uwsgi_temp_path "{home}/uwsgi";
    scgi_temp_path "{home}/scgi";
    keepalive_requests 1000000000;
    open_file_cache max=100;
    tcp_nopush on;
    server {{
        listen {address};
        location /sendfile/ {{ alias "{files}/"; sendfile on; gzip_static on; }}
        location /copied/ {{ alias "{files}/"; sendfile off; gzip_static on; }}
        location /on-the-fly/ {{
            alias "{files}/";
            sendfile on;
            gzip on;
            gzip_comp_level 1;
            gzip_types text/xml;
        }}
    }}
}}
"#
    ))
}

fn path_text(path: &Path) -> anyhow::Result<&str> {
    let text = path.to_str().context("a path is not UTF-8")?;
    ensure!(
        !text.contains(['"', '$', '\\']),
        "nginx cannot be told `{text}`"
    );
    Ok(text)
}

/// `xmllint`, which reads a document and throws it away.
pub(super) struct Xmllint;

impl Xmllint {
    pub(super) fn find() -> Option<Xmllint> {
        answers("xmllint", "--version").then_some(Xmllint)
    }

    /// Seconds it takes to stream through `document`.
    pub(super) fn read(&self, document: &PathBuf) -> anyhow::Result<f64> {
        let began = Instant::now();
        let status = Command::new("xmllint")
            .args(["--stream", "--noout"])
            .arg(document)
            .status()?;
        ensure!(status.success(), "xmllint refuses Debrief's own report");
        Ok(began.elapsed().as_secs_f64())
    }
}

/// Whether a program is there and runs.
pub(super) fn answers(program: &str, flag: &str) -> bool {
    let status: io::Result<_> = Command::new(program)
        .arg(flag)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
