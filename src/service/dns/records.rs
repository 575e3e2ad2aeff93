//! [`Zone`]: what each name of the cluster's domain stands for, worked out from the objects when it is asked for.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use hickory_proto::rr::rdata::{A, CNAME, PTR, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use crate::client::{Informer, Informers, ObjectRef};
use crate::service::slice::{SERVICE_NAME, service_of};

/// How many aliases are followed, one after the other: they may form a circle.
const ALIASES: usize = 8;

/// How long answers may be kept, in seconds: CoreDNS' default.
const TTL: u32 = 5;

/// The index of Services by cluster IP.
const CLUSTER_IP: &str = "dns/cluster-ip";
/// The index of EndpointSlices by address.
const ADDRESS: &str = "dns/address";

/// What a lookup came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The name exists; these are its records of the type asked for, perhaps none.
    Records {
        /// What answers the question.
        answers: Vec<Record>,
        /// Addresses of the names in the answers.
        additionals: Vec<Record>,
    },
    /// There is no such name.
    NoSuchName,
    /// The name is not of this domain.
    NotOurs,
}

impl Answer {
    fn of(answers: Vec<Record>) -> Self {
        Self::Records { answers, additionals: Vec::new() }
    }
}

/// The cluster's domain, over informers of Services and EndpointSlices.
#[derive(Clone, Debug)]
pub struct Zone {
    domain: Name,
    services: Informer<Service>,
    slices: Informer<EndpointSlice>,
}

/// An endpoint of a headless Service: its name below the Service's, its address, and its slice's ports.
struct Member {
    host: String,
    address: Ipv4Addr,
    ports: Vec<(String, String, u16)>,
}

impl Zone {
    /// The zone of `cluster.local`.
    pub fn new(informers: &Informers) -> Self {
        let labels: [&[u8]; 2] = [b"cluster", b"local"];
        // Two plain labels are a name.
        let domain = Name::from_labels(labels).unwrap_or_else(|_| Name::root());
        let services = informers.of::<Service>();
        let slices = informers.of::<EndpointSlice>();
        services.index(CLUSTER_IP, |service| {
            service.spec.iter().flat_map(|spec| spec.cluster_ip.clone()).filter(|ip| ip != "None").collect()
        });
        slices.index(SERVICE_NAME, |slice| service_of(slice).map(|service| service.to_string()).into_iter().collect());
        slices.index(ADDRESS, |slice| {
            slice.endpoints.iter().flatten().flat_map(|endpoint| endpoint.addresses.iter().cloned()).collect()
        });
        Self { domain, services, slices }
    }

    /// Waits until the zone knows the objects that exist.
    pub async fn synced(&self) {
        self.services.synced().await;
        self.slices.synced().await;
    }

    /// The domain.
    pub fn domain(&self) -> &Name {
        &self.domain
    }

    /// The zone's SOA record, which goes with negative answers.
    pub fn authority(&self) -> Record {
        let below = |label: &str| Name::from_ascii(label).and_then(|name| name.append_domain(&self.domain));
        let host = below("ns.dns").unwrap_or_else(|_| self.domain.clone());
        let person = below("hostmaster").unwrap_or_else(|_| self.domain.clone());
        let soa = SOA::new(host, person, 1, 7200, 1800, 86_400, TTL);
        Record::from_rdata(self.domain.clone(), TTL, RData::SOA(soa))
    }

    /// Looks `name` up. An alias within the zone is followed, so that the client need not ask again.
    pub fn lookup(&self, name: &Name, record_type: RecordType) -> Answer {
        let mut answer = self.find(name, record_type);
        if let (Answer::Records { answers, .. }, RecordType::A | RecordType::AAAA) = (&mut answer, record_type) {
            for _ in 0..ALIASES {
                let Some(RData::CNAME(alias)) = answers.last().map(|record| &record.data) else { break };
                let mut target = alias.0.clone();
                target.set_fqdn(true);
                let Answer::Records { answers: more, .. } = self.find(&target, record_type) else { break };
                answers.extend(more);
            }
        }
        answer
    }

    fn find(&self, name: &Name, record_type: RecordType) -> Answer {
        let lowered = lower(name);
        if let Some(address) = reverse(&lowered) {
            return self.pointer(name, address, record_type);
        }
        if !self.domain.zone_of(&lowered) {
            return Answer::NotOurs;
        }
        let labels: Vec<String> = lowered
            .iter()
            .take(usize::from(lowered.num_labels() - self.domain.num_labels()))
            .map(|label| String::from_utf8_lossy(label).into_owned())
            .collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        match labels.as_slice() {
            [] if record_type == RecordType::SOA => Answer::of(vec![self.authority()]),
            ["dns-version"] if record_type == RecordType::TXT => {
                let text = hickory_proto::rr::rdata::TXT::new(vec!["1.1.0".to_owned()]);
                Answer::of(vec![Record::from_rdata(name.clone(), TTL, RData::TXT(text))])
            }
            [] | ["svc" | "pod" | "dns-version"] => Answer::of(Vec::new()),
            [namespace, "svc"] if self.has_namespace(namespace) => Answer::of(Vec::new()),
            [service, namespace, "svc"] => self.service(name, namespace, service, None, record_type),
            [port, protocol, service, namespace, "svc"] if port.starts_with('_') && protocol.starts_with('_') => {
                self.ports(name, namespace, service, &port[1..], &protocol[1..], record_type)
            }
            [host, service, namespace, "svc"] => self.service(name, namespace, service, Some(host), record_type),
            [address, _, "pod"] => match address.replace('-', ".").parse::<Ipv4Addr>() {
                Ok(address) => Answer::of(addresses(name, record_type, [address])),
                Err(_) => Answer::NoSuchName,
            },
            _ => Answer::NoSuchName,
        }
    }

    fn has_namespace(&self, namespace: &str) -> bool {
        !self.services.list_in(namespace).is_empty()
    }

    fn service(
        &self,
        name: &Name,
        namespace: &str,
        service: &str,
        host: Option<&str>,
        record_type: RecordType,
    ) -> Answer {
        let Some(found) = self.services.get(namespace, service) else { return Answer::NoSuchName };
        let Some(spec) = &found.spec else { return Answer::NoSuchName };
        if let Some(target) = external(spec) {
            let alias = target.parse().ok().filter(|_| host.is_none());
            return alias.map_or(Answer::NoSuchName, |target| {
                Answer::of(vec![Record::from_rdata(name.clone(), TTL, RData::CNAME(CNAME(target)))])
            });
        }
        if let Some(address) = cluster_ip(spec) {
            return match host {
                None => Answer::of(addresses(name, record_type, [address])),
                Some(_) => Answer::NoSuchName,
            };
        }
        let members = self.members(namespace, service);
        let named = members.iter().filter(|member| host.is_none_or(|host| member.host == host));
        let found: Vec<_> = named.map(|member| member.address).collect();
        if found.is_empty() { Answer::NoSuchName } else { Answer::of(addresses(name, record_type, found)) }
    }

    fn ports(
        &self,
        name: &Name,
        namespace: &str,
        service: &str,
        port: &str,
        protocol: &str,
        record_type: RecordType,
    ) -> Answer {
        let Some(found) = self.services.get(namespace, service) else { return Answer::NoSuchName };
        let Some(spec) = found.spec.as_ref().filter(|spec| external(spec).is_none()) else {
            return Answer::NoSuchName;
        };
        let parent = |depth: usize| name.trim_to(usize::from(name.num_labels()) - depth);
        let mut targets: Vec<(Name, u16, Ipv4Addr)> = Vec::new();
        if let Some(address) = cluster_ip(spec) {
            let matching = spec.ports.iter().flatten().filter(|candidate| {
                candidate.name.as_deref() == Some(port)
                    && candidate.protocol.as_deref().unwrap_or("TCP").eq_ignore_ascii_case(protocol)
            });
            let numbers = matching.filter_map(|port| u16::try_from(port.port).ok());
            targets.extend(numbers.map(|number| (parent(2), number, address)));
        } else {
            for member in self.members(namespace, service) {
                let matching =
                    member.ports.iter().find(|(name, over, _)| name == port && over.eq_ignore_ascii_case(protocol));
                let host = Name::from_ascii(&member.host).and_then(|host| host.append_domain(&parent(2)));
                if let (Some((_, _, number)), Ok(host)) = (matching, host) {
                    targets.push((host, *number, member.address));
                }
            }
        }
        if targets.is_empty() {
            return Answer::NoSuchName;
        }
        if record_type != RecordType::SRV && record_type != RecordType::ANY {
            return Answer::of(Vec::new());
        }
        let weight = u16::try_from(100 / targets.len()).unwrap_or(0).max(1);
        let answer = |(host, port, _): &(Name, u16, Ipv4Addr)| {
            Record::from_rdata(name.clone(), TTL, RData::SRV(SRV::new(0, weight, *port, host.clone())))
        };
        let address =
            |(host, _, address): &(Name, u16, Ipv4Addr)| Record::from_rdata(host.clone(), TTL, RData::A(A(*address)));
        Answer::Records {
            answers: targets.iter().map(answer).collect(),
            additionals: targets.iter().map(address).collect(),
        }
    }

    fn pointer(&self, name: &Name, address: Ipv4Addr, record_type: RecordType) -> Answer {
        let text = address.to_string();
        let of_service = self.services.by(CLUSTER_IP, &text).into_iter().next().map(|service| {
            let meta = &service.metadata;
            format!(
                "{}.{}.svc",
                meta.name.as_deref().unwrap_or_default(),
                meta.namespace.as_deref().unwrap_or_default()
            )
        });
        let of_member = || {
            let slice = self.slices.by(ADDRESS, &text).into_iter().next()?;
            let service = service_of(&slice)?;
            let member = self.members(&service.namespace, &service.name);
            let member = member.iter().find(|member| member.address == address)?;
            Some(format!("{}.{}.{}.svc", member.host, service.name, service.namespace))
        };
        let Some(owner) = of_service.or_else(of_member) else { return Answer::NotOurs };
        let target = Name::from_ascii(owner).and_then(|owner| owner.append_domain(&self.domain));
        match target {
            Ok(target) if matches!(record_type, RecordType::PTR | RecordType::ANY) => {
                Answer::of(vec![Record::from_rdata(name.clone(), TTL, RData::PTR(PTR(target)))])
            }
            _ => Answer::of(Vec::new()),
        }
    }

    /// The endpoints that a headless Service's name stands for: the ready ones (which is what a Service that
    /// publishes the others too calls all of them).
    fn members(&self, namespace: &str, service: &str) -> Vec<Member> {
        let key = ObjectRef::new(namespace, service).to_string();
        let slices: Vec<Arc<EndpointSlice>> = self.slices.by(SERVICE_NAME, &key);
        let mut members: Vec<Member> = Vec::new();
        for slice in &slices {
            let ports = slice.ports.iter().flatten().filter_map(|port| {
                let number = u16::try_from(port.port?).ok()?;
                let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
                Some((port.name.clone().unwrap_or_default(), protocol, number))
            });
            let ports: Vec<_> = ports.collect();
            let ready = |endpoint: &&Endpoint| {
                endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false))
            };
            for endpoint in slice.endpoints.iter().flatten().filter(ready) {
                for address in endpoint.addresses.iter().filter_map(|address| address.parse().ok()) {
                    let host = endpoint.hostname.clone().unwrap_or_else(|| dashed(address));
                    members.push(Member { host, address, ports: ports.clone() });
                }
            }
        }
        members.sort_by(|a, b| (a.address, &a.host).cmp(&(b.address, &b.host)));
        members
    }
}

fn external(spec: &ServiceSpec) -> Option<&str> {
    spec.external_name.as_deref().filter(|_| spec.type_.as_deref() == Some("ExternalName"))
}

fn cluster_ip(spec: &ServiceSpec) -> Option<Ipv4Addr> {
    spec.cluster_ip.as_deref()?.parse().ok()
}

fn dashed(address: Ipv4Addr) -> String {
    address.to_string().replace('.', "-")
}

fn lower(name: &Name) -> Name {
    let mut name = name.to_lowercase();
    name.set_fqdn(true);
    name
}

/// The address that a name of `in-addr.arpa` is of.
fn reverse(name: &Name) -> Option<Ipv4Addr> {
    match name.parse_arpa_name().ok()?.addr() {
        IpAddr::V4(address) if name.num_labels() == 6 => Some(address),
        _ => None,
    }
}

fn addresses(name: &Name, record_type: RecordType, of: impl IntoIterator<Item = Ipv4Addr>) -> Vec<Record> {
    let wanted = matches!(record_type, RecordType::A | RecordType::ANY);
    let records = of.into_iter().filter(|_| wanted);
    records.map(|address| Record::from_rdata(name.clone(), TTL, RData::A(A(address)))).collect()
}
