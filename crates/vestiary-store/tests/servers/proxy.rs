//! A proxy that records the requests of a client, and when the client waits for a reply.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use vestiary_store::{Config, Found, Login, Sessions, Store};

pub struct Proxy {
    pub port: u16,
    trips: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Proxy {
    /// Stands before the server on this port until the test ends.
    pub fn before(server: u16) -> Self {
        Self::changing(server, b"", b"")
    }

    /// As `before`, and replaces bytes in the requests by as many others.
    pub fn changing(server: u16, from: &'static [u8], to: &'static [u8]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let trips = Arc::new(Mutex::new(Vec::new()));
        let noted = trips.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                join(&client, &server, &noted, (from, to));
            }
        });
        Self { port, trips }
    }

    /// The round trips since the last call: the requests of each, before a reply came.
    pub fn trips(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.trips.lock().unwrap())
    }
}

/// The round trips of fifty requests of a logged-in visitor, in a store behind the proxy.
pub async fn trips_of_a_user(store: impl Store, proxy: &Proxy) -> Vec<Vec<u8>> {
    let service = Sessions::new(&Config::new("a secret of more than 32 bytes for it"), store);
    let service = service.unwrap();
    let owner = service.of("trips").admit(&Login::default()).await.unwrap();
    let stored = service.create("{}", Some(owner)).await.unwrap();
    let cookie = format!("connect.sid={}", service.sign(stored.id()));
    let cookies = service.cookies([cookie.as_bytes()]);
    // Prepares the statement.
    assert!(matches!(service.find(&cookies).await.unwrap(), Found::Session(_)));
    proxy.trips();
    for _ in 0..50 {
        assert!(matches!(service.find(&cookies).await.unwrap(), Found::Session(_)));
    }
    proxy.trips()
}

fn join(
    client: &TcpStream,
    server: &TcpStream,
    trips: &Arc<Mutex<Vec<Vec<u8>>>>,
    (replaced, by): (&'static [u8], &'static [u8]),
) {
    let asking = Arc::new(AtomicBool::new(false));
    let (answered, trips) = (asking.clone(), trips.clone());
    pass(client, server, move |bytes| {
        let at = bytes.windows(replaced.len().max(1)).position(|window| window == replaced);
        if let Some(found) = at.and_then(|at| bytes.get_mut(at..at + by.len())) {
            found.copy_from_slice(by);
        }
        let mut trips = trips.lock().unwrap();
        if asking.swap(true, Ordering::SeqCst)
            && let Some(last) = trips.last_mut()
        {
            last.extend_from_slice(bytes);
        } else {
            trips.push(bytes.to_vec());
        }
    });
    pass(server, client, move |_| answered.store(false, Ordering::SeqCst));
}

fn pass(from: &TcpStream, to: &TcpStream, note: impl Fn(&mut [u8]) + Send + 'static) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    to.set_nodelay(true).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            note(&mut buffer[..read]);
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
