use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1;
use proptest::prelude::*;

use super::*;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn label_selector(text: &str) -> LabelSelector {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn label_selectors_print_in_canonical_form() {
    for (text, canonical) in [
        ("", ""),
        ("  ", ""),
        ("x", "x"),
        (" ! x ", "!x"),
        ("x=a", "x=a"),
        ("x == a", "x=a"),
        ("x!=a", "x!=a"),
        ("x=", "x="),
        ("x=,y", "x=,y"),
        ("z=1,a in (b, a,a)", "a in (a,b),z=1"),
        ("x notin (b)", "x!=b"),
        ("x in (,)", "x="),
        ("x in (a,,b)", "x in (,a,b)"),
        ("x in (a,)", "x in (,a)"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("in", "in"),
        ("x>5,y<2", "x>5,y<2"),
        ("example.com/app\n=web", "example.com/app=web"),
    ] {
        assert_eq!(label_selector(text).to_string(), canonical, "{text}");
    }
}

#[test]
fn bad_label_selectors_are_refused_in_upstreams_words() {
    for (text, error) in [
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("x,", "found '', expected: identifier after ','"),
        ("x y", "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt"),
        ("!x=a", "found '=', expected: ',' or 'end of string'"),
        ("x==a=b", "found '=', expected: ',' or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("x in a", "unable to parse requirement: found 'a' expected: '('"),
        ("x in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("x in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        (
            "x in ()",
            "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
        ),
        (
            "x>a",
            "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ] {
        assert_eq!(text.parse::<LabelSelector>().map_err(|error| error.to_string()), Err(error.to_owned()), "{text}");
    }
    let error = "a@b=c".parse::<LabelSelector>().unwrap_err().to_string();
    assert!(error.starts_with("unable to parse requirement: <nil>: Invalid value: \"a@b\": name part"), "{error}");
    let error = "a=$".parse::<LabelSelector>().unwrap_err().to_string();
    assert!(error.starts_with("unable to parse requirement: values[0][a]: Invalid value: \"$\": a valid label"));
}

#[test]
fn label_selectors_match_as_documented() {
    let web = labels(&[("app", "web"), ("weight", "10")]);
    for (text, expected) in [
        ("", true),
        ("app", true),
        ("!app", false),
        ("app=web", true),
        ("app!=web", false),
        ("tier!=a", true),
        ("tier=a", false),
        ("app in (web,db)", true),
        ("app notin (web,db)", false),
        ("weight>9", true),
        ("weight>10", false),
        ("weight<11,app", true),
        ("app>1", false),
        ("other<1", false),
    ] {
        assert_eq!(label_selector(text).matches(Some(&web)), expected, "{text}");
    }
    assert!(label_selector("!x").matches(None));
}

#[test]
fn the_selector_of_a_workload_becomes_one_of_requirements() {
    let selector = v1::LabelSelector {
        match_labels: Some(labels(&[("app", "web")])),
        match_expressions: Some(vec![v1::LabelSelectorRequirement {
            key: "tier".to_owned(),
            operator: "NotIn".to_owned(),
            values: Some(vec!["b".to_owned(), "a".to_owned()]),
        }]),
    };
    let ours = LabelSelector::try_from(&selector).expect("valid");
    assert_eq!(ours.to_string(), "app=web,tier notin (a,b)");
    assert!(LabelSelector::try_from(&v1::LabelSelector::default()).expect("valid").is_empty());

    let mut bad = selector;
    bad.match_expressions.as_mut().expect("set")[0].operator = "Near".to_owned();
    let error = LabelSelector::try_from(&bad).unwrap_err();
    assert_eq!(error.to_string(), "\"Near\" is not a valid label selector operator");
}

#[test]
fn field_selectors_read_and_print() {
    for (text, canonical) in [
        ("", ""),
        (",", ""),
        ("status.phase!=Running,metadata.name==a", "metadata.name=a,status.phase!=Running"),
        (r"a=x\,y", r"a=x\,y"),
        (r"a=\\\=", r"a=\\\="),
        ("a=", "a="),
    ] {
        let selector: FieldSelector = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(selector.to_string(), canonical, "{text}");
    }
    let selector: FieldSelector = "spec.nodeName=n1,metadata.name!=x".parse().expect("valid");
    assert_eq!(selector.wanted("spec.nodeName"), Some("n1"));
    assert_eq!(selector.wanted("metadata.name"), None);
}

#[test]
fn bad_field_selectors_are_refused_in_upstreams_words() {
    for (text, error) in [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("b=1,a", "invalid selector: 'b=1,a'; can't understand 'a'"),
        (r"a=\b", r"invalid field selector: invalid escape sequence: \b"),
        (r"a=b\", r"invalid field selector: invalid escape sequence: \"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
    ] {
        assert_eq!(text.parse::<FieldSelector>().map_err(|error| error.to_string()), Err(error.to_owned()), "{text}");
    }
}

proptest! {
    #[test]
    fn printed_label_selectors_read_back_the_same(
        terms in proptest::collection::vec(
            prop_oneof![
                "[a-z]{1,3}", "![a-z]{1,3}", "[a-z]{1,3}(=|!=)[a-z]{0,3}", "[a-z]{1,3} (in|notin) \\([a-z]{0,2}(,[a-z]{0,2}){1,3}\\)",
                "[a-z]{1,3}[<>][0-9]{1,3}",
            ],
            0..5,
        )
    ) {
        let selector: LabelSelector = terms.join(",").parse().expect("well formed");
        prop_assert_eq!(selector.to_string().parse::<LabelSelector>(), Ok(selector));
    }

    #[test]
    fn printed_field_selectors_read_back_the_same(fields in proptest::collection::btree_map("[a-z.]{1,8}", r"[a-z=,\\]{0,6}", 0..4)) {
        let requirements = fields.into_iter().map(|(field, value)| FieldRequirement { field, value, equal: true }).collect();
        let selector = FieldSelector { requirements };
        let read = selector.to_string().parse::<FieldSelector>().expect("well formed");
        prop_assert_eq!(read.to_string(), selector.to_string().parse::<FieldSelector>().expect("well formed").to_string());
        for requirement in &selector.requirements {
            prop_assert!(read.requirements.contains(requirement));
        }
    }

    #[test]
    fn no_selector_panics(text in ".{0,20}") {
        let _ = (text.parse::<LabelSelector>(), text.parse::<FieldSelector>());
    }
}
