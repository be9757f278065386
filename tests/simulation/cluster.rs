//! A simulated cluster: the real coordinators, drivers, services and SlateDB
//! on a store in memory; real agents with simulated runners; a simulated
//! network and simulated time.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ablate_coordinator::core::{CoreSettings, Fact};
use ablate_coordinator::server::{ServeError, Settings, serve_on};
use ablate_coordinator::takeover::{self, Standby, stand_by};
use ablate_proto::id::TaskKey;
use ablate_proto::layout;
use ablate_worker::agent::{AgentError, OpenStore, WorkerSettings, run_on, simulated};
use ablate_worker::dial::{Dial, Stream};
use futures::FutureExt as _;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio_util::sync::CancellationToken;
use turmoil::Sim;
use turmoil::net::{TcpListener, TcpStream};

use crate::faults::{Machines, host};
use crate::history::{self, Told};
use crate::scenario::{Machine, Scenario};
use crate::store::Warehouse;
use crate::user::User;
use crate::{chance, clock};

pub(crate) const PORT: u16 = 7443;
const TICK: Duration = Duration::from_millis(5);
/// After the last thing that breaks, everything must be done within this.
const RECOVERY: Duration = Duration::from_secs(150);
/// Then whatever nobody wants any more must stop within this.
const REST: Duration = Duration::from_secs(12);
/// A process that ended by itself is started again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// What came of a simulation that broke no promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) simulated: Duration,
    pub(crate) committed: usize,
    pub(crate) failed: usize,
}

/// `scratch` is an empty folder. What happened is written down as text.
///
/// # Errors
/// What went wrong, in words.
pub(crate) fn run(
    scenario: &Scenario,
    scratch: &Path,
    log: &mut String,
) -> Result<Summary, String> {
    let latency = Duration::from_millis(scenario.store_latency);
    let warehouse = Arc::new(Warehouse::new(scenario.seed, latency));
    let told = Rc::<RefCell<Told>>::default();
    simulated::crash_every(scenario.crash_every);
    clock::set(Duration::ZERO);
    let (mut sim, mut machines) = build(scenario, &warehouse, scratch);
    let user = User {
        dial: dial(),
        coordinators: (0..scenario.coordinators)
            .map(|index| format!("http://{}:{PORT}", host(Machine::Coordinator(index))))
            .collect(),
        at: Cell::new(0),
        store: warehouse.memory.clone(),
        told: told.clone(),
    };
    let wishes = scenario.wishes.clone();
    sim.client("user", async move { Ok(user.live(wishes).await?) });
    let lived = live(&mut sim, &mut machines, scenario, &told);
    let simulated = sim.elapsed();
    let rested = lived.and_then(|()| {
        machines.mend_all(&mut sim);
        while sim.elapsed() < simulated + REST {
            step(&mut sim)?;
        }
        Ok(())
    });
    let seen = simulated::seen();
    drop(sim);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    let memory = warehouse.memory.clone();
    let read = ablate_coordinator::history(Arc::new(memory.clone()));
    let facts = runtime.map_err(|e| e.to_string())?.block_on(read);
    for (number, fact) in facts.iter().flatten().enumerate() {
        let _ = writeln!(log, "{number} {fact:?}");
    }
    let _ = writeln!(log, "{:#?}\n{:#?}", seen, told.borrow());
    let _ = writeln!(log, "{simulated:?} {:?}", chance::drawn());
    rested?;
    let facts = facts.map_err(|e| e.to_string())?;
    let manifests = history::check(&facts, scenario.weather, &told.borrow(), &seen)?;
    for (task, digest) in &manifests {
        let checked = check_manifest(&memory, task, digest).now_or_never();
        checked.unwrap_or(Ok(()))?;
    }
    let count = |of: fn(&Fact) -> bool| facts.iter().filter(|f| of(f)).count();
    Ok(Summary {
        simulated,
        committed: count(|f| matches!(f, Fact::TaskCommitted { .. })),
        failed: count(|f| matches!(f, Fact::AttemptFailed { .. })),
    })
}

fn step(sim: &mut Sim<'_>) -> Result<bool, String> {
    clock::set(sim.elapsed());
    sim.step().map_err(|e| e.to_string())
}

/// What is committed is what lies in the store.
async fn check_manifest(store: &InMemory, task: &TaskKey, digest: &[u8; 32]) -> Result<(), String> {
    let path = layout::manifest(task).into();
    let named = |e: object_store::Error| format!("the committed result of {}: {e}", task.short());
    let found = store.get(&path).await.map_err(named)?;
    let bytes = found.bytes().await.map_err(named)?;
    if blake3::hash(&bytes).as_bytes() != digest {
        return Err(format!(
            "the result of {} is not the one committed",
            task.short()
        ));
    }
    Ok(())
}

fn build<'a>(
    scenario: &Scenario,
    warehouse: &Arc<Warehouse>,
    scratch: &Path,
) -> (Sim<'a>, Machines) {
    let millis = Duration::from_millis;
    let mut sim = turmoil::Builder::new()
        .rng_seed(scenario.seed)
        .tick_duration(TICK)
        .simulation_duration(Duration::from_secs(3600))
        .min_message_latency(millis(scenario.latency.0))
        .max_message_latency(millis(scenario.latency.1))
        .tcp_capacity(4096)
        .build();
    let machines = Machines::new(warehouse.clone(), scenario.coordinators, scenario.workers);
    let mut skews = scenario.skews.iter().copied();
    for index in 0..scenario.coordinators {
        let machine = Machine::Coordinator(index);
        let (road, skew) = (machines.road(machine), skews.next().unwrap_or(0));
        let standby = scenario.coordinators > 1;
        sim.host(host(machine), move || {
            let store = Arc::new(road.clone()) as Arc<dyn ObjectStore>;
            async move {
                clock::skew(skew);
                Ok(coordinator(store, host(machine), standby).await?)
            }
        });
    }
    for index in 0..scenario.workers {
        let machine = Machine::Worker(index);
        let (road, skew) = (machines.road(machine), skews.next().unwrap_or(0));
        let (scratch, slots) = (scratch.to_owned(), scenario.slots);
        let coordinators = scenario.coordinators;
        let started = Cell::new(0);
        sim.host(host(machine), move || {
            started.set(started.get() + 1);
            let name = format!("{}-{}", host(machine), started.get());
            let settings = settings(&name, slots, scratch.join(&name));
            let (road, search) = (road.clone(), coordinators > 1);
            async move {
                clock::skew(skew);
                Ok(worker(settings, Arc::new(road), search).await?)
            }
        });
    }
    (sim, machines)
}

fn settings(name: &str, slots: usize, scratch: PathBuf) -> WorkerSettings {
    WorkerSettings {
        join: format!("{}:{PORT}", host(Machine::Coordinator(0))),
        slots,
        threads_per_slot: 1,
        scratch,
        runner: vec![simulated::PROGRAM.into(), name.into()],
        ..WorkerSettings::default()
    }
}

/// Works, and begins again where a service manager would start the process
/// anew. `search`: it is told the store, not a coordinator's address.
async fn worker(
    mut settings: WorkerSettings,
    road: Arc<dyn ObjectStore>,
    search: bool,
) -> Result<(), String> {
    loop {
        if search && let Ok(Some(current)) = takeover::find(&road).await {
            settings.join = current.address;
        }
        let store = road.clone();
        let open: OpenStore = Arc::new(move |_| Ok(store.clone()));
        let stop = CancellationToken::new();
        match run_on(settings.clone(), open, dial(), stop).await {
            Ok(()) => return Err("the worker ended, and nobody asked it to".to_owned()),
            Err(AgentError::Unreachable { .. }) => {}
            Err(error) => return Err(error.to_string()),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Serves, and begins again where a service manager would start the process
/// anew.
async fn coordinator(
    store: Arc<dyn ObjectStore>,
    name: String,
    standby: bool,
) -> Result<(), String> {
    loop {
        if standby {
            let standby = Standby {
                poll: Duration::from_millis(250),
                after: Duration::from_secs(2),
            };
            stand_by(store.clone(), standby).await;
        }
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
            advertise: Some(format!("{name}:{PORT}")),
            ..Settings::default()
        };
        let stop = CancellationToken::new();
        let served = serve_on(settings, store.clone(), incoming, stop, || {}).await;
        match served {
            Ok(()) => return Err("the coordinator ended, and nobody asked it to".to_owned()),
            // Another one serves, or the store did not answer.
            Err(error) if error.is_fenced() || is_of_store(&error) => {}
            Err(error) => return Err(error.to_string()),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn is_of_store(error: &ServeError) -> bool {
    error.to_string().contains("got lost")
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
fn live(
    sim: &mut Sim<'_>,
    machines: &mut Machines,
    scenario: &Scenario,
    told: &RefCell<Told>,
) -> Result<(), String> {
    let mut faults = scenario.faults.iter().peekable();
    let last_wish = scenario.wishes.last().map_or(0, |(at, _)| *at);
    let calm_from = Duration::from_millis(scenario.calm_from.max(last_wish));
    let mut mended = false;
    loop {
        let now = sim.elapsed();
        while let Some((_, fault)) = faults.next_if(|(at, _)| Duration::from_millis(*at) <= now) {
            machines.cause(sim, *fault);
        }
        if now >= calm_from && !mended {
            mended = true;
            machines.mend_all(sim);
        }
        if now > calm_from + REST && now.as_millis() % 1000 == 0 {
            history::nothing_old_runs(&told.borrow(), &simulated::seen())?;
        }
        if now > calm_from + RECOVERY {
            return Err(format!("not done {RECOVERY:?} after the last fault"));
        }
        if step(sim)? {
            return Ok(());
        }
    }
}
