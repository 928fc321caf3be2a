//! `cargo bench -p approval-core`: the time of each work.

mod works;

use criterion::{Criterion, criterion_group, criterion_main};

fn rules(criterion: &mut Criterion) {
    for work in works::WORKS {
        let mut once = (work.prepare)();
        criterion.bench_function(work.name, |bencher| bencher.iter(&mut once));
    }
}

criterion_group!(benches, rules);
criterion_main!(benches);
