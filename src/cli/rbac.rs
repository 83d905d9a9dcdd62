//! `hookproof rbac`.

use itertools::Itertools as _;

use crate::catalogue::capability::{CLUSTER_OBJECTS, KNOWN};
use crate::catalogue::model::Scenario;
use crate::observe::rbac::{Account, Rules};
use crate::run::plan::Plan;

use super::exit::{Exit, Failure};
use super::print::out;
use super::suites::Selection;

/// Print the permissions that `run --context` needs, as manifests for `kubectl apply`
#[derive(Debug, clap::Args)]
pub(super) struct RbacArgs {
    #[command(flatten)]
    selection: Selection,
    /// Capabilities to include: scenarios that need another one are left out [default: all]
    #[arg(long = "capability", value_name = "NAME", value_parser = capability)]
    capabilities: Option<Vec<String>>,
    #[command(flatten)]
    account: AccountArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct AccountArgs {
    /// Namespace of the service account
    #[arg(long, value_name = "NAME", default_value = "hookproof", value_parser = name)]
    pub(super) namespace: String,
}

/// Name of the service account.
pub(super) const ACCOUNT: &str = "hookproof";

pub(super) fn rbac(args: &RbacArgs) -> Result<Exit, Failure> {
    let (catalogue, claims) = args.selection.load()?;
    let plan = Plan::new(&catalogue, &claims, None);
    let allowed = |scenario: &&Scenario| {
        let needs = &scenario.needs.capabilities;
        let given = args.capabilities.as_ref();
        given.is_none_or(|given| needs.iter().all(|need| given.contains(need)))
    };
    let scenarios: Vec<_> = plan.of(&catalogue).filter(allowed).collect();
    let account = account(&scenarios, &args.account.namespace)?;
    out(&account.to_yaml());
    Ok(Exit::AsExpected)
}

/// The service account with the permissions that runs of these scenarios need.
pub(super) fn account<'a>(
    scenarios: &[&'a Scenario],
    namespace: &'a str,
) -> Result<Account<'a>, Failure> {
    let rules = |mut rules: Rules, capability: Option<&str>| {
        let needs_it = |scenario: &&&Scenario| {
            scenario.needs.capabilities.first().map(String::as_str) == capability
        };
        for scenario in scenarios.iter().filter(needs_it) {
            rules.add_scenario(scenario).map_err(|place| {
                Failure::usage(format!(
                    "{place}: cannot derive the permissions that this needs; leave out {} with --skip",
                    scenario.id
                ))
            })?;
            if scenario.declares(CLUSTER_OBJECTS) {
                rules.add_cluster_roles();
            }
        }
        Ok::<_, Failure>(rules)
    };
    let base = rules(Rules::of_a_run(), None)?;
    let more = KNOWN.iter().map(|(capability, _)| {
        let own = rules(Rules::default(), Some(capability))?;
        Ok((*capability, own.without(&base)))
    });
    Ok(Account {
        namespace,
        name: ACCOUNT,
        more: more.collect::<Result<_, Failure>>()?,
        rules: base,
    })
}

fn capability(text: &str) -> Result<String, String> {
    let mut known = KNOWN.iter().map(|(known, _)| *known);
    if text == "none" || known.clone().contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected none, or one or more of {}",
        known.join(", ")
    ))
}

/// Parses the name of an object in Kubernetes.
pub(super) fn name(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = (1..=50).contains(&text.len()) && text.chars().all(inner);
    if is_name && !text.starts_with('-') && !text.ends_with('-') {
        return Ok(text.to_owned());
    }
    Err("expected at most 50 lower-case letters, digits and `-`".to_owned())
}
