//! Files that are no plugin, or one that is damaged, too large or costly: refused in a sentence, before anything of
//! them runs, and never taken for compiled code.

use std::path::{Path, PathBuf};

use speed_layer_plugin::{Compiler, Digest, Limits, LoadError, Plugin, Runtime, RuntimeOptions, Stage};

use crate::calls;
use crate::check::{alone, limits, runtime, within_bounds};
use crate::guest::component;

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn load(runtime: &Runtime, bytes: &[u8]) -> Result<Plugin, LoadError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.wasm");
    std::fs::write(&path, bytes).unwrap();
    runtime.load(&path)
}

fn check(bytes: &[u8], expected: &str) {
    let _alone = alone();
    let text = load(&runtime(limits()), bytes).expect_err(expected).to_string();
    assert!(text.contains(expected) && text.contains("hostile.wasm"), "{text}");
    let is_plain = text.chars().all(|letter| !letter.is_control()) && text.len() < 4 << 10;
    assert!(is_plain, "{text}");
}

/// A component with nothing in it but these names on its outside.
fn outside(body: &str) -> Vec<u8> {
    wat(&format!("(component {body})"))
}

#[test]
fn what_is_no_component_is_refused_for_what_it_is() {
    check(b"", "an empty file");
    check(b"[parse]\nplugin = 1\n", "not WebAssembly but text");
    check(b"\0asm", "cut short or damaged");
    check(b"\x7fELF\x02\x01\x01", "a native or precompiled object");
    check(&wat("(module)"), "is a core WebAssembly module");
}

#[test]
fn a_component_of_another_contract_or_with_more_imports_is_refused_by_name() {
    let export = |name: &str| format!("(instance $i) (export \"{name}\" (instance $i))");
    check(&outside(&export("speed-layer:plugin/parse@0.2.0")), "version 0.2.0 of the plugin contract");
    check(&outside(&export("speed-layer:plugin/parse@0.1.0")), "exports the parse stage in another shape");
    check(&outside(&export("wasi:cli/run@0.2.0")), "exports wasi:cli/run@0.2.0 and none of");
    check(&outside(""), "exports nothing and none of");
    let both = "(instance $i) (export \"speed-layer:plugin/parse@0.1.0\" (instance $i)) \
                (export \"speed-layer:plugin/transform@0.1.0\" (instance $i))";
    check(&outside(both), "exports both parse and transform");
    for import in
        ["wasi:sockets/tcp@0.2.0", "wasi:clocks/monotonic-clock@0.2.0", "wasi:random/random@0.2.0", "env"]
    {
        let body = format!("(import \"{import}\" (instance)) {}", export("speed-layer:plugin/parse@0.1.0"));
        check(&outside(&body), &format!("imports {import}, which no plugin may have"));
    }
}

/// A component that exports the parse stage's name, with these core modules and instances inside.
fn with_inside(inside: &str) -> Vec<u8> {
    outside(&format!("{inside} (instance $i) (export \"speed-layer:plugin/parse@0.1.0\" (instance $i))"))
}

#[test]
fn code_that_the_engine_does_not_take_is_refused() {
    for (module, expected) in [
        ("(func (result i32))".to_owned(), "does not compile"),
        ("(memory 1 1 shared)".to_owned(), "does not compile"),
        ("(memory i64 1)".to_owned(), "does not compile"),
        (format!("(func (local {}))", "i64 ".repeat(60_000)), "does not compile"),
        (format!("(func {})", "nop ".repeat(8_000_000)), "does not compile"),
    ] {
        check(&with_inside(&format!("(core module {module})")), expected);
    }
}

/// Makes every call of the good guest of a stage with more in its module, or in its component.
fn use_good_with(stage: Stage, extra: &str, sections: &[u8]) -> Result<(), String> {
    let _alone = alone();
    let bytes = [&component(stage, None, extra), sections].concat();
    let plugin = runtime(limits()).load_bytes("hostile", &bytes).map_err(|error| error.to_string())?;
    for call in calls::all().into_iter().filter(|call| call.stage == stage) {
        within_bounds("a large guest", || call.make(&plugin)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn check_within(stage: Stage, extra: &str, sections: &[u8], expected: &str) {
    let error = use_good_with(stage, extra, sections).expect_err(expected);
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_function_of_10_000_locals_or_a_megabyte_is_a_function_like_others() {
    for stage in Stage::ALL {
        use_good_with(stage, &format!("(func (local {}))", "i64 ".repeat(10_000)), &[]).unwrap();
        use_good_with(stage, &format!("(func {})", "(drop (i32.const 1000000))".repeat(200_000)), &[])
            .unwrap();
    }
}

/// The end of a component: a module, and so many instances of it.
fn instances_of(stage: Stage, module: &str, count: u32) -> Vec<u8> {
    let before =
        wasmparser::Parser::new(0).parse_all(&component(stage, None, "")).filter(is_module).count() as u32;
    let instance = [&[0], leb128(before).as_slice(), &[0]].concat();
    let instances = [leb128(count), instance.repeat(count as usize)].concat();
    [section(1, &wat(module)), section(2, &instances)].concat()
}

fn is_module(payload: &wasmparser::Result<wasmparser::Payload<'_>>) -> bool {
    matches!(payload, Ok(wasmparser::Payload::ModuleSection { .. }))
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], leb128(content.len() as u32).as_slice(), content].concat()
}

fn leb128(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[test]
fn an_instance_has_no_more_memories_tables_and_instances_than_it_may() {
    for stage in Stage::ALL {
        check_within(stage, &"(table 1 funcref)".repeat(50), &[], "tables_max");
        check_within(stage, "(table 30000 funcref)", &[], "table_elements_max");
        check_within(stage, "(memory $second 1)", &[], "does not compile");
        let instances = |module, count| instances_of(stage, module, count);
        use_good_with(stage, "", &instances("(module (memory 1))", 2)).unwrap();
        check_within(stage, "", &instances("(module (memory 1))", 10), "memories_max");
        check_within(stage, "", &instances("(module (table 1 funcref))", 20), "tables_max");
        check_within(stage, "", &instances("(module)", 900), "instances_max");
        check_within(stage, "", &instances("(module)", 10_000), "does not compile");
        check_within(stage, "", &instances("(module (memory 1000))", 3), "memory_bytes_max");
    }
}

#[test]
fn a_file_of_200_mib_is_not_read() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.wasm");
    std::fs::File::create(&path).unwrap().set_len(200 << 20).unwrap();
    let loaded = within_bounds("a file of 200 MiB", || runtime(limits()).load(&path));
    let text = loaded.unwrap_err().to_string();
    assert!(
        text.contains("large.wasm has 209715200 bytes") && text.contains("component_bytes_max"),
        "{text}"
    );
    let bytes = vec![0; limits().component_bytes_max as usize + 1];
    assert!(matches!(runtime(limits()).load_bytes("large", &bytes), Err(LoadError::TooLarge { .. })));
}

/// The plugins of the product, as they are built.
fn built(name: &str) -> Vec<u8> {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let path = target.join(name).with_extension("wasm");
    std::fs::read(&path)
        .unwrap_or_else(|_| panic!("there is no {}: run `cargo xtask build` first", path.display()))
}

#[test]
fn a_component_that_is_cut_at_any_kib_is_refused() {
    let _alone = alone();
    let runtime = runtime(limits());
    for name in ["ticker_json", "ticker_time", "ohlcv"] {
        let whole = built(name);
        let cuts: Vec<usize> = (0..whole.len()).step_by(1 << 10).chain([whole.len() - 1]).collect();
        assert!(cuts.len() > 20, "{name} has {} bytes", whole.len());
        for cut in cuts {
            let text = runtime.load_bytes(name, &whole[..cut]).expect_err("a part").to_string();
            // Between two of its parts it is whole, but has no exports yet.
            let is_told = ["an empty file", "cut short or damaged", "exports nothing"]
                .iter()
                .any(|part| text.contains(part));
            assert!(is_told && text.contains(name), "{name} cut at {cut}: {text}");
        }
    }
}

/// Flips a bit at each of these places: the component is refused, or is a component all the same, whose calls end
/// within their bounds. Says how many there were of each.
fn flip(name: &str, whole: &[u8], stage: Stage, places: impl Iterator<Item = usize>) -> (usize, usize) {
    let runtime = runtime(limits());
    let (mut refused, mut loaded) = (0, 0);
    for place in places {
        let mut bytes = whole.to_vec();
        bytes[place] ^= 1 << (place % 8);
        let Ok(plugin) = runtime.load_bytes(name, &bytes) else {
            refused += 1;
            continue;
        };
        loaded += 1;
        assert_eq!(plugin.id().digest, Digest::of(&bytes));
        for call in calls::all().into_iter().filter(|call| call.stage == stage && plugin.stage() == stage) {
            // Whatever it gives, this process lives.
            let _ = within_bounds(&format!("{name} with bit {place} flipped"), || call.make(&plugin));
        }
    }
    (refused, loaded)
}

#[test]
fn a_component_with_a_flipped_bit_is_refused_or_is_another_one_under_another_digest() {
    let _alone = alone();
    for stage in Stage::ALL {
        let small = component(stage, None, "");
        let places = (0..small.len()).step_by(11);
        let (refused, loaded) = flip("small", &small, stage, places);
        assert!(refused > 30 && loaded > 3, "{stage}: {refused} refused, {loaded} loaded");
    }
    let whole = built("ticker_time");
    let (refused, loaded) = flip("ticker_time", &whole, Stage::Transform, (0..whole.len()).step_by(1 << 10));
    assert!(refused + loaded > 20, "{refused} refused, {loaded} loaded");
}

/// What the cache holds of a component: compiled code, behind a header of ours.
fn compiled(bytes: &[u8], dir: &Path) -> Vec<u8> {
    let options = RuntimeOptions { cache_dir: Some(dir.to_owned()), limits: limits() };
    Runtime::new(options).unwrap().load_bytes("good", bytes).unwrap();
    let file = dir.read_dir().unwrap().next().unwrap().unwrap().path();
    std::fs::read(file).unwrap()
}

#[test]
fn compiled_code_is_never_taken_from_a_plugin_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = compiled(&component(Stage::Parse, None, ""), dir.path());
    let code = file.windows(4).position(|bytes| bytes == b"\x7fELF").unwrap();
    check(&file, "is not WebAssembly but some other binary");
    check(&file[code..], "a native or precompiled object");
}

/// The program itself, which compiles for others.
fn compiler(limits: &Limits) -> Compiler {
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/release/host");
    assert!(program.is_file(), "there is no {}: run `cargo xtask build` first", program.display());
    let arguments = [
        ("--seconds", limits.compile_seconds_max),
        ("--memory-bytes", limits.compile_memory_max),
        ("--component-bytes", limits.component_bytes_max),
        ("--stack-bytes", limits.stack_bytes_max as u64),
    ];
    let arguments = arguments.iter().flat_map(|(flag, value)| [flag.into(), value.to_string().into()]);
    Compiler { program, arguments: std::iter::once("compile-plugin".into()).chain(arguments).collect() }
}

fn compile_apart(bytes: &[u8], limits: Limits) -> Result<Plugin, LoadError> {
    let compiler = compiler(&limits);
    load(&runtime(limits).compiling_apart(compiler), bytes)
}

#[test]
fn a_component_that_keeps_the_compiler_busy_costs_its_process_and_is_refused() {
    let _alone = alone();
    let body = "local.get 0 i64.mul local.get 0 i64.xor ".repeat(1_200_000);
    let bomb = with_inside(&format!("(core module (func (param i64) (result i64) local.get 0 {body}))"));
    for (limits, expected) in [
        (Limits { compile_seconds_max: 1, ..limits() }, "1 s of CPU time to compile"),
        (Limits { compile_memory_max: 700 << 20, ..limits() }, "734003200 bytes of memory to compile"),
    ] {
        let refused = within_bounds("a compile bomb", || compile_apart(&bomb, limits));
        let text = refused.expect_err(expected).to_string();
        let digest = Digest::of(&bomb).to_string();
        let setting = if expected.contains("CPU") { "compile_seconds_max" } else { "compile_memory_max" };
        for part in ["hostile.wasm", &digest, expected, setting] {
            assert!(text.contains(part), "no {part} in: {text}");
        }
    }
}

#[test]
fn what_is_compiled_apart_is_what_is_compiled_here() {
    let _alone = alone();
    for stage in Stage::ALL {
        let plugin = compile_apart(&component(stage, None, ""), limits()).unwrap();
        for call in calls::all().into_iter().filter(|call| call.stage == stage) {
            call.make(&plugin).unwrap_or_else(|error| panic!("{call}: {error}"));
        }
    }
    let bad = with_inside("(core module (func (result i32)))");
    let text = compile_apart(&bad, limits()).unwrap_err().to_string();
    assert!(text.contains("hostile.wasm does not compile (") && !text.contains('\n'), "{text}");
}
