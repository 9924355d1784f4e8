//! Where a command looks: an object with its hook, a cluster or none around it, and what is remembered of its operations.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_calculator::operation::spec::{Flink, FlinkEndpoint, HookSpec, Item, Work};
use tidegate_calculator::operation::{Class, Failure, Operation, stored};
use tidegate_calculator::policy::Settings;
use tidegate_calculator::time::{Now, Tick};
use tidegate_crds::ScaleRecordStatus;
use tidegate_engine::Left;
use tidegate_engine::subject::{Fault, ObjectId, TargetRef};
use tidegate_scalers::Endpoints;

use super::super::probe::ClusterArguments;
use super::super::probe::objects::{choose, errors, fetch, named, place, report};
use super::super::probe::world::World;
use super::super::validate::load;
use super::error::CommandError;
use super::nowhere::{Known, Nowhere, as_trigger};
use crate::hooks::{ClusterActions, Hooks};
use crate::kubernetes::once::{Glance, Kind};
use crate::kubernetes::operations::SAVEPOINT_ANNOTATION;
use crate::kubernetes::record;
use crate::manifests::Document;
use crate::validation::{self, Files, Validated, hook_references};

/// The options that say which hook, and where Flink is.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The ScaledObject; needed where there are several with a hook for Flink.
    #[arg(value_name = "[NAMESPACE/]NAME")]
    object: Option<String>,
    /// A file, a directory (with all *.yaml, *.yml and *.json below it), or - for standard input. May be repeated.
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
    /// The namespace of an object that is named without one [default: `default` in files, the context's in a cluster]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The REST API of the JobManager: alone, without any hook; with an object, instead of the address that its hook has.
    #[arg(long, value_name = "URL")]
    rest_url: Option<String>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Where a command looks.
pub(super) struct Site {
    /// The object; none for a bare JobManager.
    pub(super) object: Option<Object>,
    /// What operations would begin with.
    pub(super) spec: HookSpec,
    /// What performs their actions.
    pub(super) hooks: Hooks,
    /// Whether a cluster is looked at.
    pub(super) in_cluster: bool,
    /// What is remembered of operations; none without a cluster.
    pub(super) remembered: Option<Remembered>,
    /// What was gathered, and the cluster around it.
    known: Arc<Known>,
}

/// The object whose hook it is.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// Its namespace and name.
    pub(super) id: ObjectId,
    /// `metadata.generation`, or a hash of the text.
    pub(super) generation: u64,
    /// What it scales.
    pub(super) target: TargetRef,
    /// What is wrong with its text.
    pub(super) flaws: Vec<String>,
    /// Policies that take no part; nothing is lowered while there are any.
    pub(super) faults: Vec<Fault>,
}

/// What a cluster remembers of an object's operations.
#[derive(Debug)]
pub(super) struct Remembered {
    /// When it was read.
    pub(super) now: Now,
    /// The operation that is under way.
    pub(super) operation: Option<Operation>,
    /// What earlier ones left behind.
    pub(super) left: Left,
    /// The annotation of the target that names savepoints.
    pub(super) annotation: Option<String>,
    /// Whether there is a ScaleRecord.
    pub(super) recorded: bool,
    /// What could not be read, and why.
    pub(super) unseen: Vec<String>,
}

impl Site {
    pub(super) fn new(
        object: Option<Object>,
        spec: HookSpec,
        (actions, world): (Arc<dyn ClusterActions>, World),
        remembered: Option<Remembered>,
    ) -> Self {
        let in_cluster = world.cluster().is_some();
        let known = Arc::new(Known(world));
        let hooks = Hooks::new(actions, Arc::clone(&known) as _, Endpoints::new());
        Self { object, spec, hooks, in_cluster, remembered, known }
    }

    /// The hook for Flink.
    pub(super) fn flink(&self) -> Result<&Flink, CommandError> {
        let flink = self.spec.pre_scale.iter().find_map(Item::flink);
        flink.ok_or_else(|| CommandError::NoHook { object: self.name(), why: Vec::new() })
    }

    /// What the cluster remembers by now, read anew; none without a cluster.
    pub(super) async fn remember_again(&self) -> Option<Remembered> {
        let (glance, object) = self.known.0.cluster().zip(self.object.as_ref())?;
        Some(remember(glance, object).await)
    }

    /// Refuses an object that is not in order.
    pub(super) fn in_order(&self) -> Result<(), CommandError> {
        match &self.object {
            Some(object) if !object.flaws.is_empty() => {
                Err(CommandError::NotInOrder { object: self.name(), why: object.flaws.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The target; an empty one for a bare JobManager, whose hook refers to nothing.
    pub(super) fn target(&self) -> TargetRef {
        self.object.as_ref().map(|object| object.target.clone()).unwrap_or_default()
    }

    /// The object's id, as actions want it.
    pub(super) fn id(&self) -> ObjectId {
        self.object.as_ref().map_or_else(|| ObjectId::new("", ""), |object| object.id.clone())
    }

    fn name(&self) -> String {
        self.id().to_string()
    }
}

/// Finds everything that the options name.
pub(super) async fn find(options: Place) -> Result<Site, CommandError> {
    let Place { object, files, namespace, rest_url, cluster } = options;
    if let Some(url) = &rest_url {
        check_address(url)?;
    }
    let cluster_namespace = cluster.cluster_object_namespace.clone().filter(|name| !name.is_empty());
    let glance = cluster.look().await?;
    if files.is_empty() && glance.is_none() {
        return match (object, rest_url) {
            (None, Some(url)) => Ok(bare(url)),
            (Some(object), _) => {
                let allowed = "is in no file and no cluster; -f names files, --cluster looks in a cluster";
                Err(CommandError::option("[NAMESPACE/]NAME", Some(&object), allowed))
            }
            (None, None) => Err(CommandError::Nowhere),
        };
    }
    let (documents, chosen) = gather(object, files, namespace, glance.as_ref()).await?;
    let own = cluster_namespace.unwrap_or_else(|| if glance.is_some() { "tidegate-system" } else { "keda" }.to_owned());
    let mut world = World::new(documents, glance, own);
    for document in &chosen {
        world.gather(&document.value, document.namespace(), &[]).await;
    }
    world.unseen().for_each(|why| eprintln!("warning: {why}"));
    let (object, mut spec) = hook(&chosen, &world)?;
    if let Some(url) = rest_url {
        at(&mut spec, &url);
    }
    let references = hook_references(&spec, &object.target, None);
    let references: Vec<_> = references.into_iter().map(|one| as_trigger(one.references)).collect();
    world.gather(&Value::Null, &object.id.namespace, &references).await;
    let remembered = match world.cluster() {
        Some(glance) => Some(remember(glance, &object).await),
        None => None,
    };
    let actions: Arc<dyn ClusterActions> = world.cluster().map_or_else(|| Arc::new(Nowhere) as _, Glance::actions);
    Ok(Site::new(Some(object), spec, (actions, world), remembered))
}

/// What is wrong with an address is said before anything is asked; the same words as for a hook.
fn check_address(url: &str) -> Result<(), CommandError> {
    let metadata = [("restUrl".to_owned(), url.to_owned())].into();
    let opened = tidegate_scalers::flink::client::FlinkClient::open(&metadata, &[].into(), &Endpoints::new());
    // The value may hold a login, so it is not repeated.
    let refuse =
        |_| CommandError::option("--rest-url", None, "is not a URL with http:// or https:// and without a query");
    opened.map(drop).map_err(refuse)
}

/// A JobManager without any object: a hook with nothing but defaults.
fn bare(url: String) -> Site {
    let flink = Flink { endpoint: Some(FlinkEndpoint::RestUrl(url)), ..Flink::default() };
    let item = Item { name: "by hand".to_owned(), work: Work::Flink(Box::new(flink)), ..Item::default() };
    let spec = HookSpec { pre_scale: vec![item], post_scale: Vec::new() };
    let world = World::new(Vec::new(), None, "keda".to_owned());
    Site::new(None, spec, (Arc::new(Nowhere), world), None)
}

/// Lets the hook for Flink talk to another address.
fn at(spec: &mut HookSpec, url: &str) {
    for item in &mut spec.pre_scale {
        if let Work::Flink(flink) = &mut item.work {
            flink.endpoint = Some(FlinkEndpoint::RestUrl(url.to_owned()));
        }
    }
}

/// All documents, and those that are meant.
async fn gather(
    object: Option<String>,
    files: Vec<PathBuf>,
    namespace: Option<String>,
    glance: Option<&Glance>,
) -> Result<(Vec<Document>, Vec<Document>), CommandError> {
    let from_files = !files.is_empty();
    let loaded = tokio::task::spawn_blocking(move || load(files)).await.unwrap_or_default();
    loaded.broken.iter().for_each(|broken| eprintln!("{broken}"));
    let context = glance.filter(|_| !from_files).map(|glance| glance.namespace().to_owned());
    let namespace = namespace.or(context).unwrap_or_else(|| "default".to_owned());
    let wanted: Vec<ObjectId> = object.iter().map(|text| named(text, &namespace)).collect();
    let mut documents = loaded.documents;
    if let Some(glance) = glance.filter(|_| !from_files) {
        documents.extend(fetch(glance, &wanted, &namespace).await?);
    }
    let chosen = choose(&documents, &wanted)?;
    Ok((documents, chosen))
}

/// The one object with a hook for Flink, and its hooks. What is wrong with its text goes to standard error.
fn hook(chosen: &[Document], world: &World) -> Result<(Object, HookSpec), CommandError> {
    let known = Files::new(world.documents()).for_cluster();
    let reports = validation::documents(world.documents(), &known, &Settings::default(), Timestamp::now());
    let found: Vec<_> = chosen
        .iter()
        .filter_map(|document| {
            let report = report(document, world, &reports)?;
            Some((document, report, report.scaled_object.as_ref()?))
        })
        .collect();
    let with: Vec<_> = found.iter().filter(|(_, _, validated)| flink_hooks(validated).is_some()).collect();
    let several = if with.is_empty() { found.iter().collect() } else { with };
    let [(document, report, validated)] = several.as_slice() else {
        return Err(CommandError::Several(several.iter().map(|(document, ..)| name(document)).collect()));
    };
    let mut flaws = Vec::new();
    for finding in errors(Some(report)) {
        eprintln!("{} {finding}", place(document, finding));
        flaws.push(finding.problem.to_string());
    }
    let Some((target, spec)) = validated.target.clone().zip(flink_hooks(validated)) else {
        let faults = validated.subject.as_ref().map(|subject| subject.faults.as_slice()).unwrap_or_default();
        let why = faults.iter().map(|fault| fault.message.clone()).collect();
        return Err(CommandError::NoHook { object: name(document), why });
    };
    let id = ObjectId::new(document.namespace(), document.name());
    let generation = validated.subject.as_ref().map_or(0, |subject| subject.generation);
    let faults = validated.subject.as_ref().map(|subject| subject.faults.clone()).unwrap_or_default();
    Ok((Object { id, generation, target, flaws, faults }, spec))
}

fn name(document: &Document) -> String {
    format!("{}/{}", document.namespace(), document.name())
}

/// The hooks of an object, if there is one for Flink among them.
fn flink_hooks(validated: &Validated) -> Option<HookSpec> {
    let hooks = validated.hooks.as_deref()?;
    hooks.pre_scale.iter().any(|item| item.flink().is_some()).then(|| hooks.clone())
}

/// What the cluster remembers. What cannot be read is told, and is not taken for something that is not there.
pub(super) async fn remember(glance: &Glance, object: &Object) -> Remembered {
    let now = Now { tick: Tick(0), wall: Timestamp::now() };
    let mut all = Remembered {
        now,
        operation: None,
        left: Left::default(),
        annotation: None,
        recorded: false,
        unseen: Vec::new(),
    };
    let ObjectId { namespace, name } = &object.id;
    match glance.object(&Kind::ScaleRecord, namespace, name).await {
        Ok(None) => {}
        Ok(Some(record)) => {
            all.recorded = true;
            all.read(&record["status"]);
        }
        Err(unseen) => all.unseen.push(format!("ScaleRecord {namespace}/{name}: {}", unseen.why)),
    }
    let target = &object.target;
    match glance.object(&Kind::of(target), &target.namespace, &target.name).await {
        Ok(whole) => {
            let annotations = whole.as_ref().and_then(|whole| whole.pointer("/metadata/annotations"));
            let value = annotations.and_then(|all| all.get(SAVEPOINT_ANNOTATION)).and_then(Value::as_str);
            all.annotation = value.filter(|value| !value.is_empty()).map(str::to_owned);
        }
        Err(unseen) => all.unseen.push(format!("{target}: {}", unseen.why)),
    }
    all
}

impl Remembered {
    /// Takes over what the status of a ScaleRecord says.
    pub(super) fn read(&mut self, status: &Value) {
        if status.is_null() {
            return;
        }
        let status: ScaleRecordStatus = match serde_json::from_value(status.clone()) {
            Ok(status) => status,
            Err(error) => return self.unseen.push(format!("the status of the ScaleRecord cannot be read: {error}")),
        };
        let (operation, left) = record::operation(&status);
        match operation.map(|text| stored::read(&text, self.now)).transpose() {
            Ok(operation) => self.operation = operation,
            Err(error) => self.unseen.push(error.to_string()),
        }
        match left.map(|text| Left::read(&text)).transpose() {
            Ok(left) => self.left = left.unwrap_or_default(),
            Err(error) => self.unseen.push(error.to_string()),
        }
    }
}

/// A failure of ours that needs no repetition.
pub(super) fn config(text: &str) -> CommandError {
    CommandError::Unanswered(Failure::new(Class::Config, text))
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        Self::Unanswered(failure)
    }
}
