//! The socket of a link: the client's own, or one end of a pair whose other end is carried to a client over TLS.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy, split};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// The link has ended: its last bytes go out to a client that takes them within this.
const LAST_BYTES_WITHIN: Duration = Duration::from_secs(5);

/// A socket the kernel can be written to without a library in between.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    /// The guard tells the carrier that the link has ended.
    Carried(UnixStream, #[expect(dead_code, reason = "it acts when it is dropped")] DropGuard),
}

impl Stream {
    /// A socket for a connection that is more than a socket: a task carries its bytes.
    pub fn carry(client: impl AsyncRead + AsyncWrite + Send + 'static, tracker: &TaskTracker) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let ended = CancellationToken::new();
        tracker.spawn(carry(client, theirs, ended.clone()));
        Ok(Self::Carried(ours, ended.drop_guard()))
    }

    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Carried(stream, _) => stream.readable().await,
        }
    }

    pub async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Carried(stream, _) => stream.writable().await,
        }
    }

    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(buffer),
            Self::Carried(stream, _) => stream.try_read(buffer),
        }
    }

    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Carried(stream, _) => stream.try_write(bytes),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Carried(stream, _) => stream.as_fd(),
        }
    }
}

/// Carries bytes both ways until the link's end is closed. The client's end is passed on to the link, which then closes.
/// What is under way is bounded: two buffers of 8 KiB, the pair's and the client's.
async fn carry(client: impl AsyncRead + AsyncWrite, link: UnixStream, ended: CancellationToken) {
    let (mut from_client, mut to_client) = split(client);
    let (mut from_link, mut to_link) = link.into_split();
    let up = async {
        let _ = copy(&mut from_client, &mut to_link).await;
        let _ = to_link.shutdown().await;
        std::future::pending::<()>().await;
    };
    let down = async {
        let _ = copy(&mut from_link, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    // A client that takes nothing would keep `down` for ever.
    let late = async {
        ended.cancelled().await;
        tokio::time::sleep(LAST_BYTES_WITHIN).await;
    };
    tokio::select! {
        () = up => {}
        () = down => {}
        () = late => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
    use tokio::time::{Instant, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    /// A client with room for so many bytes, and its link.
    fn carried(room: usize) -> (DuplexStream, Stream, TaskTracker) {
        let (client, server) = duplex(room);
        let tracker = TaskTracker::new();
        let link = Stream::carry(server, &tracker).unwrap();
        tracker.close();
        (client, link, tracker)
    }

    #[tokio::test]
    async fn bytes_go_both_ways_and_the_last_ones_come_before_the_end() {
        let (mut client, link, tracker) = carried(1_024);
        client.write_all(b"hello").await.unwrap();
        link.readable().await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(link.try_read(&mut buffer).unwrap(), 5);
        let said = vec![7; 50_000];
        assert_eq!(link.try_write(&said).unwrap(), said.len());
        // Something unread on the link's side takes nothing away from what it said.
        client.write_all(b"never read").await.unwrap();
        drop(link);
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard.len(), said.len());
        timeout(PATIENCE, tracker.wait()).await.expect("the carrier ends with the link");
    }

    #[tokio::test]
    async fn the_link_learns_that_the_client_went() {
        let (client, link, tracker) = carried(1_024);
        drop(client);
        link.readable().await.unwrap();
        assert_eq!(link.try_read(&mut [0; 16]).unwrap(), 0);
        drop(link);
        timeout(PATIENCE, tracker.wait()).await.expect("the carrier ends");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_holds_nothing_for_long() {
        let (_client, link, tracker) = carried(16);
        assert_eq!(link.try_write(&vec![7; 50_000]).unwrap(), 50_000);
        drop(link);
        let began = Instant::now();
        timeout(PATIENCE, tracker.wait()).await.expect("the carrier ends");
        assert_eq!(began.elapsed(), LAST_BYTES_WITHIN);
    }
}
