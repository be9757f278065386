//! A simulated cluster: the real coordinator, driver, service and SlateDB on
//! a store in memory; real agents with simulated runners; a simulated network
//! and simulated time.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ablate_coordinator::core::{CoreSettings, Fact};
use ablate_coordinator::server::{Settings, serve_on};
use ablate_proto::id::TaskKey;
use ablate_proto::layout;
use ablate_worker::agent::{OpenStore, WorkerSettings, run_on, simulated};
use ablate_worker::dial::{Dial, Stream};
use futures::FutureExt as _;
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio_util::sync::CancellationToken;
use turmoil::Sim;
use turmoil::net::{TcpListener, TcpStream};

use crate::history::{self, Told};
use crate::scenario::{Fault, Scenario};
use crate::user::User;

const PORT: u16 = 7443;
const COORDINATOR: &str = "coordinator";
/// After the last thing that breaks, everything must be done within this.
const RECOVERY: Duration = Duration::from_secs(90);
/// Then whatever nobody wants any more must stop within this.
const REST: Duration = Duration::from_secs(12);

/// What came of a simulation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) simulated: Duration,
    pub(crate) committed: usize,
    pub(crate) failed: usize,
    /// Of all facts, in their order.
    pub(crate) digest: blake3::Hash,
}

/// # Errors
/// What went wrong, in words.
pub(crate) fn run(scenario: &Scenario) -> Result<Summary, String> {
    let memory = Arc::new(InMemory::new());
    let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
    let told = Rc::<RefCell<Told>>::default();
    simulated::crash_every(scenario.crash_every);
    let mut sim = build(scenario, &memory, scratch.path().to_owned());
    let user = User {
        dial: dial(),
        address: format!("http://{COORDINATOR}:{PORT}"),
        told: told.clone(),
    };
    let wishes = scenario.wishes.clone();
    sim.client("user", async move { Ok(user.live(wishes).await?) });
    weather(&mut sim, scenario)?;
    let simulated = sim.elapsed();
    mend_all(&mut sim, scenario);
    while sim.elapsed() < simulated + REST {
        sim.step().map_err(|e| e.to_string())?;
    }
    let seen = simulated::seen();
    drop(sim);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|e| e.to_string())?.block_on(async {
        let store = memory.clone() as Arc<dyn ObjectStore>;
        let facts = ablate_coordinator::history(store)
            .await
            .map_err(|e| e.to_string())?;
        let manifests = history::check(&facts, scenario.weather, &told.borrow(), &seen)?;
        for (task, digest) in &manifests {
            check_manifest(&memory, task, digest).await?;
        }
        let count = |of: fn(&Fact) -> bool| facts.iter().filter(|f| of(f)).count();
        Ok(Summary {
            simulated,
            committed: count(|f| matches!(f, Fact::TaskCommitted { .. })),
            failed: count(|f| matches!(f, Fact::AttemptFailed { .. })),
            digest: blake3::hash(format!("{facts:?}").as_bytes()),
        })
    })
}

/// What is committed is what lies in the store.
async fn check_manifest(store: &InMemory, task: &TaskKey, digest: &[u8; 32]) -> Result<(), String> {
    let path = layout::manifest(task).into();
    let named = |e: object_store::Error| format!("the committed result of {}: {e}", task.short());
    let bytes = store
        .get(&path)
        .await
        .map_err(named)?
        .bytes()
        .await
        .map_err(named)?;
    if blake3::hash(&bytes).as_bytes() != digest {
        return Err(format!(
            "the result of {} is not the one committed",
            task.short()
        ));
    }
    Ok(())
}

fn build<'a>(scenario: &Scenario, memory: &Arc<InMemory>, scratch: PathBuf) -> Sim<'a> {
    let millis = Duration::from_millis;
    let mut sim = turmoil::Builder::new()
        .rng_seed(scenario.seed)
        .tick_duration(millis(5))
        .simulation_duration(Duration::from_secs(3600))
        .min_message_latency(millis(scenario.latency.0))
        .max_message_latency(millis(scenario.latency.1))
        .tcp_capacity(4096)
        .build();
    let throttle = ThrottleConfig {
        wait_put_per_call: millis(scenario.store_latency),
        wait_get_per_call: millis(scenario.store_latency),
        ..ThrottleConfig::default()
    };
    let throttled = {
        let memory = memory.clone();
        move || Arc::new(ThrottledStore::new(memory.clone(), throttle)) as Arc<dyn ObjectStore>
    };
    let store = throttled.clone();
    sim.host(COORDINATOR, move || {
        coordinator(store()).map(|ended| Ok(ended?))
    });
    for index in 0..scenario.workers {
        let (store, scratch, slots) = (throttled.clone(), scratch.clone(), scenario.slots);
        let started = Cell::new(0);
        sim.host(worker_name(index), move || {
            started.set(started.get() + 1);
            let name = format!("{}-{}", worker_name(index), started.get());
            let settings = WorkerSettings {
                join: format!("{COORDINATOR}:{PORT}"),
                slots,
                threads_per_slot: 1,
                scratch: scratch.join(&name),
                runner: vec![simulated::PROGRAM.into(), name.into()],
                connect_timeout: Duration::from_secs(3600),
                ..WorkerSettings::default()
            };
            let store = store.clone();
            let open: OpenStore = Arc::new(move |_| Ok(store()));
            async move { Ok(run_on(settings, open, dial(), CancellationToken::new()).await?) }
        });
    }
    sim
}

fn worker_name(index: usize) -> String {
    format!("w{index}")
}

async fn coordinator(store: Arc<dyn ObjectStore>) -> Result<(), String> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await;
    let listener = listener.map_err(|e| e.to_string())?;
    let incoming = futures::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    let settings = Settings {
        core: CoreSettings {
            store: "memory:".to_owned(),
            ..CoreSettings::default()
        },
        flush: Duration::from_millis(10),
        probe: None,
        ..Settings::default()
    };
    let stop = CancellationToken::new();
    let served = serve_on(settings, store, incoming, stop, || {}).await;
    served.map_err(|e| e.to_string())
}

fn dial() -> Dial {
    Dial::new(|uri| {
        async move {
            let host = uri.host().unwrap_or_default().to_owned();
            let stream = TcpStream::connect((host, PORT)).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        }
        .boxed()
    })
}

/// Lets break what breaks, until the user is content.
fn weather(sim: &mut Sim<'_>, scenario: &Scenario) -> Result<(), String> {
    let mut faults = scenario.faults.iter().peekable();
    let last_wish = scenario.wishes.last().map_or(0, |(at, _)| *at);
    let calm_from = Duration::from_millis(scenario.calm_from.max(last_wish));
    let mut mended = false;
    loop {
        let now = sim.elapsed();
        while let Some((_, fault)) = faults.next_if(|(at, _)| Duration::from_millis(*at) <= now) {
            cause(sim, *fault);
        }
        if now >= calm_from && !mended {
            mended = true;
            mend_all(sim, scenario);
        }
        if now > calm_from + RECOVERY {
            return Err(format!("not done {RECOVERY:?} after the last fault"));
        }
        if sim.step().map_err(|e| e.to_string())? {
            return Ok(());
        }
    }
}

fn cause(sim: &mut Sim<'_>, fault: Fault) {
    match fault {
        Fault::KillCoordinator => sim.crash(COORDINATOR),
        Fault::StartCoordinator => start(sim, COORDINATOR),
        Fault::KillWorker(worker) => sim.crash(worker_name(worker)),
        Fault::StartWorker(worker) => start(sim, &worker_name(worker)),
        Fault::Cut(worker) => sim.partition(COORDINATOR, worker_name(worker)),
        Fault::CutUp(worker) => sim.partition_oneway(worker_name(worker), COORDINATOR),
        Fault::CutDown(worker) => sim.partition_oneway(COORDINATOR, worker_name(worker)),
        Fault::Mend(worker) => sim.repair(COORDINATOR, worker_name(worker)),
        Fault::Delay(worker) => sim.hold(COORDINATOR, worker_name(worker)),
        Fault::Release(worker) => sim.release(COORDINATOR, worker_name(worker)),
    }
}

fn start(sim: &mut Sim<'_>, host: &str) {
    if !sim.is_host_running(host) {
        sim.bounce(host);
    }
}

fn mend_all(sim: &mut Sim<'_>, scenario: &Scenario) {
    for worker in 0..scenario.workers {
        sim.release(COORDINATOR, worker_name(worker));
        sim.repair(COORDINATOR, worker_name(worker));
        start(sim, &worker_name(worker));
    }
    start(sim, COORDINATOR);
}
