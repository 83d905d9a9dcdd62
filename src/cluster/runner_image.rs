//! The image that runs hookproof in a cluster: this program, kubectl and a static busybox. Like the agent image
//! it needs neither a registry nor `docker build`.

use std::fs;

use camino::Utf8Path;
use itertools::Itertools as _;
use serde_json::json;

use super::busybox::{self, Programs, check_static, interpreter};
use super::error::{ClusterError, Result};
use super::pod_image::PodImage;

/// Image name without tag.
pub(crate) const NAME: &str = "hookproof/runner";

/// Writes the image's archive to the cache directory, unless it is cached.
pub(crate) fn assemble(cache: &Utf8Path, kubectl: &Utf8Path) -> Result<PodImage> {
    let read = |path: &str| fs::read(path).map_err(ClusterError::file("cannot read", path));
    let mut programs = Programs::from([("bin/kubectl".to_owned(), read(kubectl.as_str())?)]);
    if check_static(&programs["bin/kubectl"]).is_err() {
        return Err(ClusterError::Refused(format!(
            "kubectl {kubectl} is not statically linked; pass the official one with --kubectl FILE"
        )));
    }
    let own = read("/proc/self/exe")?;
    if let Ok(Some(linker)) = interpreter(&own) {
        let maps = read("/proc/self/maps")?;
        for path in libraries(&String::from_utf8_lossy(&maps)).chain([linker.as_str()]) {
            programs.insert(path.trim_start_matches('/').to_owned(), read(path)?);
        }
    }
    programs.insert("bin/hookproof".to_owned(), own);
    let settings =
        json!({"Env": ["PATH=/bin", "HOME=/tmp"], "Cmd": ["hookproof"], "WorkingDir": "/"});
    busybox::image(NAME, &programs, &settings, cache)
}

/// The shared libraries of a process, from its memory map. The dynamic linker of the image finds them at the same
/// paths.
fn libraries(maps: &str) -> impl Iterator<Item = &str> {
    let paths = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5));
    let libraries = paths.filter(|path| path.starts_with('/') && path.contains(".so"));
    libraries.unique()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn libraries_are_read_from_the_memory_map() {
        let maps = "55d0-55d1 r--p 00000000 fe:00 1 /usr/bin/hookproof\n\
            7f00-7f01 r--p 00000000 fe:00 2 /usr/lib/libc.so.6\n7f01-7f02 r-xp 00001000 fe:00 2 /usr/lib/libc.so.6\n\
            7f03-7f04 rw-p 00000000 00:00 0\n7ffc-7ffd rw-p 00000000 00:00 0 [stack]\n";
        assert_eq!(libraries(maps).collect_vec(), ["/usr/lib/libc.so.6"]);
    }

    #[test]
    fn a_dynamic_kubectl_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let kubectl = dir.join("kubectl");
        fs::write(&kubectl, "#!/bin/sh\n").unwrap();
        let Err(error) = assemble(dir, &kubectl) else {
            panic!("accepted")
        };
        // On a machine without a static busybox that is the error.
        let expected = ["is not statically linked", "busybox-static"];
        assert!(
            expected.iter().any(|text| error.to_string().contains(text)),
            "{error}"
        );
    }
}
