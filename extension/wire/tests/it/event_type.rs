use proptest::prelude::*;
use webhook_wire::event_type::{Pattern, check, nearest};

#[test]
fn grammar() {
    let long = format!("a.{}", "b".repeat(127));
    let cases = [
        ("user.created", true),
        ("team.member.role_changed", true),
        ("a", true),
        ("1.2.3.4.5.6.7.8", true),
        ("_", true),
        ("1.2.3.4.5.6.7.8.9", false),
        ("", false),
        (".", false),
        ("user.", false),
        (".created", false),
        ("user..created", false),
        ("User.created", false),
        ("user created", false),
        ("user-created", false),
        ("user.*", false),
        ("*", false),
        ("üser.created", false),
        ("user.created\n", false),
        (&long, false),
        (&long[..128], true),
    ];
    for (text, valid) in cases {
        assert_eq!(check(text).is_ok(), valid, "{text}");
    }
}

#[test]
fn errors_name_the_type_and_the_fault() {
    let error = check("User.created").expect_err("upper case");
    assert_eq!(error.to_string(), "invalid event type \"User.created\": character 'U' is not allowed");
    let error = Pattern::parse("user.**").expect_err("two stars");
    assert_eq!(error.to_string(), "invalid event pattern \"user.**\": character '*' is not allowed");
    assert!(error.hint().contains("user.*"));
}

#[test]
fn patterns() {
    let cases: [(&str, &[&str], &[&str]); 4] = [
        ("*", &["user.created", "a"], &[]),
        (
            "user.*",
            &["user.created", "user.role.changed"],
            &["user", "user.", "users.created", "team.user.x"],
        ),
        ("team.member.*", &["team.member.added"], &["team.created", "team.member"]),
        ("user.created", &["user.created"], &["user", "user.created.x", "user.create", "xuser.created"]),
    ];
    for (text, yes, no) in cases {
        let pattern = Pattern::parse(text).expect(text);
        assert_eq!(pattern.to_string(), text);
        for (kinds, expected) in [(yes, true), (no, false)] {
            for kind in kinds {
                assert_eq!(pattern.matches(kind), expected, "{text} {kind}");
            }
        }
    }
    for text in ["", "**", "*.created", "user.*.x", "user*", ".*", "user.", "user. *", "User.*"] {
        assert!(Pattern::parse(text).is_err(), "{text}");
    }
}

#[test]
fn near_misses_come_nearest_first() {
    let known = ["user.created", "user.updated", "user.deleted", "team.member.added", "report.generated"];
    let near = |text, n| nearest(text, known.into_iter(), n);
    assert_eq!(near("user.creatd", 1), ["user.created"]);
    assert_eq!(near("users.updated", 3)[0], "user.updated");
    assert_eq!(near("user.create", 9)[0], "user.created");
    assert_eq!(near("usr.*", 9), ["user.created", "user.deleted", "user.updated"]);
    assert_eq!(near("team.membr.*", 9), ["team.member.added"]);
    assert_eq!(near("invoice.paid", 3), [""; 0]);
    assert_eq!(near("user.created", 0), [""; 0]);
}

proptest! {
    #[test]
    fn a_checked_type_is_a_pattern_of_itself(text in "[a-z0-9_]{1,9}(\\.[a-z0-9_]{1,9}){0,7}") {
        prop_assert!(check(&text).is_ok());
        prop_assert!(Pattern::parse(&text).is_ok_and(|pattern| pattern.matches(&text)));
        if let Some((parent, _)) = text.rsplit_once('.') {
            let pattern = Pattern::parse(&format!("{parent}.*"));
            prop_assert!(pattern.is_ok_and(|pattern| pattern.matches(&text)));
        }
    }

    #[test]
    fn nothing_panics(text: String, known: Vec<String>) {
        let _ = (check(&text), Pattern::parse(&text), nearest(&text, known.iter().map(String::as_str), 3));
    }
}
