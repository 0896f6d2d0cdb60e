//! The contract in `wit/` as Rust, generated: one module a world, the shared types once.
//!
//! Nothing here is written by hand, and plugins do not name this module: they use what the
//! crate's root re-exports, and the export macro of their stage.

/// The parse world; the types and the host's functions, which all worlds share, are here too.
pub mod parse {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "parse-plugin",
        pub_export_macro: true,
        export_macro_name: "export_parse_world",
        generate_unused_types: true,
        additional_derives: [Clone, PartialEq],
    });
}

/// The transform world.
pub mod transform {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "transform-plugin",
        pub_export_macro: true,
        export_macro_name: "export_transform_world",
        additional_derives: [Clone, PartialEq],
        with: {
            "speed-layer:plugin/host@0.1.0": super::parse::speed_layer::plugin::host,
            "speed-layer:plugin/types@0.1.0": super::parse::speed_layer::plugin::types,
        },
    });
}

/// The aggregate world.
pub mod aggregate {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "aggregate-plugin",
        pub_export_macro: true,
        export_macro_name: "export_aggregate_world",
        additional_derives: [Clone, PartialEq],
        with: {
            "speed-layer:plugin/host@0.1.0": super::parse::speed_layer::plugin::host,
            "speed-layer:plugin/types@0.1.0": super::parse::speed_layer::plugin::types,
        },
    });
}
