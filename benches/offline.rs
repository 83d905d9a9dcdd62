//! Benchmarks of everything that needs no cluster: `cargo bench`.

use camino::Utf8Path;
use hookproof::testing::{Catalogue, Evidence, catalogue, judge, read};

fn main() {
    divan::main();
}

/// The catalogue and all recorded evidence.
fn recorded() -> (Catalogue, Vec<Evidence>) {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evidence");
    let catalogue = catalogue(&[]).unwrap_or_default();
    let files = catalogue.scenarios.keys();
    let evidence = files.filter_map(|id| read(&root.join(format!("{id}.json"))).ok());
    let evidence = evidence.collect();
    (catalogue, evidence)
}

/// Loads and validates all suites, as every command does.
#[divan::bench]
fn load_the_catalogue() {
    divan::black_box(catalogue(&[]).is_ok());
}

/// Reads all recorded evidence, as `judge` does.
#[divan::bench(sample_count = 10)]
fn read_evidence() {
    divan::black_box(recorded().1.len());
}

/// Judges all recorded evidence, as a run does after each scenario.
#[divan::bench(sample_count = 10)]
fn judge_evidence(bencher: divan::Bencher<'_, '_>) {
    let (catalogue, evidence) = recorded();
    bencher.bench(|| {
        let judged = evidence.iter().filter_map(|evidence| {
            let scenario = catalogue.scenarios.get(&evidence.scenario)?;
            judge(scenario, evidence).ok()
        });
        judged.count()
    });
}
