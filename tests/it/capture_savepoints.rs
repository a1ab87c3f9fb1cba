//! Subtransactions: savepoints and exception blocks keep exactly the events of what survives them.

use crate::capture_seen::{ids, watched};

const COUNT: &str = "SELECT count(*) FROM webhook.events";

#[tokio::test]
async fn savepoints_keep_what_survives_them() {
    let db = watched().await;
    db.run(
        "BEGIN; INSERT INTO users VALUES (1);
         SAVEPOINT a; INSERT INTO users VALUES (2);
           SAVEPOINT b; INSERT INTO users VALUES (3); RELEASE b; INSERT INTO users VALUES (4);
         ROLLBACK TO a; INSERT INTO users VALUES (5); RELEASE a;
         SAVEPOINT c; INSERT INTO users VALUES (6);
           SAVEPOINT d; INSERT INTO users VALUES (7); ROLLBACK TO d; INSERT INTO users VALUES (8);
         RELEASE c; INSERT INTO users VALUES (9); COMMIT",
    )
    .await;
    assert_eq!(ids(&db).await, ["1", "5", "6", "8", "9"]);
}

/// Numbers that look random and are the same in every run.
fn dice(state: &mut u64, sides: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % sides
}

#[tokio::test]
async fn any_mix_of_savepoints_keeps_exactly_the_events_of_surviving_rows_in_order() {
    let db = watched().await;
    for round in 0..40_u64 {
        let (mut state, mut depth) = (round, 0);
        let mut script = vec!["BEGIN".to_owned()];
        for id in 1..=80 {
            match dice(&mut state, 9) {
                0 | 1 => {
                    depth += 1;
                    script.push(format!("SAVEPOINT s{depth}"));
                }
                2 if depth > 0 => {
                    script.push(format!("RELEASE s{depth}"));
                    depth -= 1;
                }
                3 if depth > 0 => {
                    depth = 1 + dice(&mut state, depth);
                    script.push(format!("ROLLBACK TO s{depth}"));
                }
                4 => script.push(COUNT.to_owned()),
                5 => script.push(format!(
                    "DO $$ BEGIN INSERT INTO users VALUES ({id}); PERFORM count(*) FROM webhook.events;
                         BEGIN PERFORM count(*) FROM webhook.events; INSERT INTO users VALUES (1000 + {id});
                               IF {id} % 2 = 0 THEN RAISE 'undo'; END IF;
                         EXCEPTION WHEN raise_exception THEN NULL; END;
                         INSERT INTO users VALUES (2000 + {id}); END $$"
                )),
                _ => script.push(format!("INSERT INTO users VALUES ({id})")),
            }
        }
        script.push("COMMIT".to_owned());
        db.run(&script.join(";")).await;
        let survived = db.rows("SELECT id FROM users ORDER BY id").await.concat();
        let order = |id: &String| (id.parse::<u32>().expect("a number") % 1000, id.len(), id.clone());
        let (mut expected, events) = (survived, ids(&db).await);
        expected.sort_by_key(order);
        assert_eq!(events, expected, "round {round}: {}", script.join(";\n"));
        db.run("TRUNCATE webhook.events, users").await;
    }
}

#[tokio::test]
async fn exception_blocks_keep_what_survives_and_see_what_came_before() {
    let db = watched().await;
    db.run("CREATE TABLE counts (place text, n bigint)").await;
    db.run(
        "DO $$
         BEGIN
             INSERT INTO users VALUES (1);
             BEGIN
                 INSERT INTO counts SELECT 'inside', count(*) FROM webhook.events;
                 BEGIN
                     INSERT INTO users VALUES (2);
                     INSERT INTO counts SELECT 'deep', count(*) FROM webhook.events;
                     RAISE 'undo the second';
                 EXCEPTION WHEN raise_exception THEN
                     INSERT INTO counts SELECT 'after deep', count(*) FROM webhook.events;
                 END;
                 INSERT INTO users VALUES (3);
             EXCEPTION WHEN division_by_zero THEN NULL;
             END;
             INSERT INTO counts SELECT 'outside', count(*) FROM webhook.events;
         END $$",
    )
    .await;
    assert_eq!(ids(&db).await, ["1", "3"]);
    let counts = db.rows("SELECT place, n FROM counts").await;
    assert_eq!(counts, [["inside", "1"], ["after deep", "1"], ["outside", "2"]]);
}

#[tokio::test]
async fn what_was_seen_in_a_block_that_fails_is_not_lost() {
    let db = watched().await;
    db.run(
        "DO $$
         DECLARE n int;
         BEGIN
             INSERT INTO users VALUES (1);
             BEGIN SELECT count(*) INTO n FROM webhook.events; RAISE 'undo'; EXCEPTION WHEN raise_exception THEN NULL; END;
             BEGIN
                 BEGIN SELECT count(*) INTO n FROM webhook.events; EXCEPTION WHEN raise_exception THEN NULL; END;
                 RAISE 'undo';
             EXCEPTION WHEN raise_exception THEN NULL; END;
             INSERT INTO users VALUES (2);
             ASSERT (SELECT count(*) = 2 FROM webhook.events);
         END $$",
    )
    .await;
    assert_eq!(ids(&db).await, ["1", "2"], "and is there once");
}

#[tokio::test]
async fn ten_thousand_subtransactions_keep_every_second_event() {
    let db = watched().await;
    db.run(
        "DO $$
         BEGIN
             INSERT INTO users VALUES (0);
             FOR n IN 1..10000 LOOP
                 BEGIN
                     INSERT INTO users VALUES (n);
                     IF n % 2 = 1 THEN RAISE 'undo'; END IF;
                 EXCEPTION WHEN raise_exception THEN NULL;
                 END;
             END LOOP;
         END $$",
    )
    .await;
    let expected: Vec<_> = (0..=10000).step_by(2).map(|n| n.to_string()).collect();
    assert_eq!(ids(&db).await, expected);
}
