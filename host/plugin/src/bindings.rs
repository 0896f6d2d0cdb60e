//! The contract's types and calls, generated from `wit/`. One world exports all
//! three stages so that they share their types; a component is only ever asked for
//! the one interface that it exports.

wasmtime::component::bindgen!({
    inline: "
        package speed-layer:runtime;

        world every-stage {
            import speed-layer:plugin/host@0.1.0;
            export speed-layer:plugin/parse@0.1.0;
            export speed-layer:plugin/transform@0.1.0;
            export speed-layer:plugin/aggregate@0.1.0;
        }
    ",
    path: "../../wit",
    world: "speed-layer:runtime/every-stage",
    ownership: Borrowing { duplicate_if_necessary: true },
});
