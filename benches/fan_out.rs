//! What it costs to hand one result to many: splicing the id, and the outboxes, without the sockets.

use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tidings::hub::{
    Envelope, Framing, Outbox, OutboxLimits, OutboxRules, Payload, Policy, Spelled, Words,
};
use tidings::websocket::{Opcode, push_frame};

const WORDS: Words = Words {
    before_id: r#"{"id":"#,
    before_payload: r#","type":"next","payload":"#,
    after_payload: "}",
    before_completed: r#"{"id":"#,
    after_completed: r#","type":"complete"}"#,
};

/// Clients of one operation.
const CLIENTS: usize = 1_000;

/// As long as a `realtimePrice`.
fn payload() -> Payload {
    Payload {
        json: "x".repeat(280).into(),
        policy: Policy::Every,
    }
}

fn envelope(id: &str) -> Envelope {
    Envelope {
        subscription: 1,
        id: format!("{id:?}").into_bytes().into(),
        words: &WORDS,
    }
}

fn outboxes() -> Vec<(Arc<Outbox>, Envelope)> {
    let rules = Arc::new(OutboxRules {
        limits: OutboxLimits {
            frames: usize::MAX,
            bytes: usize::MAX,
            conflate_above: usize::MAX,
        },
        metrics: Arc::default(),
    });
    let outbox = |n: usize| {
        let outbox = Outbox::new(rules.clone(), Framing::WebSocket, None);
        (outbox, envelope(&n.to_string()))
    };
    (0..CLIENTS).map(outbox).collect()
}

/// Gives these payloads to all, and takes them out again as a socket would.
fn deliver(outboxes: &[(Arc<Outbox>, Envelope)], payloads: &[Payload]) -> usize {
    let mut spelled = Spelled::default();
    let mut taken = 0;
    for (outbox, envelope) in outboxes {
        outbox.deliver(envelope, payloads, &mut spelled);
        let mut context = Context::from_waker(Waker::noop());
        let _ = outbox.poll_flush(&mut context, |_, bytes| {
            taken += bytes.len();
            Poll::Ready(Ok(bytes.len()))
        });
    }
    taken
}

fn splicing(criterion: &mut Criterion) {
    let payload = payload();
    criterion.bench_function("splice an id and a frame around a result", |bencher| {
        let envelope = envelope("1");
        let parts = [
            WORDS.before_id.as_bytes(),
            &envelope.id,
            WORDS.before_payload.as_bytes(),
            &payload.json,
            WORDS.after_payload.as_bytes(),
        ];
        bencher.iter_batched_ref(
            || Vec::with_capacity(512),
            |out| push_frame(out, Opcode::Text, black_box(&parts)),
            BatchSize::SmallInput,
        );
    });
}

fn fan_out(criterion: &mut Criterion) {
    let outboxes = outboxes();
    let mut group = criterion.benchmark_group("fan out to 1,000");
    for burst in [1, 8] {
        let payloads = vec![payload(); burst];
        group.throughput(Throughput::Elements((CLIENTS * burst) as u64));
        group.bench_function(format!("{burst} at a time"), |bencher| {
            bencher.iter(|| deliver(black_box(&outboxes), black_box(&payloads)));
        });
    }
    group.finish();
}

criterion_group!(benches, splicing, fan_out);
criterion_main!(benches);
