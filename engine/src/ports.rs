//! What the driver needs from the world: objects, sources, parameters, targets, a journal and a clock.
//!
//! Each world (a cluster, one machine) implements these once; the engine sees none of them.

use async_trait::async_trait;
use tidegate_calculator::operation::action::Action;
use tidegate_calculator::operation::spec::HookSpec;
use tidegate_calculator::operation::{Class, Failure, Outcome};
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Occasion, Parameters, ReadError, Readings, TriggerSpec, Wake,
};
use tidegate_calculator::time::{Now, Tick};

use crate::protocol::{ApplyError, Change, Entry, Event, JournalError, Seen, TargetError, Version};
use crate::subject::{ObjectId, References, TargetRef};

/// Where objects and targets come from.
#[async_trait]
pub trait Objects: Send {
    /// The next change; none when there will be no more.
    async fn next(&mut self) -> Option<Change>;
}

/// What builds and reads triggers.
#[async_trait]
pub trait Sources: Send + Sync + 'static {
    /// A built trigger.
    type Source: Send + Sync + 'static;
    /// Keeps a subscription alive; dropping it unsubscribes.
    type Watch: Send + 'static;

    /// Builds a trigger; opens no connection.
    fn open(&self, spec: &TriggerSpec, parameters: &Parameters) -> Result<Self::Source, ConfigError>;
    /// The endpoint that a trigger reads from: triggers of one endpoint are read together.
    fn endpoint(&self, source: &Self::Source) -> Option<EndpointId>;
    /// Reads a trigger.
    async fn read(&self, source: &Self::Source, occasion: Occasion, deadline: Deadline) -> Result<Readings, ReadError>;
    /// Subscribes to a trigger's changes, if it was declared to push.
    fn watch(&self, source: &Self::Source, wake: Wake) -> Option<Self::Watch>;
}

/// What finds the values that a trigger's parameters refer to.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// The environment and the authentication of one trigger. What is absent is an error of this trigger alone.
    async fn resolve(&self, references: &References) -> Result<Parameters, ReadError>;
}

/// What is scaled.
#[async_trait]
pub trait Target: Send + Sync + 'static {
    /// Reads a target anew, past every cache.
    async fn refresh(&self, target: &TargetRef) -> Result<Seen, TargetError>;
    /// Sets the replicas if the target still has this version.
    async fn apply(&self, target: &TargetRef, replicas: u32, version: &Version) -> Result<Version, ApplyError>;
}

/// What performs the actions of operations.
#[async_trait]
pub trait Operations: Send + Sync + 'static {
    /// Performs one action; twice is once. `hooks` are those that the operation of `id` began with. The actions that look at the wish and the
    /// gates never come here, and the write of the replicas comes here only for a target that the object does not scale any more.
    async fn perform(&self, id: &ObjectId, target: &TargetRef, hooks: &HookSpec, action: &Action) -> Outcome;
}

/// For worlds that can perform none: they tell subjects without hooks, and whatever is asked all the same fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOperations;

#[async_trait]
impl Operations for NoOperations {
    async fn perform(&self, _: &ObjectId, _: &TargetRef, _: &HookSpec, _: &Action) -> Outcome {
        Outcome::Failed(Failure::new(Class::Config, "hooks need a cluster"))
    }
}

/// Where memory and status are kept, and people are told.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Stores an entry; it is durable when this returns.
    async fn store(&self, id: &ObjectId, entry: &Entry) -> Result<(), JournalError>;
    /// Tells people about an event; never blocks.
    fn announce(&self, id: &ObjectId, event: &Event);
}

/// The clock.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Now;
    /// Returns at `tick` or later.
    async fn until(&self, tick: Tick);
}
