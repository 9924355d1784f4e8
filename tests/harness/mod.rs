//! What the scenarios stand on: child processes that end for certain, a real Redis, a real Kafka, the real `tidegate`, and waiting
//! without sleeping.

pub(crate) mod children;
pub(crate) mod kafka;
pub(crate) mod manifests;
#[path = "../../scalers/tests/rabbitmq/server.rs"]
pub(crate) mod rabbitmq;
pub(crate) mod redis;
#[path = "../../scalers/tests/scripted/mongodb.rs"]
pub(crate) mod scripted_mongodb;
pub(crate) mod tidegate;
pub(crate) mod wait;

use libtest_mimic::Trial;

/// A scenario by name. It fails by a panic, as any test does.
pub(crate) fn trial(name: &'static str, scenario: fn()) -> Trial {
    Trial::test(name, move || {
        scenario();
        Ok(())
    })
}

/// A scenario that needs the real Redis.
pub(crate) fn trial_with_redis(name: &'static str, scenario: fn()) -> Trial {
    Trial::test(name, move || {
        match missing(&["redis-server", "redis-cli"]) {
            None => scenario(),
            Some(program) if under_ci() => {
                return Err(format!("{program} is not installed; `make tools` does it").into());
            }
            Some(program) => println!("skipped: {name} needs {program}; `make tools` installs it"),
        }
        Ok(())
    })
}

/// Whether nothing may be skipped.
pub(crate) fn under_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// The first of these programs that is not there.
pub(crate) fn missing(programs: &[&'static str]) -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |program: &&&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    programs.iter().find(|program| !found(program)).copied()
}
