//! `hookproof k8s-job`.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use clap::builder::RangedU64ValueParser;

use crate::catalogue::load::{Source, load};
use crate::cluster::agent_image;
use crate::cluster::cache::Cache;
use crate::cluster::command::find;
use crate::observe::connect::{self, ConnectError};
use crate::report::output::Output;
use crate::run::job::{Indexed, Running};
use crate::run::plan::Plan;

use super::exit::{Exit, Failure};
use super::links::Links;
use super::rbac::{self, ACCOUNT, AccountArgs};
use super::report::{publish, read};
use super::run::duration;
use super::suites::Words;

/// Print manifests that run the built-in suites in the cluster under test, or collect the results
///
/// The manifests contain an Indexed Job, in which each index runs a shard, and its service account with the permissions
/// that the selected claims need. The nodes need the runner image and the agent image: `hookproof runner-image` and
/// `hookproof agent-image` push them, or load them onto kind clusters.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct JobArgs {
    #[command(subcommand)]
    collect: Option<Collect>,
    #[command(flatten)]
    selection: Words,
    /// Number of pods that run the claims in parallel, each a part of about the same duration
    #[arg(long, value_name = "N", required = true, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1000))]
    shards: Option<usize>,
    /// Name of the Job, and heading of the run in reports
    #[arg(long, value_name = "NAME", default_value = "hookproof", value_parser = rbac::name)]
    name: String,
    #[command(flatten)]
    account: AccountArgs,
    /// Runner image that the nodes have or can pull
    #[arg(long, value_name = "NAME", required = true)]
    image: Option<String>,
    /// Agent image that the nodes have or can pull [default: the one that `hookproof agent-image` prints]
    #[arg(long, value_name = "NAME")]
    agent_image: Option<String>,
    /// nginx image that the nodes have or can pull; without it the claims that need it are not applicable
    #[arg(long, value_name = "NAME")]
    nginx_image: Option<String>,
    /// Scenarios that a shard runs in parallel [default: four per core of its node, divided by the number of shards]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    jobs: Option<usize>,
    /// Further arguments of `hookproof run`, after `--`
    #[arg(last = true, value_name = "ARG")]
    more: Vec<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Collect {
    /// Wait until all shards have ended, merge their results, and let the pods end
    Collect(CollectArgs),
}

#[derive(Debug, clap::Args)]
struct CollectArgs {
    /// Folder for the merged results; results of an earlier run are replaced
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: Utf8PathBuf,
    /// Name of the Job
    #[arg(long, value_name = "NAME", default_value = "hookproof", value_parser = rbac::name)]
    name: String,
    #[command(flatten)]
    account: AccountArgs,
    /// Kubeconfig context of the cluster [default: the current one]
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
    /// Kubeconfig that contains the context
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<Utf8PathBuf>,
    /// kubectl that copies the results [default: the one on PATH]
    #[arg(long, value_name = "FILE")]
    kubectl: Option<Utf8PathBuf>,
    /// Limit of the wait, such as 30m
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    links: Links,
}

pub(super) async fn job(args: &JobArgs) -> Result<Exit, Failure> {
    match &args.collect {
        Some(Collect::Collect(collect)) => self::collect(collect).await,
        None => print(args),
    }
}

fn print(args: &JobArgs) -> Result<Exit, Failure> {
    let catalogue = load(&[Source::BuiltIn]).checked().map_err(Failure::usage)?;
    let plan = Plan::new(&catalogue, &args.selection.select(&catalogue)?, None);
    let scenarios: Vec<_> = plan.of(&catalogue).collect();
    let namespace = &args.account.namespace;
    let agent = match &args.agent_image {
        Some(name) => name.clone(),
        None => agent_image::assemble(Cache::open()?.root())?.tag,
    };
    let mut words = args.selection.words.clone();
    let skip = &args.selection.skip;
    words.extend(skip.iter().map(|word| format!("--skip={word}")));
    words.push(format!("--label={}", args.name));
    words.push(format!("--agent-image={agent}"));
    let nginx = args.nginx_image.as_ref();
    words.extend(nginx.map(|name| format!("--nginx-image={name}")));
    words.extend(args.more.iter().cloned());
    let job = Indexed {
        namespace,
        name: &args.name,
        account: ACCOUNT,
        image: args.image.as_deref().unwrap_or_default(),
        shards: args.shards.unwrap_or(1),
        jobs: args.jobs,
        args: words,
    };
    let account = rbac::account(&scenarios, namespace)?;
    line!("{}---\n{}", account.to_yaml(), job.manifest());
    Ok(Exit::AsExpected)
}

async fn collect(args: &CollectArgs) -> Result<Exit, Failure> {
    let client = connect::client(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
    let kubectl = args.kubectl.clone().or_else(|| find("kubectl"));
    let mut kubectl = vec![kubectl.ok_or(ConnectError::NoKubectl)?.to_string()];
    let (kubeconfig, context) = (args.kubeconfig.as_ref(), args.context.as_ref());
    kubectl.extend(kubeconfig.map(|file| format!("--kubeconfig={file}")));
    kubectl.extend(context.map(|context| format!("--context={context}")));
    let running = Running {
        client,
        kubectl,
        namespace: args.account.namespace.clone(),
        name: args.name.clone(),
    };
    let copies = tempfile::tempdir().map_err(|e| {
        Failure::infrastructure(format!("failed to create a temporary directory: {e}"))
    })?;
    let into = Utf8Path::from_path(copies.path())
        .ok_or_else(|| Failure::infrastructure("the temporary directory is not UTF-8"))?;
    let out = Output::new(&args.out, &[]).map_err(Failure::usage)?;
    let say = |text: String| note!("{text}");
    let shards = running
        .copy(into, args.timeout, say)
        .await
        .map_err(Failure::infrastructure)?;
    let folders: Vec<_> = shards.iter().map(|shard| shard.folder.clone()).collect();
    let parts = read(&folders).map_err(Failure::infrastructure)?;
    let (exit, _) = publish(parts, Some(out), args.links.base())?;
    running
        .release(&shards)
        .await
        .map_err(Failure::infrastructure)?;
    Ok(exit)
}
