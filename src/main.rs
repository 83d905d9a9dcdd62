//! The `hookproof` program.

fn main() -> std::process::ExitCode {
    hookproof::cli::main()
}
