//! BaseX as people would keep reports in: a database of the XML itself, asked with XQuery through
//! the server's own protocol. Debian's package has no HTTP server, and the protocol is less work.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use md5::{Digest as _, Md5};

use super::debrief;
use super::peers::answers;

const PROGRAM: &str = "basexserver";
/// The user that BaseX comes with, whose password the bench sets.
const USER: &str = "admin";
const PASSWORD: &str = "bench";
/// A folder with this file is where BaseX keeps everything.
const HOME_MARK: &str = ".basexhome";
const SETTINGS_FILE: &str = ".basex";
/// Reports may take their time. Text is kept and written as it stands in the document.
const SETTINGS: &str = "TIMEOUT = 0\n\
                        # Local Options\n\
                        CHOP = false\n\
                        SERIALIZER = indent=no\n";
const DATABASE: &str = "sessions";
/// The sessions since a time, which is that of all of them.
const REPORT: &str = "XQUERY declare default element namespace \
                      'http://www.beyondtrust.com/sra/namespaces/API/reporting'; \
                      doc('sessions')/session_list/session[start_time/@timestamp >= 0]";
const STARTING_MAX: Duration = Duration::from_secs(30);
const STARTING_POLL: Duration = Duration::from_millis(50);
/// Nothing is said while a database is made.
const SILENCE_MAX: Duration = Duration::from_secs(600);
const BUFFER_BYTES: usize = 256 * 1024;
/// Ends every text, in both directions. No XML has it, nor the byte that would escape it.
const END: u8 = 0;

pub(super) const BASEX_MISSING: &str = "BaseX or Java is missing: `apt-get install basex`";

/// A running BaseX. It is ended when dropped.
pub(super) struct Basex {
    child: Child,
    address: SocketAddr,
}

impl Basex {
    /// Starts it with everything it keeps in `folder`; `None` when it is not installed.
    pub(super) fn start(folder: &Path) -> anyhow::Result<Option<Basex>> {
        if !answers("java", "-version") {
            return Ok(None);
        }
        fs::create_dir_all(folder)?;
        fs::write(folder.join(HOME_MARK), "")?;
        fs::write(folder.join(SETTINGS_FILE), SETTINGS)?;
        // The port is free now and asked for at once; the kernel hands out others first.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = folder.join("log");
        let spawned = Command::new(PROGRAM)
            .arg("-z")
            .arg(format!("-n{}", address.ip()))
            .arg(format!("-p{}", address.port()))
            .arg(format!("-cPASSWORD {PASSWORD}"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn();
        let child = match spawned {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.context("cannot start BaseX")?,
        };
        let mut basex = Basex { child, address };
        basex.wait(&log)?;
        Ok(Some(basex))
    }

    /// A connection to a database made of this document.
    pub(super) fn reporting(&self, document: &Path) -> anyhow::Result<Reporting> {
        let document = document.to_str().context("a path is not UTF-8")?;
        let mut reporting = Reporting::open(self.address)?;
        let mut answer = Vec::new();
        let create = format!("CREATE DB {DATABASE} \"{document}\"");
        reporting.run(&create, |stream| stream.read_until(END, &mut answer))?;
        Ok(reporting)
    }

    /// It listens before it has set the password: only a login says that it is ready.
    fn wait(&mut self, log: &Path) -> anyhow::Result<()> {
        let began = Instant::now();
        while let Err(error) = Reporting::open(self.address) {
            let ended = self.child.try_wait()?.is_some();
            if ended || STARTING_MAX < began.elapsed() {
                let talk = fs::read_to_string(log).unwrap_or_default();
                bail!("BaseX does not start: {error:#}: {talk}");
            }
            thread::sleep(STARTING_POLL);
        }
        Ok(())
    }
}

impl Drop for Basex {
    fn drop(&mut self) {
        let _ = debrief::end(&mut self.child);
    }
}

/// A connection whose user is known.
pub(super) struct Reporting {
    stream: BufReader<TcpStream>,
}

impl Reporting {
    /// Says who asks: BaseX wants the MD5 of its challenge and of what it keeps of the password.
    fn open(address: SocketAddr) -> anyhow::Result<Reporting> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        let stream = BufReader::with_capacity(BUFFER_BYTES, stream);
        let mut reporting = Reporting { stream };
        let challenge = reporting.receive_text()?;
        let challenge = challenge.split_once(':');
        let (realm, nonce) = challenge.context("BaseX names no realm")?;
        let kept = md5_hex(&format!("{USER}:{realm}:{PASSWORD}"));
        reporting.send(USER)?;
        reporting.send(&md5_hex(&format!("{kept}{nonce}")))?;
        ensure!(reporting.receive_success()?, "BaseX refuses its own user");
        Ok(reporting)
    }

    /// The report of every session.
    pub(super) fn report(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut answer = Vec::new();
        self.run(REPORT, |stream| stream.read_until(END, &mut answer))?;
        answer.pop();
        Ok(answer)
    }

    /// Length of the report of every session, read as it comes.
    pub(super) fn report_bytes(&mut self) -> anyhow::Result<u64> {
        let n_bytes = self.run(REPORT, |stream| stream.skip_until(END))?;
        Ok(n_bytes as u64 - 1)
    }

    /// Runs a command, has its answer taken as far as the byte that ends it, and tells how long it
    /// is with that byte.
    fn run(
        &mut self,
        command: &str,
        take: impl FnOnce(&mut BufReader<TcpStream>) -> io::Result<usize>,
    ) -> anyhow::Result<usize> {
        self.send(command)?;
        let n_bytes = take(&mut self.stream).context("cannot read BaseX's answer")?;
        let talk = self.receive_text()?;
        ensure!(self.receive_success()?, "BaseX refuses `{command}`: {talk}");
        Ok(n_bytes)
    }

    fn send(&mut self, text: &str) -> anyhow::Result<()> {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(END);
        let sent = self.stream.get_mut().write_all(&bytes);
        sent.context("cannot send to BaseX")
    }

    fn receive_text(&mut self) -> anyhow::Result<String> {
        let mut bytes = Vec::new();
        self.stream.read_until(END, &mut bytes)?;
        ensure!(bytes.pop() == Some(END), "BaseX ended inside an answer");
        Ok(String::from_utf8(bytes)?)
    }

    /// Whether the byte that follows says that it worked.
    fn receive_success(&mut self) -> anyhow::Result<bool> {
        let mut status = [0];
        self.stream.read_exact(&mut status)?;
        Ok(status == [0])
    }
}

fn md5_hex(text: &str) -> String {
    let digest = Md5::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
