//! From an event's type and source to the webhooks that may want it, without looking at the others.

use std::collections::HashMap;
use std::sync::Arc;

use webhook_wire::event_type::Pattern;

use super::Hook;
use crate::event::Facts;

/// A subscriber: event name (empty: any) and webhook.
type Subscriber = (String, Arc<Hook>);

#[derive(Debug, Default, Clone)]
pub(super) struct Index {
    exact: HashMap<String, Vec<Arc<Hook>>>,
    /// By prefix, dot included.
    below: HashMap<String, Vec<Arc<Hook>>>,
    every: Vec<Arc<Hook>>,
    emitters: HashMap<String, Vec<Subscriber>>,
    globs: Vec<(String, Subscriber)>,
}

impl Index {
    pub(super) fn add(&mut self, hook: &Arc<Hook>) {
        for pattern in &hook.patterns {
            match pattern {
                Pattern::Exact(kind) => self.exact.entry(kind.clone()).or_default().push(hook.clone()),
                Pattern::Below(root) => self.below.entry(root.clone()).or_default().push(hook.clone()),
                Pattern::Any => self.every.push(hook.clone()),
            }
        }
        for (emitter, event) in &hook.subscriptions {
            let subscriber = (event.clone(), hook.clone());
            if emitter.contains(['*', '?']) {
                self.globs.push((emitter.clone(), subscriber));
            } else {
                self.emitters.entry(emitter.clone()).or_default().push(subscriber);
            }
        }
    }

    /// Adds the candidates for the event; one may come more than once.
    pub(super) fn collect<'a>(&'a self, facts: &Facts, found: &mut Vec<&'a Arc<Hook>>) {
        let kind = &*facts.kind;
        found.extend(&self.every);
        found.extend(self.exact.get(kind).into_iter().flatten());
        for (dot, _) in kind.match_indices('.') {
            found.extend(self.below.get(&kind[..=dot]).into_iter().flatten());
        }
        let Some(source) = facts.source.as_deref() else { return };
        let wanted = |(event, _): &&Subscriber| event.is_empty() || **event == *kind;
        let direct = self.emitters.get(source).into_iter().flatten().filter(wanted);
        found.extend(direct.map(|(_, hook)| hook));
        let matching = self.globs.iter().filter(|(glob, _)| glob_matches(glob, source));
        found.extend(matching.map(|(_, subscriber)| subscriber).filter(wanted).map(|(_, hook)| hook));
    }
}

/// `*` stands for any run of characters, `?` for one.
fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut g, mut t) = (0, 0);
    let mut retry = None;
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                retry = Some((g + 1, t + 1));
                g += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                g += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, next)) => {
                    (g, t) = (after_star, next);
                    retry = Some((after_star, next + 1));
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::glob_matches;

    #[test]
    fn globs() {
        for (glob, text, expected) in [
            ("src_*", "src_01h", true),
            ("src_*", "wh_01h", false),
            ("*", "", true),
            ("*01h", "src_01h", true),
            ("s?c_*h", "src_01h", true),
            ("src_", "src_01h", false),
            ("a*b*c", "a1b2bc", true),
            ("a*b*c", "a1c2b", false),
        ] {
            assert_eq!(glob_matches(glob, text), expected, "{glob} {text}");
        }
    }
}
