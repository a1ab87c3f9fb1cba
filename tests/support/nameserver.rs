//! A name server that answers as it is told, and differently from one question to the next.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex};

/// What a question is answered with.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These addresses, as far as they are of the kind that is asked for.
    Addresses(Vec<IpAddr>),
    /// Another name for it, and that one's addresses.
    Alias(&'static str, Vec<IpAddr>),
    /// There is no such name.
    NoSuchName,
    /// The server has failed.
    Failure,
    /// None at all.
    Silence,
}

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Of IPv4.
    A,
    /// Of IPv6.
    Aaaa,
}

#[derive(Debug, Default)]
struct Book {
    /// The answers to come, by name and kind; the last one stays.
    answers: HashMap<(String, Kind), VecDeque<Answer>>,
    asked: Vec<(String, Kind)>,
}

/// The server; its thread ends with the process.
#[derive(Debug)]
pub struct NameServer(Arc<Mutex<Book>>);

impl NameServer {
    /// Answers what comes to `socket`.
    pub fn on(socket: UdpSocket) -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let shared = Arc::clone(&book);
        std::thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                let reply = read(&bytes[..length]).and_then(|question| question.reply(&shared));
                if let Some(reply) = reply {
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        Self(book)
    }

    /// From now on the questions about `name` are answered in this order, the last one for good.
    ///
    /// # Panics
    /// If the server's thread has panicked.
    pub fn answer(&self, name: &str, answers: impl IntoIterator<Item = Answer>) {
        let answers: VecDeque<_> = answers.into_iter().collect();
        let mut book = self.0.lock().expect("the book");
        for kind in [Kind::A, Kind::Aaaa] {
            book.answers.insert((name.to_owned(), kind), answers.clone());
        }
    }

    /// How often the addresses of that kind were asked for.
    ///
    /// # Panics
    /// If the server's thread has panicked.
    pub fn asked(&self, name: &str, kind: Kind) -> usize {
        let book = self.0.lock().expect("the book");
        book.asked.iter().filter(|asked| asked.0 == name && asked.1 == kind).count()
    }
}

/// A question as it came.
struct Question {
    name: String,
    kind: Option<Kind>,
    id: [u8; 2],
    /// Name, type and class.
    text: Vec<u8>,
}

/// Reads a query for one name (RFC 1035, 4.1).
fn read(query: &[u8]) -> Option<Question> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        let label = query.get(at + 1..at + 1 + length)?;
        at += 1 + length;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
    }
    let kind = match query.get(at..at + 2)? {
        [0, 1] => Some(Kind::A),
        [0, 28] => Some(Kind::Aaaa),
        _ => None,
    };
    let text = query.get(12..at + 4)?.to_vec();
    Some(Question { name: labels.join("."), kind, id: [query[0], query[1]], text })
}

impl Question {
    fn reply(&self, book: &Mutex<Book>) -> Option<Vec<u8>> {
        match self.answer(book) {
            Answer::Silence => None,
            Answer::NoSuchName => Some(self.message(3, &[])),
            Answer::Failure => Some(self.message(2, &[])),
            Answer::Addresses(addresses) => Some(self.message(0, &self.records(&[0xc0, 12], &addresses))),
            Answer::Alias(other, addresses) => {
                let other = encoded(other);
                let mut records = vec![record(&[0xc0, 12], 5, &other)];
                records.extend(self.records(&other, &addresses));
                Some(self.message(0, &records))
            }
        }
    }

    fn answer(&self, book: &Mutex<Book>) -> Answer {
        let mut book = book.lock().expect("the book");
        let Some(kind) = self.kind else { return Answer::Addresses(Vec::new()) };
        let about = (self.name.clone(), kind);
        book.asked.push(about.clone());
        match book.answers.get_mut(&about) {
            Some(answers) if answers.len() > 1 => answers.pop_front().unwrap_or(Answer::NoSuchName),
            Some(answers) => answers.front().cloned().unwrap_or(Answer::NoSuchName),
            None => Answer::NoSuchName,
        }
    }

    fn records(&self, name: &[u8], addresses: &[IpAddr]) -> Vec<Vec<u8>> {
        let record = |address: &IpAddr| match (address, self.kind) {
            (IpAddr::V4(ip), Some(Kind::A)) => Some(record(name, 1, &ip.octets())),
            (IpAddr::V6(ip), Some(Kind::Aaaa)) => Some(record(name, 28, &ip.octets())),
            _ => None,
        };
        addresses.iter().filter_map(record).collect()
    }

    /// A response with this code: the question and the answers.
    fn message(&self, code: u8, records: &[Vec<u8>]) -> Vec<u8> {
        let mut message = self.id.to_vec();
        // A response, recursion desired and available; one question, the answers.
        message.extend([0x81, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
        message.extend_from_slice(&self.text);
        message.extend(records.iter().flatten());
        message
    }
}

/// A record that may be kept for 0 seconds.
fn record(name: &[u8], kind: u8, data: &[u8]) -> Vec<u8> {
    let mut record = name.to_vec();
    record.extend([0, kind, 0, 1, 0, 0, 0, 0, 0, data.len() as u8]);
    record.extend_from_slice(data);
    record
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        name.split('.').flat_map(|label| std::iter::once(label.len() as u8).chain(label.bytes())).collect();
    bytes.push(0);
    bytes
}
