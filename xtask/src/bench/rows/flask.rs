//! The row about a service as many would write it: sessions as XML text in SQLite, streamed by
//! Flask. It is the hard peer for clients without gzip: it only copies.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::super::debrief::end;
use super::super::flood::Stream;
use super::super::load::{self, Coding};
use super::super::results::Measured;
use super::super::stand::{REPORT_FILE, Stand};
use super::decoders::{PYTHON, succeeds};
use super::{MEGABYTE, compared, missing, rounds, scaled};

const SERVICE: &str = include_str!("../clients/flask_service.py");
const GUNICORN: &str = "target/bench-venv/bin/gunicorn";
const MISSING: &str = "Flask is missing: `python3 -m venv target/bench-venv && \
                       target/bench-venv/bin/pip install flask gunicorn requests urllib3 httpx`";
const STARTING_MAX: Duration = Duration::from_secs(20);
const STARTING_POLL: Duration = Duration::from_millis(50);
/// What only the service's own token is.
const TOKEN: &str = "TOKEN";

pub(super) fn against_flask(stand: &mut Stand) -> anyhow::Result<Measured> {
    if !succeeds(&stand.workspace, &[PYTHON, "-c", "import flask, gunicorn"]) {
        return Ok(missing(MISSING));
    }
    let flask = Flask::start(stand)?;
    let server = stand.server()?;
    let request = server.report(&stand.range, Coding::Identity);
    let theirs = load::get("/api/reporting?start_time=0", Coding::Identity, TOKEN);
    let stream = |address, request| Stream {
        address,
        request,
        n_clients: 1,
        lasts: stand.scale.sample,
        body_bytes: stand.body_bytes(Coding::Identity),
    };
    let [debrief, peer] = rounds(
        stand.scale.n_repeats,
        [&mut || stream(server.address, &request).run(), &mut || {
            stream(flask.address, &theirs).run()
        }],
    )?;
    drop(flask);
    fs::remove_dir_all(stand.home().join("flask"))?;
    let megabytes = stand.xml_bytes as f64 / MEGABYTE;
    let (debrief, peer) = (scaled(debrief, megabytes), scaled(peer, megabytes));
    Ok(compared("MB of XML/s", debrief, peer, |ours, theirs| {
        ours / theirs
    }))
}

/// The running service. It is ended when dropped.
struct Flask {
    child: Child,
    address: SocketAddr,
}

impl Flask {
    fn start(stand: &Stand) -> anyhow::Result<Flask> {
        let folder = stand.home().join("flask");
        fs::create_dir_all(&folder)?;
        let store = folder.join("sessions.sqlite");
        fs::write(folder.join("service.py"), SERVICE)?;
        let loading = Command::new(stand.workspace.join(PYTHON))
            .arg("service.py")
            .arg(stand.files().join(REPORT_FILE))
            .arg(&store)
            .current_dir(&folder)
            .status()?;
        ensure!(loading.success(), "the service cannot load the report");
        // The port is free now and asked for at once; the kernel hands out others first.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = folder.join("log");
        let store = store.to_str().context("a path is not UTF-8")?;
        let child = Command::new(stand.workspace.join(GUNICORN))
            .args([
                "--workers",
                "2",
                "--worker-class",
                "gthread",
                "--keep-alive",
                "60",
            ])
            .args(["--bind", &address.to_string()])
            .arg(format!("service:create('{store}')"))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("cannot start gunicorn")?;
        let mut flask = Flask { child, address };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = flask.child.try_wait()?.is_some();
            if ended || STARTING_MAX < began.elapsed() {
                let talk = fs::read_to_string(&log).unwrap_or_default();
                bail!("Flask does not start: {talk}");
            }
            thread::sleep(STARTING_POLL);
        }
        Ok(flask)
    }
}

impl Drop for Flask {
    fn drop(&mut self) {
        let _ = end(&mut self.child);
    }
}
