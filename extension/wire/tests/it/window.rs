use proptest::prelude::*;
use webhook_wire::window::{Open, Range, Snapshot, Window, WindowError, Xids};

/// The first window of all.
const FIRST: &str = r#"{"low": "3:3:", "floor": 0, "old": []}"#;
const FAR: i64 = 16 * 1024 * 1024;

fn window(text: &str) -> Window {
    Window::parse(text).expect("a window")
}

fn snapshot(text: &str) -> Snapshot {
    Snapshot::parse(text).expect("a snapshot")
}

fn open(text: &str, high: &str) -> Open {
    window(text).up_to(|| snapshot(high))
}

#[test]
fn the_next_window_begins_where_each_running_transaction_may_have_emitted() {
    let old = r#"{"term":5,"low":"10:12:10","high":"10:19:10","floor":600,"mark":[700,20],"old":[[10,400]]}"#;
    let mine = old.replace(r#","high":"10:19:10""#, "");
    let cases = [
        // Not all that may emit below 700 have begun.
        (
            mine.as_str(),
            "10:19:10,13",
            r#"{"term":5,"low":"10:19:10,13","floor":600,"mark":[700,20],"old":[[10,400],[13,600]]}"#,
        ),
        // They have: the floor rises, and a new mark is set. Those that run keep the floors that they had.
        (
            &mine,
            "10:20:10,13",
            r#"{"term":5,"low":"10:20:10,13","floor":700,"mark":[900,30],"old":[[10,400],[13,600]]}"#,
        ),
        (FIRST, "20:20:", r#"{"term":null,"low":"20:20:","floor":0,"mark":[900,30],"old":[]}"#),
        // It goes on to where it went before.
        (old, "10:20:10,13", r#"{"term":5,"low":"10:19:10","floor":600,"mark":[700,20],"old":[[10,400]]}"#),
    ];
    for (text, high, next) in cases {
        assert_eq!(open(text, high).next(|| (900, 30)).to_string(), next, "{text} at {high}");
    }
}

#[test]
fn a_window_goes_on_to_the_same_snapshot() {
    let more = open(FIRST, "20:30:22,25").more().to_string();
    assert_eq!(more, r#"{"term":null,"low":"3:3:","high":"20:30:22,25","floor":0,"mark":null,"old":[]}"#);
    let again = window(&more).up_to(|| unreachable!("it has one"));
    assert_eq!(again.more().to_string(), more);
    assert_eq!(again.commits(), (3, 30));
}

#[test]
fn what_began_long_ago_is_a_range_of_its_own() {
    let floor = FAR + 1000;
    let text = format!(
        r#"{{"low":"10:20:10,11,12,13","floor":{floor},"mark":null,"old":[[10,999],[11,1000],[12,{floor}],[13,5]]}}"#
    );
    let open = open(&text, "13:30:13,25");
    let (near, far) = (
        Range { floor: 1000, xids: Xids::From(11) },
        // 13 is still running.
        Range { floor: 999, xids: Xids::Only(10) },
    );
    assert_eq!(open.ranges(), [near, far]);
    let of = |range| (0..40).filter(|xid| open.has(range, *xid)).collect::<Vec<_>>();
    assert_eq!(of(near), [11, 12, 20, 21, 22, 23, 24, 26, 27, 28, 29]);
    assert_eq!(of(far), [10]);
}

#[test]
fn what_is_neither_window_nor_snapshot_is_refused() {
    for text in ["", "{}", "[]", r#"{"low":"3","floor":0,"old":[]}"#, r#"{"low":"3:3:","floor":0}"#] {
        assert_eq!(Window::parse(text), Err(WindowError::Window(text.to_owned())));
    }
    for text in ["", "20", "20:20", "a:20:", "20:20:x", "20:20:1,,x"] {
        assert_eq!(Snapshot::parse(text), Err(WindowError::Snapshot(text.to_owned())));
    }
    let error = Snapshot::parse("20").expect_err("not one");
    assert_eq!(
        [error.to_string(), error.hint()],
        [r#"snapshot "20" is not valid"#, "A snapshot is spelled as pg_current_snapshot() spells it."]
    );
}

/// Something that happens to a server.
#[derive(Debug, Clone)]
enum Step {
    Begin,
    /// By the transaction of that place among the running ones.
    Emit(usize),
    End(usize, bool),
    /// WAL of others.
    Wal(i64),
    /// The reader reads a window, and so much happens between its snapshot and its mark.
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Begin),
        6 => any::<usize>().prop_map(Step::Emit),
        3 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(n, committed)| Step::End(n, committed)),
        1 => (0..FAR * 2).prop_map(Step::Wal),
        3 => (0..4_usize).prop_map(Step::Read),
    ]
}

#[derive(Default)]
struct Server {
    lsn: i64,
    begun: i64,
    running: Vec<i64>,
    aborted: Vec<i64>,
    /// seq and xid.
    rows: Vec<(i64, i64)>,
}

impl Server {
    fn take(&mut self, step: &Step) {
        let running = self.running.len();
        match step {
            Step::Begin => {
                self.running.push(3 + self.begun);
                self.begun += 1;
            }
            Step::Emit(n) if running > 0 => {
                self.lsn += 1;
                self.rows.push((self.lsn, self.running[n % running]));
            }
            Step::End(n, committed) if running > 0 => {
                let xid = self.running.remove(n % running);
                if !committed {
                    self.aborted.push(xid);
                }
            }
            Step::Wal(bytes) => self.lsn += bytes,
            _ => {}
        }
    }

    fn committed(&self) -> impl Iterator<Item = (i64, i64)> {
        let ended = |xid| !self.running.contains(xid) && !self.aborted.contains(xid);
        self.rows.iter().filter(move |(_, xid)| ended(xid)).copied()
    }

    fn snapshot(&self) -> Snapshot {
        let xmax = 3 + self.begun;
        let running: Vec<String> = self.running.iter().map(i64::to_string).collect();
        snapshot(&format!("{}:{xmax}:{}", self.running.iter().min().unwrap_or(&xmax), running.join(",")))
    }
}

proptest! {
    #[test]
    fn every_committed_row_lies_in_one_range_of_one_window(steps in prop::collection::vec(step(), 0..120)) {
        let mut server = Server::default();
        let mut window = window(FIRST);
        let mut read = Vec::new();
        // At most three of them happen between another read's snapshot and its mark.
        let mut steps = steps.into_iter().chain(std::iter::repeat_n(Step::Read(0), 5));
        while let Some(step) = steps.next() {
            let Step::Read(later) = step else {
                server.take(&step);
                continue;
            };
            let open = window.up_to(|| server.snapshot());
            let ranges = open.ranges();
            for row in server.committed() {
                let times = ranges.iter().filter(|range| row.0 >= range.floor && open.has(**range, row.1)).count();
                prop_assert!(times <= 1, "{row:?} in {ranges:?}");
                read.extend((times == 1).then_some(row));
            }
            for step in steps.by_ref().take(later) {
                server.take(&step);
            }
            // As the library takes it: first the position, then the next transaction.
            window = open.next(|| (server.lsn, 3 + server.begun));
        }
        let mut committed: Vec<_> = server.committed().collect();
        committed.sort_unstable();
        read.sort_unstable();
        prop_assert_eq!(read, committed);
    }

    #[test]
    fn a_snapshot_is_its_text(xmin in 3_i64..100, gaps in prop::collection::vec(0_i64..5, 0..10)) {
        let running: Vec<i64> = gaps.iter().scan(xmin, |xid, gap| { *xid += gap + 1; Some(*xid) }).collect();
        let xmax = running.last().unwrap_or(&xmin) + 1;
        let list: Vec<String> = running.iter().map(i64::to_string).collect();
        let text = format!("{xmin}:{xmax}:{}", list.join(","));
        let snapshot = snapshot(&text);
        prop_assert_eq!(snapshot.to_string(), text);
        for xid in 0..xmax + 3 {
            prop_assert_eq!(snapshot.sees(xid), xid < xmax && !running.contains(&xid));
        }
    }
}
