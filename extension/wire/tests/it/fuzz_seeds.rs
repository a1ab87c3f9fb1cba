//! The laws of `make fuzz` over its seeds.

#[path = "../../fuzz/src/laws.rs"]
mod laws;

#[test]
fn every_law_holds_for_its_seeds() {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (name, law) in laws::ALL {
        let seeds: Vec<_> = std::fs::read_dir(seeds.join(name)).expect("it has seeds").collect();
        assert!(!seeds.is_empty(), "{name}");
        for seed in seeds {
            let path = seed.expect("a seed").path();
            println!("{}", path.display());
            law(&std::fs::read(path).expect("a readable seed"));
        }
    }
}
