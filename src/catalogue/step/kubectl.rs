//! What `kubectl` steps may do: commands and flags that act in the scenario's namespace and read no other files.

use camino::Utf8Path;
use itertools::Itertools as _;

/// Commands that act through the API server only, and whose permissions are known.
const COMMANDS: &str =
    "annotate api-resources apply attach create delete describe exec explain get label logs patch
    port-forward rollout scale set version wait";

/// Flags that select a cluster, a user or a namespace, read or write files, start programs, or listen beyond this
/// machine.
const FLAGS: &str = "address all-namespaces as as-group as-uid as-user-extra cache-dir cert certificate-authority
    client-certificate client-key cluster context edit env-file from-env-file from-file insecure-skip-tls-verify key
    kubeconfig kuberc kustomize log-dir log-file namespace output-directory password patch-file profile profile-output
    server ssh-privatekey template-file tls-server-name token user username";
/// Short flags with the same meaning.
const SHORT: [char; 4] = ['n', 's', 'A', 'k'];
/// Short flags whose value follows in the same word.
const VALUED: [char; 7] = ['o', 'c', 'l', 'L', 'v', 'p', 'e'];

/// Why a scenario must not run kubectl with these arguments. `folder` is the one that files must be in; while suites
/// are read, files can only be placeholders.
pub(crate) fn refused(args: &[String], folder: Option<&Utf8Path>) -> Option<String> {
    let command = args.first().map_or("", String::as_str);
    if !COMMANDS.split_whitespace().contains(&command) {
        return Some(format!(
            "kubectl steps cannot run `{command}`: they begin with a command that acts in the scenario's namespace, such as `get`"
        ));
    }
    // What follows is for a program in a container.
    let mut own = args.iter().take_while(|arg| *arg != "--");
    while let Some(arg) = own.next() {
        let refused = |flag: &str| {
            Some(format!(
                "kubectl steps cannot use `{flag}`: the runner selects cluster, user and namespace, and files come from `{{manifest}}` or `stdin`"
            ))
        };
        // The value of `-f`: in the same word, or else the next one.
        let mut file = None;
        if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = long.split_once('=').unzip();
            let name = name.unwrap_or(long);
            if FLAGS.split_whitespace().contains(&name) {
                return refused(&format!("--{name}"));
            }
            file = (name == "filename").then_some(value);
        } else if let Some(short) = arg.strip_prefix('-') {
            for (at, flag) in short.char_indices() {
                if SHORT.contains(&flag) {
                    return refused(&format!("-{flag}"));
                }
                if flag == 'f' && !["logs", "attach"].contains(&command) {
                    let rest = short[at + 1..].trim_start_matches('=');
                    file = Some(Some(rest).filter(|rest| !rest.is_empty()));
                    break;
                }
                if VALUED.contains(&flag) {
                    break;
                }
            }
        }
        // `-o jsonpath-file=PATH`, also in the next word.
        if arg.contains("-file=") {
            return refused(arg);
        }
        if let Some(value) = file {
            let file = value.or_else(|| own.next().map(String::as_str));
            if !file.is_some_and(|file| known(file, folder)) {
                return refused(&format!("-f {}", file.unwrap_or_default()));
            }
        }
    }
    None
}

fn known(file: &str, folder: Option<&Utf8Path>) -> bool {
    let placeholder = |word: &str| file.starts_with(&format!("{{{word}")) && file.ends_with('}');
    file == "-"
        || match folder {
            Some(folder) => {
                let path = Utf8Path::new(file);
                path.parent().and_then(Utf8Path::parent) == Some(folder)
                    && !path.as_str().contains("..")
            }
            None => placeholder("manifest") || placeholder("listing"),
        }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn of(text: &str) -> Option<String> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        refused(&words, None)
    }

    #[rstest]
    #[case("config view --raw", "config")]
    #[case("config set-context --current --namespace=kube-system", "config")]
    #[case("cp web:/etc/passwd /tmp/x", "cp")]
    #[case("proxy --port=0", "proxy")]
    #[case("plugin list", "plugin")]
    #[case("diff -f {manifest}", "diff")]
    #[case("--kubeconfig=/tmp/x get pods", "--kubeconfig=/tmp/x")]
    #[case("get pods --kubeconfig /dev/stdin", "--kubeconfig")]
    #[case("get pods --context=other", "--context")]
    #[case("get pods --as=system:admin", "--as")]
    #[case("get pods --as system:admin", "--as")]
    #[case("get pods --token=x", "--token")]
    #[case("get pods --server=https://example.org", "--server")]
    #[case("get pods -shttps://example.org", "-s")]
    #[case("get pods -n kube-system", "-n")]
    #[case("get pods -nkube-system", "-n")]
    #[case("exec -itn kube-system web -- id", "-n")]
    #[case("get pods --namespace=kube-system", "--namespace")]
    #[case("get secrets -A", "-A")]
    #[case("get secrets --all-namespaces", "--all-namespaces")]
    #[case("create configmap x --from-file=/etc/shadow", "--from-file")]
    #[case(
        "create configmap x --from-env-file /etc/environment",
        "--from-env-file"
    )]
    #[case("apply -f /etc/passwd", "-f /etc/passwd")]
    #[case("apply -f=https://example.org/x.yaml", "-f https://example.org/x.yaml")]
    #[case("apply -Rf .", "-f .")]
    #[case("apply --filename=x.yaml", "-f x.yaml")]
    #[case("apply -f", "-f ")]
    #[case("apply -k .", "-k")]
    #[case("get pods -o jsonpath-file=/etc/passwd", "jsonpath-file=/etc/passwd")]
    #[case(
        "get pods -ogo-template-file=/etc/passwd",
        "-ogo-template-file=/etc/passwd"
    )]
    #[case("create deployment x --edit --image=x", "--edit")]
    #[case("port-forward web 80 --address=0.0.0.0", "--address")]
    #[case("get pods --profile=cpu", "--profile")]
    fn what_leaves_the_namespace_is_refused(#[case] args: &str, #[case] named: &str) {
        let refused = of(args).unwrap_or_default();
        assert!(refused.contains(&format!("`{named}`")), "{args}: {refused}");
    }

    #[rstest]
    #[case("get pods -o name")]
    #[case("get pods -w")]
    #[case("logs -f web -c main")]
    #[case("exec -it web -- sh -n --kubeconfig /tmp/x")]
    #[case("apply --dry-run=server -f {listing:lab}")]
    #[case("create -f {manifest}")]
    #[case("create --raw /api/v1/namespaces/{namespace}/pods/x/eviction -f -")]
    #[case("get endpointslices -l kubernetes.io/service-name=x -o json")]
    #[case("delete pod x --grace-period=0 --force")]
    #[case("port-forward web 0:80 1:80")]
    fn what_stays_in_the_namespace_is_accepted(#[case] args: &str) {
        assert_eq!(of(args), None);
    }

    #[rstest]
    #[case("/tmp/x/files/0.json", true)]
    #[case("/tmp/x/kubeconfig", false)]
    #[case("/tmp/x/files/../../y/z", false)]
    #[case("/etc/passwd", false)]
    fn files_of_a_run_are_in_the_scenario_s_folder(#[case] file: &str, #[case] accepted: bool) {
        let args = ["apply", "-f", file].map(str::to_owned);
        assert_eq!(
            refused(&args, Some(Utf8Path::new("/tmp/x"))).is_none(),
            accepted
        );
    }
}
