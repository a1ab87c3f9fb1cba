//! The algebra of filters, over random filters and data.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use webhook_wire::filter::Filter;

fn holds(filter: &Value, data: &Value) -> bool {
    Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}")).matches(data)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        (-3_i64..4).prop_map(|number| json!(number.to_string())),
        (-3_i64..4).prop_map(|number| json!(number as f64 / 2.0)),
        "[ab]{0,2}".prop_map(Value::from),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![(-3_i64..4).prop_map(Value::from), (-3_i64..4).prop_map(|number| json!(number.to_string()))]
}

fn data() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[abc]", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![4 => "[abc]", 1 => Just("$".to_owned())], 1..4)
        .prop_map(|steps| steps.join("."))
}

fn condition() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        scalar(),
        data().prop_map(|value| json!({"$eq": value})),
        scalar().prop_map(|value| json!({"$neq": value})),
        (prop_oneof!["\\$gte?", "\\$lte?"], number()).prop_map(|(operator, bound)| json!({operator: bound})),
        (prop_oneof!["\\$in", "\\$nin"], prop::collection::vec(scalar(), 0..3))
            .prop_map(|(operator, values)| json!({operator: values})),
        any::<bool>().prop_map(|wanted| json!({"$exist": wanted})),
        (prop_oneof!["\\$startsWith", "\\$endsWith", "\\$regex"], "[ab]{0,2}")
            .prop_map(|(operator, text)| json!({operator: text})),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|condition| json!({"$not": condition})),
            (prop_oneof!["\\$and", "\\$or"], prop::collection::vec(inner.clone(), 1..3))
                .prop_map(|(operator, conditions)| json!({operator: conditions})),
            (path(), inner).prop_map(|(path, condition)| json!({path: condition})),
        ]
    })
}

fn filter() -> impl Strategy<Value = Value> {
    prop::collection::vec((path(), condition()), 0..3)
        .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
}

proptest! {
    #[test]
    fn not_and_or(a in filter(), b in filter(), data in data()) {
        let (left, right) = (holds(&a, &data), holds(&b, &data));
        prop_assert_eq!(holds(&json!({"$not": a}), &data), !left);
        prop_assert_eq!(holds(&json!({"$not": {"$not": a}}), &data), left);
        prop_assert_eq!(holds(&json!({"$and": [a, b]}), &data), left && right);
        prop_assert_eq!(holds(&json!({"$or": [a, b]}), &data), left || right);
        prop_assert_eq!(holds(&json!({"$or": [a]}), &data), left);
        // De Morgan.
        prop_assert_eq!(
            holds(&json!({"$not": {"$or": [a, b]}}), &data),
            holds(&json!({"$and": [{"$not": a}, {"$not": b}]}), &data)
        );
    }

    #[test]
    fn an_object_is_the_and_of_its_keys(filter in filter(), data in data()) {
        let each = filter.as_object().expect("an object").iter().all(|(key, value)| holds(&json!({key: value}), &data));
        prop_assert_eq!(holds(&filter, &data), each);
    }

    #[test]
    fn negations_are_opposites(path in path(), value in scalar(), values in prop::collection::vec(scalar(), 0..3),
                               condition in condition(), data in data()) {
        let at = |condition: Value| holds(&json!({&path: condition}), &data);
        prop_assert_ne!(at(json!({"$eq": value})), at(json!({"$neq": value})));
        prop_assert_eq!(at(json!({"$eq": value})), at(value.clone()));
        prop_assert_ne!(at(json!({"$in": values})), at(json!({"$nin": values})));
        prop_assert_eq!(at(json!({"$in": [value]})), at(json!({"$eq": value})));
        prop_assert_ne!(at(json!({"$exist": true})), at(json!({"$exist": false})));
        prop_assert_ne!(at(condition.clone()), at(json!({"$not": condition})));
    }

    #[test]
    fn in_is_the_or_of_eq(path in path(), values in prop::collection::vec(scalar(), 1..4), data in data()) {
        let either: Vec<_> = values.iter().map(|value| json!({&path: value})).collect();
        prop_assert_eq!(holds(&json!({&path: {"$in": values}}), &data), holds(&json!({"$or": either}), &data));
    }

    #[test]
    fn nested_keys_are_dotted_keys(head in "[abc]", tail in path(), condition in condition(), data in data()) {
        let nested = json!({&head: {&tail: condition}});
        let dotted = json!({format!("{head}.{tail}"): condition});
        prop_assert_eq!(holds(&nested, &data), holds(&dotted, &data));
    }

    #[test]
    fn order_is_total_over_numbers(path in "[abc]", bound in number(), data in data()) {
        let at = |operator: &str| holds(&json!({&path: {operator: bound}}), &data);
        let (less, equal, greater) = (at("$lt"), at("$eq"), at("$gt"));
        prop_assert!(u8::from(less) + u8::from(greater) <= 1);
        prop_assert_eq!(at("$gte") && !greater, at("$lte") && !less);
        if at("$gte") && at("$lte") {
            prop_assert!(equal);
        }
        if (less || greater) && !data[&path].is_array() {
            prop_assert!(!equal);
        }
    }

    #[test]
    fn an_absent_key_accepts_only_negations(condition in condition()) {
        let holds = holds(&json!({"absent": condition}), &json!({}));
        let text = condition.to_string();
        let negation = ["$neq", "$nin", "$not", "{\"$exist\":false}"].iter().any(|word| text.contains(word));
        prop_assert!(!holds || negation, "{}", text);
    }

    #[test]
    fn an_explanation_is_there_exactly_when_needed(filter in filter(), data in data()) {
        let parsed = Filter::parse(&filter).expect("a filter");
        prop_assert_eq!(parsed.explain(&data).is_none(), parsed.matches(&data));
    }

    #[test]
    fn any_json_is_a_filter_or_refused(filter in data(), data in data()) {
        if let Ok(filter) = Filter::parse(&filter) {
            let _ = filter.matches(&data);
        }
    }
}
