//! DNS queries, each within a few seconds.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::time::timeout;
use tracing::debug;

/// How long a query may take in all: callers wait for the answer.
const QUERY_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one server may take before the query is repeated.
const TRY_TIMEOUT: Duration = Duration::from_millis(1200);
const TRIES: usize = 2;

/// No server answered in time, or the server failed.
#[derive(Debug)]
pub struct NoAnswer;

/// Who answers a question about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    NameServers,
    StandIn,
    Nobody,
}

/// What answers in place of the name servers: a table, on a development or test server.
pub trait StandIn: Send + Sync {
    /// Who answers; may take its time.
    fn answering<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Answering>;
    /// The texts of a name.
    fn txt(&self, name: &str) -> Vec<Vec<u8>>;
    /// Where the name's own CNAME leads.
    fn cname(&self, name: &str) -> Option<String>;
    /// The addresses of a name.
    fn addresses(&self, name: &str) -> Vec<IpAddr>;
}

/// The client.
pub struct Dns {
    /// `None`: the servers in the system's settings.
    pub server: Option<SocketAddr>,
    /// What answers first, where there is one.
    pub stand_in: Option<Arc<dyn StandIn>>,
}

impl Dns {
    /// The first string of each TXT record of a name, CNAMEs followed; empty where there is none.
    pub async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, NoAnswer> {
        let first = |data: RData| match data {
            RData::TXT(txt) => txt.txt_data.first().map(|text| text.to_vec()),
            _ => None,
        };
        if let Some(stand_in) = self.stand_in(name).await? {
            return Ok(stand_in.txt(name));
        }
        Ok(self.query(name, RecordType::TXT).await?.into_iter().filter_map(|(_, data)| first(data)).collect())
    }

    /// The name that a name's own CNAME leads to, in lower case and without its final dot.
    pub async fn cname(&self, name: &str) -> Result<Option<String>, NoAnswer> {
        if let Some(stand_in) = self.stand_in(name).await? {
            return Ok(stand_in.cname(name));
        }
        let records = self.query(name, RecordType::CNAME).await?;
        let own = records.into_iter().find_map(|(owner, data)| match data {
            RData::CNAME(target) if plain(&owner) == name.to_lowercase() => Some(plain(&target.0)),
            _ => None,
        });
        Ok(own)
    }

    /// The IPv4 addresses of a name.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NoAnswer> {
        let address = |data| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            _ => None,
        };
        if let Some(stand_in) = self.stand_in(name).await? {
            return Ok(stand_in.addresses(name));
        }
        Ok(self.query(name, RecordType::A).await?.into_iter().filter_map(|(_, data)| address(data)).collect())
    }

    /// What stands in for the name servers; `None` where they are asked.
    async fn stand_in(&self, name: &str) -> Result<Option<&dyn StandIn>, NoAnswer> {
        let Some(stand_in) = self.stand_in.as_deref() else { return Ok(None) };
        match timeout(QUERY_TIMEOUT, stand_in.answering(name)).await {
            Ok(Answering::NameServers) => Ok(None),
            Ok(Answering::StandIn) => Ok(Some(stand_in)),
            Ok(Answering::Nobody) | Err(_) => Err(NoAnswer),
        }
    }

    async fn query(&self, name: &str, kind: RecordType) -> Result<Vec<(Name, RData)>, NoAnswer> {
        let no_answer = |cause: NetError| {
            debug!(name, %kind, %cause, "the DNS gave no answer");
            NoAnswer
        };
        // With its final dot: no search list is tried.
        let name = Name::from_ascii(format!("{name}.")).map_err(|_| NoAnswer)?;
        let resolver = self.resolver().map_err(no_answer)?;
        match timeout(QUERY_TIMEOUT, resolver.lookup(name, kind)).await {
            Err(_) => Err(NoAnswer),
            Ok(Ok(found)) => {
                Ok(found.answers().iter().map(|record| (record.name.clone(), record.data.clone())).collect())
            }
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords {
                response_code: ResponseCode::NXDomain | ResponseCode::NoError,
                ..
            })))) => Ok(Vec::new()),
            Ok(Err(cause)) => Err(no_answer(cause)),
        }
    }

    /// Made for each query, which are few: nothing is cached, and a change of the system's servers is seen at
    /// once.
    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut builder = match self.server {
            Some(address) => {
                let mut server = NameServerConfig::udp_and_tcp(address.ip());
                for connection in &mut server.connections {
                    connection.port = address.port();
                }
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
            None => TokioResolver::builder_tokio()?,
        };
        let options: &mut ResolverOpts = builder.options_mut();
        options.cache_size = 0;
        options.timeout = TRY_TIMEOUT;
        options.attempts = TRIES;
        options.use_hosts_file = ResolveHosts::Never;
        builder.build()
    }
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_lowercase()
}
