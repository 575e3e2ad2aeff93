//! Kubeconfigs: what is read can be written and read again, and names somebody or says why not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orchestrion::client::remote::kubeconfig::Kubeconfig;

fuzz_target!(|text: &str| {
    let Ok(config) = Kubeconfig::from_yaml(text) else { return };
    let again = Kubeconfig::from_yaml(&config.to_yaml()).expect("what was written can be read");
    assert_eq!(again.to_yaml(), config.to_yaml());
    // Files that a user names are not this target's subject: only what needs none is asked for.
    if !text.contains("certificate-authority:") && !text.contains("client-") && !text.contains("tokenFile") {
        let _ = config.access(None);
    }
});
