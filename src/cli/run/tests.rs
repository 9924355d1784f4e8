use super::*;
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn options(line: &[&str]) -> Result<Options, String> {
    let line = Line::try_parse_from([&["run"], line].concat()).map_err(|error| error.to_string())?;
    line.arguments.options().map_err(|failure| failure.to_string())
}

#[test]
fn the_defaults_are_those_of_the_controller_manager_and_of_keda() {
    let options = options(&["--identity=me", "--own-namespace=own", "--watch-namespace="]).unwrap();
    assert_eq!(options.settings.calculator, policy::Settings::default());
    assert_eq!(options.election, Some(Times::default()));
    assert_eq!(options.settings.cluster_object_namespace, "own");
    assert_eq!((options.settings.keda_namespace.as_str(), options.settings.mode), ("keda", Mode::Auto));
    assert!(options.settings.namespaces.is_empty() && !options.ignore_live_keda);
}

#[test]
fn the_youth_of_pods_has_the_flags_of_the_controller_manager() {
    let line = [
        "--horizontal-pod-autoscaler-cpu-initialization-period=2m",
        "--horizontal-pod-autoscaler-initial-readiness-delay=0s",
    ];
    let youth = options(&line).unwrap().settings.calculator.youth;
    assert_eq!((youth.initialization, youth.readiness_delay), (Span::seconds(120), Span::ZERO));
    let youth = options(&["--cpu-initialization-period=90s"]).unwrap().settings.calculator.youth;
    assert_eq!((youth.initialization, youth.readiness_delay), (Span::seconds(90), Span::seconds(30)));
    let why = options(&["--initial-readiness-delay=-1s"]).unwrap_err();
    assert!(why.contains("--initial-readiness-delay") && why.contains("zero or more"), "{why}");
}

#[test]
fn the_time_of_a_read_is_in_milliseconds_as_keda_has_it() {
    assert_eq!(options(&[]).unwrap().settings.read_deadline, Span::seconds(3));
    assert_eq!(options(&["--read-timeout=250"]).unwrap().settings.read_deadline, Span(250));
    assert_eq!("".parse(), Ok(Milliseconds(READ_DEADLINE)));
    for wrong in ["0", "-1", "5s", "600001"] {
        let why = options(&[&format!("--read-timeout={wrong}")]).err().unwrap();
        assert!(why.contains("--read-timeout") && why.contains("from 1 to 600000"), "{why}");
    }
}

#[test]
fn namespaces_read_as_keda_reads_them() {
    assert_eq!("\"\"".parse(), Ok(Namespaces::default()));
    assert_eq!("shop, bank,shop".parse(), Ok(Namespaces(vec!["shop".to_owned(), "bank".to_owned()])));
    assert!("Shop".parse::<Namespaces>().unwrap_err().contains("\"Shop\" is no name of a namespace"));
}

#[test]
fn addresses_read_as_the_controller_manager_reads_them() {
    assert_eq!(":8080".parse(), Ok(Address::At((Ipv6Addr::UNSPECIFIED, 8080).into())));
    assert_eq!("127.0.0.1:0".parse(), Ok(Address::At(([127, 0, 0, 1], 0).into())));
    assert_eq!("none".parse(), Ok(Address::None));
    assert!("8080".parse::<Address>().unwrap_err().contains(":8080"));
}

#[tokio::test]
async fn a_port_alone_is_reached_by_both_protocols() {
    let bound = bind("--metrics-bind-address", ":0".parse().unwrap(), Paths::Metrics).await.unwrap();
    let (listener, _) = bound.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok() {
        tokio::net::TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.unwrap();
    }
}

#[test]
fn settings_of_keda_that_are_not_obeyed_are_named() {
    let with = |set: &'static [(&'static str, &'static str)]| {
        unsupported(move |name| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
    };
    assert!(with(&[]).is_empty());
    assert!(with(&[("KEDA_RESTRICT_SECRET_ACCESS", "false")]).is_empty(), "that is how it is");
    let said = with(&[("KEDA_RESTRICT_SECRET_ACCESS", "True")]);
    assert!(said.len() == 1 && said[0].starts_with("KEDA_RESTRICT_SECRET_ACCESS=True is not supported"), "{said:?}");
}

#[test]
fn times_that_contradict_each_other_are_refused_by_name() {
    let error = options(&["--renew-deadline=20s"]).unwrap_err();
    assert!(error.contains("--renew-deadline 20s is not below --lease-duration 15s"), "{error}");
    assert!(options(&["--retry-period=11s"]).unwrap_err().contains("--retry-period"));
    assert!(options(&["--lease-duration=15500ms"]).unwrap_err().contains("whole seconds"));
    assert!(options(&["--sync-period=0s"]).unwrap_err().contains("a time above zero"));
    assert!(options(&["--tolerance=-1"]).is_err() && options(&["--tolerance=NaN"]).is_err());
    let options = options(&["--leader-elect=false", "--downscale-stabilization=1m30s", "--mode=Observe"]).unwrap();
    assert_eq!((options.election, options.settings.mode), (None, Mode::Observe));
    assert_eq!(options.settings.calculator.downscale_window, Span::seconds(90));
}
