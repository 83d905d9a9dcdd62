//! `hookproof cite DOCUMENT`.

use camino::Utf8PathBuf;

use crate::catalogue::suggest::{Index, Suggestion};
use crate::document::{Document, QuoteError};
use crate::report::coverage::Sentence;
use crate::report::terminal::Layout;
use crate::report::text::wrap;

use super::coverage;
use super::exit::{Exit, Failure};
use super::print::out;
use super::suites::{SuiteArgs, documents};

/// Suggest existing claims for the sentences of documents, by the words that they share
#[derive(Debug, clap::Args)]
pub(super) struct CiteArgs {
    /// Documents: Markdown, HTML or plain text
    #[arg(required = true, value_name = "DOCUMENT")]
    files: Vec<Utf8PathBuf>,
    #[command(flatten)]
    suites: SuiteArgs,
    /// Maximum number of suggestions for a sentence
    #[arg(long, value_name = "N", default_value_t = 3)]
    most: usize,
    /// Include sentences that are cited already or need no claim
    #[arg(long)]
    all: bool,
    /// Format of standard output
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Sentences with claims and scores
    #[default]
    Text,
    /// A suite file with citations, to be edited
    Yaml,
}

pub(super) fn cite(args: &CiteArgs) -> Result<Exit, Failure> {
    let mut suites = args.suites.open()?;
    // Citations of the user's documents are checked elsewhere: here they only say what is cited already.
    let own = suites.read().catalogue;
    suites.add_built_in();
    let catalogue = suites.read().catalogue;
    let index = Index::new(&catalogue);
    let documents = documents(
        &args.files,
        suites.project.documents.as_deref(),
        &coverage::cited(&own),
    )?;
    let is_text = args.format == Format::Text;
    if is_text {
        line!("Suggestions by shared words, not verdicts: read a claim before you cite it.");
    } else {
        out(YAML);
    }
    for document in &documents {
        let coverage = coverage::of(&catalogue, document);
        let mut around = "";
        let (mut with, mut without) = (0, 0);
        for sentence in &coverage.sentences {
            let before = std::mem::replace(&mut around, &sentence.text);
            if !sentence.remains && !args.all {
                continue;
            }
            let found = index.suggest(&sentence.text, before, args.most);
            if found.is_empty() {
                without += 1;
                continue;
            }
            with += 1;
            if is_text {
                print(document, sentence, &found);
            } else {
                skeleton(document, sentence, &found);
            }
        }
        if is_text {
            let name = document.name();
            line!("\n{name}: suggestions for {with} sentences, none for {without}");
        }
    }
    if is_text {
        line!("next: hookproof explain CLAIM, or --format yaml for a suite file with citations");
    }
    Ok(Exit::AsExpected)
}

fn print(document: &Document, sentence: &Sentence, found: &[Suggestion<'_>]) {
    let width = Layout::for_page().width;
    line!("");
    let place = format!("{}:{}: ", document.name(), sentence.lines.start());
    for part in wrap(&format!("{place}{}", sentence.text), width, "    ") {
        line!("{part}");
    }
    for Suggestion { claim, score } in found {
        line!("  {score:.2}  {}", claim.id);
        for part in wrap(&claim.says, width - 8, "") {
            line!("        {part}");
        }
    }
}

const YAML: &str = "\
# Suggestions by shared words, not verdicts. For each citation, read the claim (hookproof explain CLAIM). Keep it if the
# sentence states it, replace it by one of the others, or delete it.
cites:
";

/// The best suggestion as a citation, the others as comments.
fn skeleton(document: &Document, sentence: &Sentence, found: &[Suggestion<'_>]) {
    let at = sentence.lines.start();
    for (nth, Suggestion { claim, score }) in found.iter().enumerate() {
        let indent = if nth == 0 {
            line!("  # line {at}, score {score:.2}:");
            ""
        } else {
            line!("  #   or {}, score {score:.2}:", claim.id);
            "     "
        };
        for part in wrap(&claim.says, 100, "") {
            line!("  #{indent} {part}");
        }
    }
    let Some(Suggestion { claim, .. }) = found.first() else {
        return;
    };
    line!("  - claim: {}", claim.id);
    // In quotes, as YAML and JSON write them.
    line!("    document: {}", serde_json::Value::from(document.name()));
    line!("    quote: >-");
    for part in wrap(&sentence.text, 100, "") {
        line!("      {part}");
    }
    if let Err(QuoteError::Ambiguous { lines, .. }) = document.quoted(&sentence.text, None) {
        let before = lines.iter().filter(|line| *line < at);
        line!("    occurrence: {}", before.count() + 1);
    }
}
