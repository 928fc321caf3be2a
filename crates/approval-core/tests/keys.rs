//! Credentials never widen, and only a person decides (contract section 6, G6).

use approval_core::*;
use proptest::prelude::*;

use crate::fixtures::{code, desktop_id, human, human_without, invalid_field, principal, service};

/// The most a kind may have, as the contract's table says it.
fn most(kind: ActorKind) -> &'static [&'static str] {
    match kind {
        ActorKind::Human | ActorKind::System => &[
            "tasks:read",
            "tasks:write",
            "tasks:run",
            "approvals:decide",
            "settings:write",
            "desktops:write",
            "keys:write",
        ],
        ActorKind::Service => &["tasks:read", "tasks:write", "tasks:run"],
        ActorKind::Agent => &["tasks:read", "tasks:write"],
    }
}

fn set(texts: &[&str]) -> Capabilities {
    texts
        .iter()
        .map(|t| t.parse::<Capability>().expect("a capability"))
        .collect()
}

fn any_capabilities() -> impl Strategy<Value = Vec<Capability>> {
    prop::sample::subsequence(Capability::ALL.to_vec(), 0..=Capability::ALL.len())
}

/// Any credential, also one that claims what its kind may never have.
fn any_minter() -> impl Strategy<Value = Principal> {
    // the two capabilities that minting takes are mostly there, or nearly all pairs are refused
    let minting = prop::bool::weighted(0.8);
    (
        prop::sample::select(ActorKind::ALL),
        any_capabilities(),
        minting,
    )
        .prop_map(|(kind, mut has, minting)| {
            if minting {
                has.extend([Capability::KeysWrite, Capability::DesktopsWrite]);
            }
            principal(kind, has.into_iter().collect())
        })
}

fn any_request() -> impl Strategy<Value = KeyRequest> {
    let kind = prop::sample::select(KeyKind::ALL);
    (
        kind,
        prop::option::of(any_capabilities()),
        prop::bool::weighted(0.8),
    )
        .prop_map(|(kind, capabilities, right)| KeyRequest {
            name: "deploy".to_owned(),
            kind,
            capabilities,
            desktop: ((kind == KeyKind::Agent) == right).then(|| desktop_id(1)),
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A6: 5,000 random pairs, none widens. What is granted is within the minter, the kind and the
    /// request; it is exactly what was asked for when that was named.
    #[test]
    fn no_minter_hands_out_more_than_it_has(minter in any_minter(), request in any_request()) {
        let Ok(grant) = request.grant(&minter) else { return Ok(()) };
        let kind = request.kind.actor();
        prop_assert_eq!(grant.kind, request.kind);
        prop_assert!(grant.capabilities.is_subset(minter.capabilities));
        prop_assert!(grant.capabilities.is_subset(set(most(minter.identity.kind))));
        prop_assert!(grant.capabilities.is_subset(set(most(kind))));
        if let Some(wanted) = &request.capabilities {
            prop_assert_eq!(grant.capabilities, wanted.iter().copied().collect());
        }
        prop_assert!(matches!(minter.identity.kind, ActorKind::Human | ActorKind::System));
        prop_assert!(minter.capabilities.has(Capability::KeysWrite));
        prop_assert!(request.kind != KeyKind::Agent || minter.capabilities.has(Capability::DesktopsWrite));
        prop_assert_eq!(grant.desktop.is_some(), request.kind == KeyKind::Agent);
        // and the new key itself: decides only if it is a person's and its minter could hand that on
        let new = Principal { desktop: grant.desktop, ..principal(kind, grant.capabilities) };
        let may_decide = minter.capabilities.has(Capability::ApprovalsDecide) && kind == ActorKind::Human;
        prop_assert!(Reviewer::of(&new).is_err() || may_decide);
    }

    /// What the minter has and the kind allows is granted: the rule is no wall.
    #[test]
    fn a_fitting_request_is_granted(has in any_capabilities(), request in any_request()) {
        let minting = [Capability::KeysWrite, Capability::DesktopsWrite];
        let minter = principal(ActorKind::Human, has.into_iter().chain(minting).collect());
        let fits = request.capabilities.iter().flatten().all(|c| {
            minter.capabilities.has(*c) && set(most(request.kind.actor())).has(*c)
        });
        let bound = request.desktop.is_some() == (request.kind == KeyKind::Agent);
        prop_assert_eq!(request.grant(&minter).is_ok(), fits && bound);
    }
}

#[test]
fn every_kind_holds_to_the_table_of_the_contract() {
    for kind in ActorKind::ALL {
        assert_eq!(kind.ceiling(), set(most(*kind)), "{kind}");
        for capability in Capability::ALL {
            let claims_all = principal(*kind, Capabilities::ALL);
            let allowed = most(*kind).contains(&capability.as_str());
            assert_eq!(
                claims_all.require(*capability).is_ok(),
                allowed,
                "{kind} {capability}"
            );
            let has_none = principal(*kind, Capabilities::NONE);
            assert!(
                has_none.require(*capability).is_err(),
                "{kind} {capability}"
            );
        }
    }
    for kind in KeyKind::ALL {
        assert_eq!(kind.as_str(), kind.actor().as_str());
        assert_eq!(kind.ceiling(), set(most(kind.actor())));
    }
}

#[test]
fn only_a_person_with_the_capability_becomes_a_reviewer() {
    for kind in ActorKind::ALL {
        for has in [
            Capabilities::NONE,
            [Capability::ApprovalsDecide].into_iter().collect(),
            Capabilities::ALL,
        ] {
            let credential = principal(*kind, has);
            let expected = *kind == ActorKind::Human && has != Capabilities::NONE;
            let reviewer = Reviewer::of(&credential);
            assert_eq!(reviewer.is_ok(), expected, "{kind} {has:?}");
            if let Ok(reviewer) = reviewer {
                assert_eq!(*reviewer.identity(), credential.identity);
            }
        }
    }
    let clerk = human_without(Capability::ApprovalsDecide);
    assert!(Reviewer::of(&clerk).is_err());
}

#[test]
fn an_unnamed_wish_gets_the_default_of_its_kind() {
    let ask = |kind, minter: &Principal| {
        let request = KeyRequest {
            name: "ci".to_owned(),
            kind,
            capabilities: None,
            desktop: (kind == KeyKind::Agent).then(|| desktop_id(1)),
        };
        request.grant(minter).map(|g| g.capabilities)
    };
    let all = human();
    assert_eq!(ask(KeyKind::Human, &all), Ok(Capabilities::ALL));
    assert_eq!(
        ask(KeyKind::Service, &all),
        Ok(set(&["tasks:read", "tasks:write", "tasks:run"]))
    );
    assert_eq!(ask(KeyKind::Agent, &all), Ok(Capabilities::NONE));
    let clerk = human_without(Capability::ApprovalsDecide);
    assert_eq!(ask(KeyKind::Human, &clerk), Ok(clerk.capabilities));
    let keys_only = principal(ActorKind::Human, set(&["keys:write"]));
    assert_eq!(ask(KeyKind::Service, &keys_only), Ok(Capabilities::NONE));
    assert_eq!(
        ask(KeyKind::Agent, &keys_only).map_err(|r| code(&r)),
        Err("forbidden")
    );
    assert_eq!(
        ask(KeyKind::Human, &service()).map_err(|r| code(&r)),
        Err("forbidden")
    );
    assert_eq!(
        ask(KeyKind::Human, &Principal::system()),
        Ok(Capabilities::ALL)
    );
}

/// Authority is answered before the form of the request (contract section 0).
#[test]
fn a_wish_beyond_the_minter_is_forbidden_and_one_beyond_the_kind_is_wrong() {
    let ask = |kind, wanted: &[Capability], desktop: bool, minter: &Principal| {
        KeyRequest {
            name: String::from(" "),
            kind,
            capabilities: Some(wanted.to_vec()),
            desktop: desktop.then(|| desktop_id(1)),
        }
        .grant(minter)
    };
    let decide = [Capability::ApprovalsDecide];
    let clerk = human_without(Capability::ApprovalsDecide);
    let beyond_minter = ask(KeyKind::Human, &decide, true, &clerk);
    assert_eq!(beyond_minter.map_err(|r| code(&r)), Err("forbidden"));

    let named = |kind, wanted: &[Capability], desktop: bool| {
        let request = KeyRequest {
            name: "ci".to_owned(),
            kind,
            capabilities: Some(wanted.to_vec()),
            desktop: desktop.then(|| desktop_id(1)),
        };
        invalid_field(Invalid::Key, request.grant(&human()))
    };
    assert_eq!(
        named(KeyKind::Service, &decide, false),
        Some("capabilities")
    );
    assert_eq!(named(KeyKind::Agent, &decide, true), Some("capabilities"));
    assert_eq!(
        named(KeyKind::Agent, &[Capability::TasksRun], true),
        Some("capabilities")
    );
    assert_eq!(named(KeyKind::Agent, &[], false), Some("desktopId"));
    assert_eq!(named(KeyKind::Human, &[], true), Some("desktopId"));
    assert_eq!(named(KeyKind::Service, &[], true), Some("desktopId"));
    assert_eq!(named(KeyKind::Agent, &[Capability::TasksWrite], true), None);
}

#[test]
fn capabilities_are_a_set() {
    let some = set(&["tasks:run", "tasks:read", "tasks:run"]);
    let listed: Vec<&str> = some.iter().map(Capability::as_str).collect();
    assert_eq!(listed, ["tasks:read", "tasks:run"]);
    assert!(Capabilities::NONE.is_subset(some) && some.is_subset(Capabilities::ALL));
    assert!(!Capabilities::ALL.is_subset(some) && !some.is_subset(set(&["tasks:read"])));
    assert_eq!(
        some.intersection(set(&["tasks:read", "keys:write"])),
        set(&["tasks:read"])
    );
    assert_eq!(Capabilities::ALL.iter().count(), Capability::ALL.len());
    assert_eq!(format!("{some:?}"), r#"{"tasks:read", "tasks:run"}"#);
}
