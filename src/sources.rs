//! Where the trigger modules meet the engine: triggers are built, read and watched through one shared set of endpoints.

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Occasion, Parameters, ReadError, Readings, TriggerSpec, Wake,
};
use tidegate_engine::ports::Sources;
use tidegate_scalers::{Endpoints, Scaler, Surroundings, Watch};

/// All trigger types of this build. Triggers of one server with the same credentials share one connection.
#[derive(Default)]
pub struct TriggerSources {
    endpoints: Endpoints,
}

impl TriggerSources {
    /// Sources without any connection yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sources with a cluster around, for triggers on its pods and metrics APIs.
    pub fn within(surroundings: Arc<dyn Surroundings>) -> Self {
        Self { endpoints: Endpoints::within(surroundings) }
    }

    /// The connections of the triggers, for whoever talks to the same servers.
    pub fn endpoints(&self) -> Endpoints {
        self.endpoints.clone()
    }
}

#[async_trait]
impl Sources for TriggerSources {
    type Source = Box<dyn Scaler>;
    type Watch = Watch;

    fn open(&self, spec: &TriggerSpec, parameters: &Parameters) -> Result<Self::Source, ConfigError> {
        tidegate_scalers::open(spec, parameters, &self.endpoints)
    }

    fn endpoint(&self, source: &Self::Source) -> Option<EndpointId> {
        source.endpoint()
    }

    async fn read(&self, source: &Self::Source, occasion: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        source.read(occasion, deadline).await
    }

    fn watch(&self, source: &Self::Source, wake: Wake) -> Option<Self::Watch> {
        source.watch(wake)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_type_is_a_config_error_that_names_it() {
        let spec = TriggerSpec { kind: "reddis".to_owned(), ..TriggerSpec::default() };
        let error = TriggerSources::new().open(&spec, &Parameters::default()).err().expect("must not open");
        assert!(error.to_string().contains("\"reddis\" is not a trigger type"), "{error}");
    }
}
