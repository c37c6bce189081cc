//! A proxy before Postgres that counts how often a client waits for a reply.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

pub(super) struct Proxy {
    port: u16,
    trips: Arc<AtomicUsize>,
}

/// The type of the message with which sqlx tests a connection that a request has returned to the pool. No request waits
/// for the reply.
const TEST: u8 = b'S';

impl Proxy {
    /// Stands before the server on this port until the process ends.
    pub(super) fn before(server: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let trips = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&trips);
        thread::spawn(move || {
            for client in listener.incoming() {
                let joined = client.and_then(|client| {
                    join(&client, &TcpStream::connect(("127.0.0.1", server))?, &counted)
                });
                // The client sees that its connection is closed.
                drop(joined);
            }
        });
        Ok(Self { port, trips })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The number so far. What is sent in several pieces, without a reply between them, counts once.
    pub(super) fn round_trips(&self) -> usize {
        self.trips.load(Ordering::SeqCst)
    }
}

fn join(client: &TcpStream, server: &TcpStream, trips: &Arc<AtomicUsize>) -> io::Result<()> {
    let asking = Arc::new(AtomicBool::new(false));
    let (answered, trips) = (Arc::clone(&asking), Arc::clone(trips));
    pass(client, server, move |bytes| {
        if !asking.swap(true, Ordering::SeqCst) && bytes.first() != Some(&TEST) {
            trips.fetch_add(1, Ordering::SeqCst);
        }
    })?;
    pass(server, client, move |_| answered.store(false, Ordering::SeqCst))
}

fn pass(from: &TcpStream, to: &TcpStream, note: impl Fn(&[u8]) + Send + 'static) -> io::Result<()> {
    let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
    to.set_nodelay(true)?;
    thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            note(&buffer[..read]);
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    Ok(())
}
