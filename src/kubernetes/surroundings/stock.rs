//! The pods of one namespace, found by their labels without looking at all of them.
//!
//! Nearly every selector asks for `label=value`. The first question with a label arranges the pods by the values of that label; from then
//! on each pod is put where it belongs when it changes.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_calculator::hpa::selector::Selector;

use super::view::Kept;

/// How many labels pods are arranged by at most. Charts use a handful; selectors with further ones look at more pods.
const MOST: usize = 16;

/// Pods by their names.
pub(super) type Named = HashMap<String, Arc<Kept>>;

/// The pods of one namespace.
#[derive(Debug, Default)]
pub(super) struct Stock {
    pods: Named,
    /// By label, then by its value: the pods that have it.
    arranged: HashMap<String, HashMap<String, Named>>,
}

impl Stock {
    /// These are the pods now.
    pub(super) fn set(&mut self, pods: Named) {
        for (label, values) in &mut self.arranged {
            *values = by_value(label, &pods);
        }
        self.pods = pods;
    }

    /// A pod has come or has changed. As it was before, if it was there.
    pub(super) fn insert(&mut self, pod: Arc<Kept>) -> Option<Arc<Kept>> {
        // Its labels may have changed.
        let before = self.take(pod.name());
        for (label, values) in &mut self.arranged {
            if let Some(value) = pod.labels().get(label) {
                values.entry(value.clone()).or_default().insert(pod.name().to_owned(), pod.clone());
            }
        }
        self.pods.insert(pod.name().to_owned(), pod);
        before
    }

    /// A pod is gone. As it was before, if it was there.
    pub(super) fn take(&mut self, name: &str) -> Option<Arc<Kept>> {
        let old = self.pods.remove(name)?;
        for (label, values) in &mut self.arranged {
            let Some(value) = old.labels().get(label) else { continue };
            let Some(alike) = values.get_mut(value) else { continue };
            alike.remove(name);
            if alike.is_empty() {
                values.remove(value);
            }
        }
        Some(old)
    }

    /// The pods that a selector matches.
    pub(super) fn matching(&mut self, selector: &Selector) -> Vec<Arc<Kept>> {
        let Some(alike) = self.fewest(selector) else { return Vec::new() };
        alike.values().filter(|pod| selector.matches(pod.labels())).cloned().collect()
    }

    /// The fewest pods among which all that match must be; none if no pod can match.
    fn fewest(&mut self, selector: &Selector) -> Option<&Named> {
        for (label, _) in selector.equalities() {
            if self.arranged.len() < MOST && !self.arranged.contains_key(label) {
                self.arranged.insert(label.to_owned(), by_value(label, &self.pods));
            }
        }
        let mut fewest = &self.pods;
        for (label, value) in selector.equalities() {
            if let Some(values) = self.arranged.get(label) {
                let alike = values.get(value)?;
                if alike.len() < fewest.len() {
                    fewest = alike;
                }
            }
        }
        Some(fewest)
    }
}

fn by_value(label: &str, pods: &Named) -> HashMap<String, Named> {
    let mut values: HashMap<String, Named> = HashMap::new();
    for (name, pod) in pods {
        if let Some(value) = pod.labels().get(label) {
            values.entry(value.clone()).or_default().insert(name.clone(), pod.clone());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::view::PodView;
    use super::*;

    fn pod(name: &str, labels: &[(&str, &str)]) -> Arc<Kept> {
        let labels: HashMap<_, _> = labels.iter().copied().collect();
        let view = json!({ "metadata": { "name": name, "labels": labels } });
        Arc::new(serde_json::from_value::<PodView>(view).unwrap().keep())
    }

    fn found(stock: &mut Stock, selector: &str) -> Vec<String> {
        let pods = stock.matching(&Selector::parse(selector).unwrap());
        let mut names: Vec<String> = pods.iter().map(|pod| pod.name().to_owned()).collect();
        names.sort();
        names
    }

    fn stock(pods: &[Arc<Kept>]) -> Stock {
        let mut stock = Stock::default();
        stock.set(pods.iter().map(|pod| (pod.name().to_owned(), pod.clone())).collect());
        stock
    }

    /// Whatever was asked before, and however a pod has come to be, the answer is that of looking at all.
    #[test]
    fn an_answer_is_that_of_looking_at_all_pods() {
        let mut stock = stock(&[pod("a", &[("app", "web"), ("tier", "front")]), pod("b", &[("app", "web")])]);
        for selector in ["app=web", "app in (web),tier=front", "tier", "app=api"] {
            found(&mut stock, selector);
        }
        stock.insert(pod("b", &[("app", "api"), ("tier", "front")]));
        stock.insert(pod("c", &[("app", "web")]));
        stock.take("a");
        stock.take("never");
        stock.insert(pod("d", &[]));
        assert_eq!(found(&mut stock, "app=web"), ["c"]);
        assert_eq!(found(&mut stock, "app=api,tier=front"), ["b"]);
        assert_eq!(found(&mut stock, "app=web,tier=front"), [""; 0]);
        assert_eq!(found(&mut stock, "app in (web,api)"), ["b", "c"]);
        assert_eq!(found(&mut stock, "!app"), ["d"]);
        assert_eq!(found(&mut stock, "app!=web"), ["b", "d"]);
        stock.set(HashMap::from([("e".to_owned(), pod("e", &[("app", "web")]))]));
        assert_eq!((found(&mut stock, "app=web"), found(&mut stock, "tier=front")), (vec!["e".to_owned()], vec![]));
    }

    #[test]
    fn a_question_looks_at_the_fewest_pods_that_a_label_leaves() {
        let one = |index: usize| {
            pod(&format!("p{index}"), &[("component", "server"), ("instance", &format!("i{}", index % 100))])
        };
        let mut stock = stock(&(0..1_000).map(one).collect::<Vec<_>>());
        let selector = Selector::parse("component=server,instance=i7").unwrap();
        // 1,000 pods of 100 instances: 10 each.
        assert_eq!(stock.fewest(&selector).map(HashMap::len), Some(10));
        assert_eq!(stock.matching(&selector).len(), 10);
        assert!(stock.fewest(&Selector::parse("instance=none").unwrap()).is_none());
        // With as many labels as there may be, the others are looked through.
        for index in 0..2 * MOST {
            let selector = Selector::parse(&format!("label{index}=x,instance=i7")).unwrap();
            assert!(stock.matching(&selector).is_empty());
        }
        assert_eq!(stock.arranged.len(), MOST);
        assert_eq!(stock.fewest(&selector).map(HashMap::len), Some(10));
    }
}
