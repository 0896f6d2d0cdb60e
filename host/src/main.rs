//! The program `host`: everything is in the library; see `cli`.

fn main() -> std::process::ExitCode {
    speed_layer::cli::main()
}
