//! The image that runs hookproof in a cluster: this program, kubectl and a static busybox. Like the agent image
//! it needs neither a registry nor `docker build`.

use std::collections::BTreeMap;
use std::fs;

use camino::Utf8Path;
use object::LittleEndian;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use serde_json::json;

use super::agent_image::busybox::{self, check_static};
use super::agent_image::layer::layer;
use super::error::{ClusterError, Result};
use super::pod_image::PodImage;

/// Image name without tag.
pub(crate) const NAME: &str = "hookproof/runner";

/// Writes the image's archive to the cache directory, unless it is cached.
pub(crate) fn assemble(cache: &Utf8Path, kubectl: &Utf8Path) -> Result<PodImage> {
    let busybox = busybox::find()?;
    let read = |path: &str| fs::read(path).map_err(ClusterError::file("cannot read", path));
    let mut programs = BTreeMap::from([("bin/kubectl".to_owned(), read(kubectl.as_str())?)]);
    if check_static(&programs["bin/kubectl"]).is_err() {
        return Err(ClusterError::Refused(format!(
            "kubectl {kubectl} is not statically linked; pass the official one with --kubectl FILE"
        )));
    }
    let own = read("/proc/self/exe")?;
    if check_static(&own).is_err() {
        let maps = read("/proc/self/maps")?;
        let libraries = libraries(&String::from_utf8_lossy(&maps));
        for path in libraries.into_iter().chain(interpreter(&own)) {
            programs.insert(path.trim_start_matches('/').to_owned(), read(&path)?);
        }
    }
    programs.insert("bin/hookproof".to_owned(), own);
    let programs: Vec<_> = programs.into_iter().collect();
    let layer = layer(&programs, &busybox)
        .map_err(|error| ClusterError::failed("building the runner image", error))?;
    let settings =
        json!({"Env": ["PATH=/bin", "HOME=/tmp"], "Cmd": ["hookproof"], "WorkingDir": "/"});
    PodImage::save(NAME, layer, &settings, cache)
}

/// The shared libraries of a process, from its memory map. The dynamic linker of the image finds them at the same
/// paths.
fn libraries(maps: &str) -> Vec<String> {
    let paths = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5));
    let mut libraries: Vec<String> = paths
        .filter(|path| path.starts_with('/') && path.contains(".so"))
        .map(str::to_owned)
        .collect();
    libraries.sort();
    libraries.dedup();
    libraries
}

/// The path of a dynamic executable's linker.
fn interpreter(binary: &[u8]) -> Option<String> {
    let file = FileHeader64::<LittleEndian>::parse(binary).ok()?;
    let endian = file.endian().ok()?;
    let mut headers = file.program_headers(endian, binary).ok()?.iter();
    let header = headers.find(|header| header.p_type(endian) == PT_INTERP)?;
    let path = String::from_utf8(header.data(endian, binary).ok()?.to_vec()).ok()?;
    Some(path.trim_end_matches('\0').to_owned())
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
        assert_eq!(libraries(maps), ["/usr/lib/libc.so.6"]);
    }

    #[test]
    fn this_test_names_its_linker() {
        let own = fs::read("/proc/self/exe").unwrap();
        assert_eq!(interpreter(&own).is_some(), check_static(&own).is_err());
        if let Some(path) = interpreter(&own) {
            assert!(fs::exists(&path).unwrap(), "{path}");
        }
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
