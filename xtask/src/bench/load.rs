//! The load client: HTTP/1.1 over one TCP connection, blocking, reading into one reused buffer.
//!
//! It is *not* a general client: it undoes no compression, follows nothing and keeps no header. It
//! is the same for Debrief and its peers, and must never be what a row measures.

use std::io::{self, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

/// Bytes asked of the kernel at a time: large enough for few calls, small enough for the cache.
const BUFFER_BYTES: usize = 256 * 1024;
const HEADER_LINES_MAX: u32 = 100;
const HEADER_LINE_BYTES_MAX: usize = 16 * 1024;
/// A server that is silent for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What the client says it accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
}

/// The bytes of a request for `target`; `token` is sent to peers too, so that the bytes are alike.
pub(super) fn get(target: &str, coding: Coding, token: &str) -> Vec<u8> {
    let accept = match coding {
        Coding::Identity => "",
        Coding::Gzip => "Accept-Encoding: gzip\r\n",
    };
    format!(
        "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n\
         Authorization: Bearer {token}\r\n{accept}\r\n"
    )
    .into_bytes()
}

/// The bytes of a form that is posted to `target` with HTTP Basic credentials.
pub(super) fn post_form(target: &str, basic: &str, form: &str) -> Vec<u8> {
    format!(
        "POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n\
         Authorization: Basic {basic}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .into_bytes()
}

/// The head of a request that posts so many bytes of events.
pub(super) fn post_events_head(token: &str, n_bytes: usize) -> Vec<u8> {
    format!(
        "POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n\
         Authorization: Bearer {token}\r\nContent-Type: application/x-ndjson\r\n\
         Content-Length: {n_bytes}\r\n\r\n"
    )
    .into_bytes()
}

/// The head of a request that puts a recording of so many bytes to `target`.
pub(super) fn put_head(target: &str, token: &str, n_bytes: u64) -> Vec<u8> {
    format!(
        "PUT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {n_bytes}\r\n\r\n"
    )
    .into_bytes()
}

/// One connection that is kept alive.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What `buffer` holds and nobody has taken yet.
    taken: usize,
    filled: usize,
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(u64),
    Chunked,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(address).context("cannot connect on loopback")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        Ok(Connection {
            stream,
            buffer: vec![0; BUFFER_BYTES],
            taken: 0,
            filled: 0,
            line: Vec::new(),
        })
    }

    pub(super) fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.stream
            .write_all(request)
            .context("cannot send a request")
    }

    /// Another handle of the connection, to see how it is read from.
    pub(super) fn stream(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// Reads one answer whole, gives its body to `sink` and returns the body's length. Any status
    /// but 200 is an error.
    pub(super) fn receive(&mut self, sink: &mut dyn Write) -> anyhow::Result<u64> {
        self.receive_as(200, sink)
    }

    /// The same where another status is the right one.
    pub(super) fn receive_as(&mut self, status: u16, sink: &mut dyn Write) -> anyhow::Result<u64> {
        match self.receive_header(status)? {
            Framing::Length(n_bytes) => {
                self.pass(n_bytes, sink)?;
                Ok(n_bytes)
            }
            Framing::Chunked => self.receive_chunks(sink),
        }
    }

    /// Reads until the first byte of the body is there, and closes the connection.
    pub(super) fn receive_first_byte(mut self) -> anyhow::Result<Instant> {
        match self.receive_header(200)? {
            Framing::Length(n_bytes) => ensure!(0 < n_bytes, "the body is empty"),
            Framing::Chunked => ensure!(0 < self.receive_chunk_size()?, "the body is empty"),
        }
        if self.taken == self.filled {
            self.fill()?;
        }
        Ok(Instant::now())
    }

    fn receive_header(&mut self, status: u16) -> anyhow::Result<Framing> {
        self.receive_line()?;
        if !self
            .line
            .starts_with(format!("HTTP/1.1 {status}").as_bytes())
        {
            bail!("the answer is `{}`", String::from_utf8_lossy(&self.line));
        }
        let mut framing = None;
        for _ in 0..HEADER_LINES_MAX {
            self.receive_line()?;
            if self.line.is_empty() {
                return framing.context("the answer has neither a length nor chunks");
            }
            framing = framing_of(&self.line)?.or(framing);
        }
        bail!("the answer has more than {HEADER_LINES_MAX} header lines")
    }

    fn receive_chunks(&mut self, sink: &mut dyn Write) -> anyhow::Result<u64> {
        let mut n_bytes = 0;
        loop {
            let n_chunk = self.receive_chunk_size()?;
            if n_chunk == 0 {
                break;
            }
            self.pass(n_chunk, sink)?;
            n_bytes += n_chunk;
            self.receive_line()?;
            ensure!(self.line.is_empty(), "a chunk is longer than it said");
        }
        self.receive_line()?;
        ensure!(self.line.is_empty(), "trailers are not expected");
        Ok(n_bytes)
    }

    fn receive_chunk_size(&mut self) -> anyhow::Result<u64> {
        self.receive_line()?;
        let digits = self.line.split(|byte| *byte == b';').next();
        let digits = std::str::from_utf8(digits.unwrap_or_default())?;
        u64::from_str_radix(digits.trim(), 16).context("a chunk has no size")
    }

    /// One line without its end, into `self.line`.
    fn receive_line(&mut self) -> anyhow::Result<()> {
        self.line.clear();
        loop {
            let rest = &self.buffer[self.taken..self.filled];
            let end = rest.iter().position(|byte| *byte == b'\n');
            self.line
                .extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
            ensure!(
                self.line.len() <= HEADER_LINE_BYTES_MAX,
                "a header line is longer than {HEADER_LINE_BYTES_MAX} bytes"
            );
            if let Some(end) = end {
                self.taken += end + 1;
                if self.line.last() == Some(&b'\r') {
                    self.line.pop();
                }
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn pass(&mut self, n_bytes: u64, sink: &mut dyn Write) -> anyhow::Result<()> {
        let mut n_left = n_bytes;
        while 0 < n_left {
            if self.taken == self.filled {
                self.fill()?;
            }
            let n_here = self.filled - self.taken;
            let n_taken = usize::try_from(n_left).map_or(n_here, |n_left| n_left.min(n_here));
            sink.write_all(&self.buffer[self.taken..self.taken + n_taken])?;
            self.taken += n_taken;
            n_left -= n_taken as u64;
        }
        Ok(())
    }

    /// Replaces what the buffer held, all of which has been taken.
    fn fill(&mut self) -> anyhow::Result<()> {
        let n_read = loop {
            match self.stream.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.context("cannot read the answer")?,
            }
        };
        ensure!(0 < n_read, "the connection ended inside an answer");
        self.taken = 0;
        self.filled = n_read;
        Ok(())
    }
}

/// What a header line says about the body's end.
fn framing_of(line: &[u8]) -> anyhow::Result<Option<Framing>> {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        bail!("a header line has no colon");
    };
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.eq_ignore_ascii_case(b"content-length") {
        let n_bytes = std::str::from_utf8(value)?.parse();
        return Ok(Some(Framing::Length(n_bytes.context("no content length")?)));
    }
    let chunked =
        name.eq_ignore_ascii_case(b"transfer-encoding") && value.eq_ignore_ascii_case(b"chunked");
    Ok(chunked.then_some(Framing::Chunked))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Serves `answers` in pieces of `n_piece` bytes and reads as many bodies as there are answers.
    #[track_caller]
    fn check(answers: &[&str], n_piece: usize, expect: &[&str]) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a bound address");
        let wire = answers.concat();
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.set_nodelay(true).expect("a socket option");
            for piece in wire.as_bytes().chunks(n_piece) {
                if stream.write_all(piece).is_err() {
                    return;
                }
            }
        });
        let mut connection = Connection::open(address).expect("a connection");
        let bodies: Vec<String> = answers
            .iter()
            .map(|_| {
                let mut body = Vec::new();
                match connection.receive(&mut body) {
                    Ok(n_bytes) => {
                        assert_eq!(n_bytes, body.len() as u64);
                        String::from_utf8(body).expect("text")
                    }
                    Err(error) => format!("error: {error:#}"),
                }
            })
            .collect();
        assert_eq!(bodies, expect);
        drop(connection);
        serving.join().expect("the serving thread ends");
    }

    const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n";

    #[test]
    fn answers_follow_each_other_however_they_are_cut() {
        for n_piece in [1, 2, 7, 1000] {
            check(
                &[LENGTH, CHUNKED, LENGTH],
                n_piece,
                &["hello", "hello0123456789", "hello"],
            );
        }
    }

    #[test]
    fn a_refusal_and_a_cut_body_are_errors() {
        check(
            &["HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"],
            1000,
            &["error: the answer is `HTTP/1.1 401 Unauthorized`"],
        );
        check(
            &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"],
            1000,
            &["error: the connection ended inside an answer"],
        );
        check(
            &["HTTP/1.1 200 OK\r\n\r\nhello"],
            1000,
            &["error: the answer has neither a length nor chunks"],
        );
    }
}
