use serde_json::{Value, json};
use webhook_wire::filter::{Filter, FilterError};

fn matches(filter: &Value, data: &Value) -> bool {
    Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}")).matches(data)
}

fn data() -> Value {
    json!({
        "plan": "pro", "seats": 12, "ratio": 0.5, "big": 9_007_199_254_740_993_u64, "price": "1299.50", "zip": "00501",
        "active": true, "gone": null, "note": "", "email": "jane@example.com",
        "tags": ["alpha", "beta", 7, null], "none": [], "matrix": [[1, 2], [3]],
        "user": {"role": "admin", "address": {"country": "US"}},
        "items": [{"sku": "A-1", "count": 1}, {"sku": "B-2", "count": 5, "parts": [{"id": 9}]}, {"count": 8}, 3],
        "a.b": 1,
    })
}

#[test]
fn every_operator() {
    let cases = [
        // Plain values and $eq.
        (json!({}), true),
        (json!({"plan": "pro"}), true),
        (json!({"plan": "Pro"}), false),
        (json!({"plan": {"$eq": "pro"}}), true),
        (json!({"active": true}), true),
        (json!({"active": "true"}), false),
        (json!({"active": 1}), false),
        (json!({"gone": null}), true),
        (json!({"note": null}), false),
        (json!({"note": ""}), true),
        (json!({"user": {"$eq": {"role": "admin", "address": {"country": "US"}}}}), true),
        (json!({"user": {"$eq": {"role": "admin"}}}), false),
        // All keys must hold.
        (json!({"plan": "pro", "seats": 12}), true),
        (json!({"plan": "pro", "seats": 13}), false),
        (json!({"seats": {"$gt": 10, "$lt": 20}}), true),
        (json!({"seats": {"$gt": 10, "$lt": 12}}), false),
        // Dotted and nested keys.
        (json!({"user.role": "admin"}), true),
        (json!({"user": {"role": "admin"}}), true),
        (json!({"user": {"address.country": "US"}}), true),
        (json!({"user.address": {"country": {"$in": ["US", "CA"]}}}), true),
        (json!({"user": {"role": "admin", "address": {"country": "CA"}}}), false),
        (json!({"user": {"$exist": true, "role": "admin"}}), true),
        (json!({"plan.x": "pro"}), false),
        (json!({"a.b": 1}), false),
        // Numbers, and strings that spell them.
        (json!({"seats": 12.0}), true),
        (json!({"seats": "12"}), true),
        (json!({"seats": "12.0"}), true),
        (json!({"seats": "1.2e1"}), true),
        (json!({"seats": " 12"}), false),
        (json!({"price": 1299.5}), true),
        (json!({"price": "1299.5"}), false),
        (json!({"big": 9_007_199_254_740_993_u64}), true),
        (json!({"big": "9007199254740993"}), true),
        (json!({"big": 9_007_199_254_740_992_u64}), false),
        (json!({"zip": 501}), false),
        (json!({"zip": "00501"}), true),
        // Comparisons.
        (json!({"seats": {"$gt": 11}}), true),
        (json!({"seats": {"$gt": 12}}), false),
        (json!({"seats": {"$gte": 12}}), true),
        (json!({"seats": {"$lt": 12.5}}), true),
        (json!({"seats": {"$lte": "12"}}), true),
        (json!({"price": {"$gt": 1299, "$lt": 1300}}), true),
        (json!({"plan": {"$gt": 0}}), false),
        (json!({"plan": {"$lt": 0}}), false),
        (json!({"active": {"$gte": 0}}), false),
        (json!({"gone": {"$lte": 0}}), false),
        (json!({"note": {"$lte": 0}}), false),
        (json!({"none": {"$gte": 0}}), false),
        // $in, $nin.
        (json!({"plan": {"$in": ["free", "pro"]}}), true),
        (json!({"plan": {"$in": []}}), false),
        (json!({"seats": {"$in": ["12"]}}), true),
        (json!({"gone": {"$in": [null]}}), true),
        (json!({"plan": {"$nin": ["free", "pro"]}}), false),
        (json!({"plan": {"$nin": ["free"]}}), true),
        (json!({"plan": {"$nin": []}}), true),
        (json!({"plan": {"$neq": "free"}}), true),
        (json!({"plan": {"$neq": "pro"}}), false),
        // A scalar against an array: contains.
        (json!({"tags": "beta"}), true),
        (json!({"tags": "7"}), true),
        (json!({"tags": null}), true),
        (json!({"tags": "gamma"}), false),
        (json!({"tags": {"$in": ["x", "alpha"]}}), true),
        (json!({"tags": {"$nin": ["x", "alpha"]}}), false),
        (json!({"tags": {"$neq": "alpha"}}), false),
        (json!({"none": {"$neq": "alpha"}}), true),
        (json!({"none": null}), false),
        (json!({"tags": ["alpha", "beta", 7, null]}), true),
        (json!({"tags": ["alpha"]}), false),
        (json!({"none": []}), true),
        (json!({"matrix": [[1, 2], [3]]}), true),
        (json!({"matrix": [3]}), false),
        (json!({"matrix": 3}), false),
        // Strings.
        (json!({"email": {"$regex": "@example\\.com$"}}), true),
        (json!({"email": {"$regex": "xample"}}), true),
        (json!({"email": {"$regex": "^xample"}}), false),
        (json!({"email": {"$startsWith": "jane@", "$endsWith": ".com"}}), true),
        (json!({"email": {"$startsWith": "JANE@"}}), false),
        (json!({"seats": {"$regex": "12"}}), false),
        (json!({"seats": {"$startsWith": "1"}}), false),
        (json!({"tags": {"$startsWith": "al"}}), false),
        (json!({"note": {"$startsWith": "", "$regex": ""}}), true),
        // Presence: an absent key matches nothing.
        (json!({"gone": {"$exist": true}}), true),
        (json!({"gone": {"$exist": false}}), false),
        (json!({"absent": {"$exist": true}}), false),
        (json!({"absent": {"$exist": false}}), true),
        (json!({"absent.x.y": {"$exist": false}}), true),
        (json!({"absent": {"x": {"$exist": false}}}), true),
        (json!({"absent": null}), false),
        (json!({"absent": {"$lt": 5}}), false),
        (json!({"absent": {"$in": [null]}}), false),
        (json!({"absent": {"$regex": ""}}), false),
        (json!({"absent": {"$neq": 5}}), true),
        (json!({"absent": {"$nin": [5]}}), true),
        (json!({"absent": {"$not": {"$gt": 5}}}), true),
        (json!({"absent": {"$not": 5}}), true),
        // Logic, anywhere.
        (json!({"$and": [{"plan": "pro"}, {"seats": {"$gt": 5}}]}), true),
        (json!({"$and": [{"plan": "pro"}, {"seats": {"$gt": 50}}]}), false),
        (json!({"$or": [{"plan": "free"}, {"seats": 12}]}), true),
        (json!({"$or": [{"plan": "free"}, {"seats": 13}]}), false),
        (json!({"$or": [{"plan": "free"}, {"plan": "pro"}], "seats": 13}), false),
        (json!({"$not": {"plan": "free"}}), true),
        (json!({"$not": {"plan": "pro", "seats": 13}}), true),
        (json!({"$not": {"plan": "pro", "seats": 12}}), false),
        (json!({"seats": {"$or": [{"$lt": 5}, {"$gt": 10}]}}), true),
        (json!({"seats": {"$or": [5, 12]}}), true),
        (json!({"seats": {"$not": {"$gt": 5}}}), false),
        (json!({"user": {"$or": [{"role": "owner"}, {"address.country": "US"}]}}), true),
        // Walking arrays: some element has to.
        (json!({"items.$.sku": "B-2"}), true),
        (json!({"items.$.sku": "C-3"}), false),
        (json!({"items.$.count": {"$gt": 7}}), true),
        (json!({"items.$.parts.$.id": 9}), true),
        (json!({"items.$.parts.id": 9}), false),
        (json!({"items.sku": "B-2"}), false),
        (json!({"items.$": 3}), true),
        (json!({"tags.$": {"$startsWith": "al"}}), true),
        (json!({"matrix.$.$": 3}), true),
        (json!({"matrix.$": 3}), true),
        (json!({"none.$": {"$exist": true}}), false),
        (json!({"plan.$": "pro"}), false),
        // All conditions of one object on the same element.
        (json!({"items.$": {"sku": "A-1", "count": 5}}), false),
        (json!({"items.$": {"sku": "B-2", "count": 5}}), true),
        (json!({"items.$.sku": "A-1", "items.$.count": 5}), true),
        (json!({"items": {"$": {"sku": "B-2", "count": 5}}}), true),
        (json!({"items.$.count": {"$gt": 1, "$lt": 5}}), false),
        (json!({"items.$.count": {"$gt": 1, "$lt": 6}}), true),
        // Negations are the exact opposite: no element may.
        (json!({"items.$.sku": {"$neq": "A-1"}}), false),
        (json!({"items.$.sku": {"$neq": "C-3"}}), true),
        (json!({"items.$.sku": {"$nin": ["A-1", "X"]}}), false),
        (json!({"items.$.sku": {"$not": {"$startsWith": "C"}}}), true),
        (json!({"items.$.sku": {"$exist": false}}), false),
        (json!({"items.$.colour": {"$exist": false}}), true),
        (json!({"items.$.count": {"$gt": 7, "$neq": 1}}), false),
        (json!({"items.$.count": {"$gt": 7, "$neq": 2}}), true),
        (json!({"items.$": {"sku": {"$exist": false}, "count": 8}}), true),
        (json!({"items.$": {"sku": {"$exist": false}, "count": 5}}), false),
    ];
    let data = data();
    for (filter, expected) in cases {
        assert_eq!(matches(&filter, &data), expected, "{filter}");
        let explained = Filter::parse(&filter).expect("a filter").explain(&data);
        assert_eq!(explained.is_none(), expected, "{filter} {explained:?}");
    }
}

#[test]
fn data_need_not_be_an_object() {
    let list = json!([{"sku": "A-1"}, {"sku": "B-2"}]);
    assert!(matches(&json!({"$.sku": "B-2"}), &list));
    assert!(matches(&json!({"$": {"sku": "B-2"}}), &list));
    assert!(!matches(&json!({"sku": "B-2"}), &list));
    for scalar in [json!(5), json!("x"), Value::Null] {
        assert!(matches(&json!({}), &scalar));
        assert!(!matches(&json!({"a": 1}), &scalar));
        assert!(matches(&json!({"a": {"$exist": false}}), &scalar));
    }
}

#[test]
fn bad_filters_are_refused_by_path_and_operator() {
    let cases = [
        (json!(5), "invalid filter: it is not a JSON object"),
        (json!([]), "invalid filter: it is not a JSON object"),
        (json!(null), "invalid filter: it is not a JSON object"),
        (json!({"a": {"b": {"$like": 1}}}), "invalid filter at \"a.b\": unknown operator $like"),
        (json!({"a": {"$ne": 1}}), "invalid filter at \"a\": unknown operator $ne"),
        (json!({"$gt": 5}), "invalid filter: operator $gt outside a key"),
        (json!({"$nor": []}), "invalid filter: unknown operator $nor"),
        (json!({"a": {"$gt": "x"}}), "invalid filter at \"a\": $gt \"x\""),
        (json!({"a": {"$lte": null}}), "invalid filter at \"a\": $lte null"),
        (json!({"a": {"$in": "x"}}), "invalid filter at \"a\": $in \"x\""),
        (json!({"a": {"$exist": 1}}), "invalid filter at \"a\": $exist 1"),
        (json!({"a": {"$startsWith": 1}}), "invalid filter at \"a\": $startsWith 1"),
        (json!({"a": {"$regex": "(a"}}), "invalid filter at \"a\": $regex: unclosed group"),
        (
            json!({"a": {"$regex": "(?=a)"}}),
            "invalid filter at \"a\": $regex: look-around, including look-ahead and look-behind, is not supported",
        ),
        (
            json!({"a": {"$regex": "\\w{900}"}}),
            "invalid filter at \"a\": $regex: Compiled regex exceeds size limit of 262144 bytes.",
        ),
        (json!({"$and": {"a": 1}}), "invalid filter: $and {\"a\":1}"),
        (json!({"$or": []}), "invalid filter: $or []"),
        (json!({"$or": [5]}), "invalid filter: $or 5"),
        (json!({"$not": 5}), "invalid filter: $not 5"),
        (json!({"a": {}}), "invalid filter at \"a\": {} is no condition"),
        (json!({"a": {"b": {}}}), "invalid filter at \"a.b\": {} is no condition"),
        (json!({"a..b": 1}), "invalid filter at \"a..b\": not a usable key"),
        (json!({"": 1}), "invalid filter: not a usable key"),
        (json!({"age.$gt": 1}), "invalid filter at \"age.$gt\": not a usable key"),
    ];
    for (filter, message) in cases {
        let error = Filter::parse(&filter).expect_err(&filter.to_string());
        assert_eq!(error.to_string(), message, "{filter}");
        assert!(!error.hint().is_empty());
    }
}

#[test]
fn size_depth_and_regexes_are_bounded() {
    let nest = |depth: usize| (1..depth).fold(json!({"a": 1}), |inner, _| json!({"$not": inner}));
    assert!(Filter::parse(&nest(8)).is_ok());
    assert!(matches!(Filter::parse(&nest(9)), Err(FilterError::TooDeep { .. })));
    let keys = (0..8).fold(json!(1), |inner, _| json!({"a": inner}));
    assert!(Filter::parse(&keys).is_ok());
    assert_eq!(
        Filter::parse(&json!({"b": keys})).expect_err("nine").to_string(),
        "invalid filter at \"b.a.a.a.a.a.a.a\": nested too deep"
    );
    assert!(Filter::parse(&json!({"a": "x".repeat(16 * 1024 - 8)})).is_ok());
    assert_eq!(
        Filter::parse(&json!({"a": "x".repeat(16 * 1024 - 7)})).map(|_| ()),
        Err(FilterError::TooLarge { bytes: 16 * 1024 + 1 })
    );
    let regexes = |count: usize| json!({"$or": vec![json!({"a": {"$regex": "x"}}); count]});
    assert!(Filter::parse(&regexes(32)).is_ok());
    assert!(matches!(Filter::parse(&regexes(33)), Err(FilterError::TooManyRegexes { .. })));
}

#[test]
fn the_first_clause_that_fails_is_named() {
    let cases = [
        (json!({"plan": "pro", "seats": 13, "note": "x"}), "seats is 12, which does not meet $eq 13"),
        (
            json!({"user": {"role": {"$in": ["owner", 1]}}}),
            "user.role is \"admin\", which does not meet $in [\"owner\",1]",
        ),
        (json!({"user.team": {"$gt": 5}}), "user.team is absent, which does not meet $gt 5"),
        (json!({"plan": {"$neq": "pro"}}), "plan is \"pro\", which does not meet not ($eq \"pro\")"),
        (json!({"absent": {"$exist": true}}), "absent is absent, which does not meet $exist true"),
        (json!({"items.$.sku": "C-3"}), "no value at items.$.sku meets $eq \"C-3\""),
        (json!({"items.$.sku": {"$neq": "A-1"}}), "a value at items.$.sku meets $eq \"A-1\""),
        (
            json!({"items.$": {"sku": "A-1", "count": 5}}),
            "no value at items.$ meets sku $eq \"A-1\" and count $eq 5",
        ),
        (
            json!({"$or": [{"plan": "free"}, {"seats": {"$lt": 3}}]}),
            "plan $eq \"free\" or seats $lt 3 does not hold",
        ),
        (json!({"$not": {"plan": "pro"}}), "plan is \"pro\", which does not meet not ($eq \"pro\")"),
        (
            json!({"email": {"$regex": "^x"}}),
            "email is \"jane@example.com\", which does not meet $regex \"^x\"",
        ),
    ];
    for (filter, expected) in cases {
        let filter = Filter::parse(&filter).expect("a filter");
        assert_eq!(filter.explain(&data()).as_deref(), Some(expected));
    }
    let long = Filter::parse(&json!({"a": "x".repeat(5000)})).expect("a filter");
    assert!(long.explain(&json!({"a": "y".repeat(5000)})).is_some_and(|text| text.len() < 300));
}
