//! One connection to the server, kept open between requests and opened again when it breaks.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Bytes of one line of an answer's head.
const LINE_BYTES_MAX: u64 = 16 << 10;
/// Bytes of an answer's body.
const BODY_BYTES_MAX: u64 = 1 << 30;

/// A client with a token.
pub(super) struct Client {
    address: String,
    token: String,
    stream: Option<BufReader<TcpStream>>,
}

/// What came of sending a batch.
pub(super) enum Posted {
    /// It is kept.
    Acknowledged,
    /// It may be kept; the server asks to be left alone so long.
    Later(Duration),
    /// It may be kept; the connection broke.
    Broken,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    retry_after: Option<u64>,
    pub(super) body: Vec<u8>,
}

impl Client {
    pub(super) fn new(address: &str, token: &str) -> Client {
        Client {
            address: address.into(),
            token: token.into(),
            stream: None,
        }
    }

    /// Sends events. That the server refuses them is an error: they are as they should be.
    pub(super) fn post_events(&mut self, body: &str) -> anyhow::Result<Posted> {
        let answer = self.post("/api/v1/events", "application/x-ndjson", body);
        let Ok(answer) = answer else {
            return Ok(Posted::Broken);
        };
        let wait = Duration::from_secs(answer.retry_after.unwrap_or(1));
        match answer.status {
            200 => Ok(Posted::Acknowledged),
            429 | 503 => Ok(Posted::Later(wait)),
            // A proxy's word on a server that is gone.
            502 | 504 => Ok(Posted::Broken),
            status => bail!(
                "the server answers {status}: {}",
                String::from_utf8_lossy(&answer.body)
            ),
        }
    }

    /// Sends a body and reads the whole answer; after an error the connection is a new one.
    pub(super) fn post(
        &mut self,
        path: &str,
        media_type: &str,
        body: &str,
    ) -> anyhow::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let authorization = match self.token.as_str() {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{authorization}Content-Type: {media_type}\r\n\
             Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        let request = [head.as_bytes(), body.as_bytes()].concat();
        stream.get_mut().write_all(&request)?;
        let (answer, goes_on) = receive(&mut stream)?;
        if goes_on {
            self.stream = Some(stream);
        }
        Ok(answer)
    }

    fn connect(&self) -> anyhow::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.address)
            .with_context(|| format!("cannot connect to `{}`", self.address))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        Ok(BufReader::new(stream))
    }
}

/// An answer, and whether the connection is good for another.
fn receive(stream: &mut BufReader<TcpStream>) -> anyhow::Result<(Answer, bool)> {
    let status = line(stream)?;
    let status = status.strip_prefix("HTTP/1.1 ").and_then(|s| s.get(..3));
    let status = status.and_then(|status| status.parse().ok());
    let mut answer = Answer {
        status: status.context("the answer is not HTTP/1.1")?,
        retry_after: None,
        body: Vec::new(),
    };
    let (mut goes_on, mut len, mut is_chunked) = (true, None, false);
    loop {
        let header = line(stream)?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').context("a header has no colon")?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => len = Some(value.parse()?),
            "transfer-encoding" => is_chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => goes_on = !value.eq_ignore_ascii_case("close"),
            "retry-after" => answer.retry_after = value.parse().ok(),
            _ => {}
        }
    }
    if !is_chunked {
        take(
            stream,
            len.context("the answer has no length")?,
            &mut answer.body,
        )?;
        return Ok((answer, goes_on));
    }
    loop {
        let size = line(stream)?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).context("a chunk has no size")?;
        take(stream, size, &mut answer.body)?;
        ensure!(line(stream)?.is_empty(), "a chunk is longer than it says");
        if size == 0 {
            return Ok((answer, goes_on));
        }
    }
}

fn take(stream: &mut BufReader<TcpStream>, n: u64, body: &mut Vec<u8>) -> anyhow::Result<()> {
    let n_after = body.len() as u64 + n;
    ensure!(n_after <= BODY_BYTES_MAX, "an answer is too long");
    stream.take(n).read_to_end(body)?;
    ensure!(body.len() as u64 == n_after, "an answer broke off");
    Ok(())
}

/// A line without its end.
fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.take(LINE_BYTES_MAX).read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
