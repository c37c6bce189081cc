//! A proxy before Postgres that counts how often a client waits for a reply.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

pub(super) struct Proxy {
    port: u16,
    waits: Arc<Mutex<Waits>>,
}

/// The waits of all connections. Calls that a request makes at once, on several connections, are one wait.
#[derive(Default)]
struct Waits {
    trips: usize,
    /// The number of connections without a reply.
    open: usize,
}

/// The type of the message with which sqlx tests a connection that a request has returned to the pool. No request waits
/// for the reply.
const TEST: u8 = b'S';
/// The type of the message with which a client ends its connection. It has no reply.
const END: u8 = b'X';

impl Proxy {
    /// Forwards to the server on this port until the process ends.
    pub(super) fn before(server: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let waits = Arc::<Mutex<Waits>>::default();
        let counted = Arc::clone(&waits);
        thread::spawn(move || {
            for client in listener.incoming() {
                let joined = client.and_then(|client| {
                    join(&client, &TcpStream::connect(("127.0.0.1", server))?, &counted)
                });
                // The client sees that its connection is closed.
                drop(joined);
            }
        });
        Ok(Self { port, waits })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The number so far. What is sent in several pieces, without a reply between them, counts once.
    pub(super) fn round_trips(&self) -> usize {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).trips
    }
}

fn join(client: &TcpStream, server: &TcpStream, waits: &Arc<Mutex<Waits>>) -> io::Result<()> {
    let connection = Arc::new(Connection { waits: Arc::clone(waits), asks: Mutex::default() });
    let answered = Arc::clone(&connection);
    pass(client, server, move |bytes| {
        if bytes.first().is_some_and(|kind| *kind != TEST && *kind != END) {
            connection.ask();
        }
    })?;
    pass(server, client, move |_| answered.reply())
}

struct Connection {
    waits: Arc<Mutex<Waits>>,
    /// Whether a reply to it is due.
    asks: Mutex<bool>,
}

impl Connection {
    fn ask(&self) {
        let mut asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *asks, true) {
            let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
            waits.trips += usize::from(waits.open == 0);
            waits.open += 1;
        }
    }

    fn reply(&self) {
        let mut asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *asks) {
            self.waits.lock().unwrap_or_else(PoisonError::into_inner).open -= 1;
        }
    }
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
        // A connection that has ended waits for no reply.
        note(&[]);
        let _ = to.shutdown(Shutdown::Both);
    });
    Ok(())
}
