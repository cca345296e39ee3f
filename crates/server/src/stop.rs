//! A request to end, which a thread that waits hears of at once.

use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A request to end, shared by who makes it and who heeds it. One that nobody makes is `default`.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<(Mutex<bool>, Condvar)>);

/// Why something was not finished.
#[derive(Debug, thiserror::Error)]
#[error("it was asked to end")]
pub(crate) struct Stopped;

impl Stop {
    /// Asks everybody who heeds it to end.
    pub(crate) fn ask(&self) {
        let (is_asked, heard) = &*self.0;
        *is_asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        heard.notify_all();
    }

    /// An error once it was asked.
    pub(crate) fn check(&self) -> Result<(), Stopped> {
        self.sleep(Duration::ZERO)
    }

    /// Waits so long, or until it is asked.
    pub(crate) fn sleep(&self, wait: Duration) -> Result<(), Stopped> {
        let (is_asked, heard) = &*self.0;
        let guard = is_asked.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = heard.wait_timeout_while(guard, wait, |is_asked| !*is_asked);
        let (is_asked, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *is_asked { Err(Stopped) } else { Ok(()) }
    }

    /// The same bytes, until it is asked.
    pub(crate) fn watch<R: Read>(&self, reader: R) -> impl Read {
        Watched {
            reader,
            stop: self.clone(),
        }
    }
}

struct Watched<R> {
    reader: R,
    stop: Stop,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stop.check().map_err(io::Error::other)?;
        self.reader.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn who_waits_hears_of_it_at_once_and_who_asks_later_too() {
        let stop = Stop::default();
        assert!(stop.check().is_ok());
        assert!(stop.sleep(Duration::from_millis(1)).is_ok());
        let mut read = Vec::new();
        stop.watch(&b"abc"[..]).read_to_end(&mut read).unwrap();
        assert_eq!(read, b"abc");
        let sleeper = std::thread::spawn({
            let stop = stop.clone();
            move || stop.sleep(LONG)
        });
        stop.ask();
        assert!(sleeper.join().unwrap().is_err());
        assert!(stop.check().is_err() && stop.sleep(LONG).is_err());
        assert!(stop.watch(&b"abc"[..]).read(&mut [0]).is_err());
    }
}
