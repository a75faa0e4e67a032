//! DescribeConfigs (key 32), versions 1-4.
//!
//! Versions: 1 sources and synonyms (KIP-226) · 3 types and documentation (KIP-569) · 4 flexible.
//!
//! Stage: pipelined.
//!
//! Topics show every key of the topic table, brokers every key of the broker table, whether it acts here or not: tools
//! read keys back and stop where one is missing.
//!
//! Deliberate deviations from Kafka: a resource that is named twice is described once, because its description is a
//! thousand times the size of its name; only topics and brokers have settings.

use std::collections::BTreeMap;

use protocol::ErrorCode;
use protocol::messages::describe_configs_request::DescribeConfigsResource;
use protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse, StrBytes};

use super::RequestContext;
use super::distinct::{Distinct, distinct};
use crate::cluster::names::check_topic_name;
use crate::config::keys::{BROKER_KEYS, Effect, Key, TOPIC_KEYS};
use crate::config::kinds::Kind;
use crate::config::topic::{BrokerLayers, ConfigSource, Effective, Synonym, effective};
use crate::kafka_error;

/// Resource type of a topic.
pub(super) const TOPIC: i8 = 2;
/// Resource type of a broker.
pub(super) const BROKER: i8 = 4;
/// First version with types and documentation.
const TYPES_FROM: i16 = 3;

/// An error with the text that the client's user sees.
type Refusal = (ErrorCode, String);

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let form = Form {
        synonyms: request.include_synonyms,
        types: TYPES_FROM <= ctx.api_version,
        documentation: TYPES_FROM <= ctx.api_version && request.include_documentation,
    };
    let resources = distinct(&request.resources, |resource| {
        (resource.resource_type, resource.resource_name.as_str())
    });
    let results = resources.into_iter().map(|Distinct { item: resource, .. }| {
        let described = match resource.resource_type {
            TOPIC => topic(ctx, resource, form),
            BROKER => broker(ctx, resource, form),
            other => Err((
                ErrorCode::InvalidRequest,
                format!("resources of type {other} have no settings here"),
            )),
        };
        result(resource, described)
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// What of an entry the client wants to see.
#[derive(Clone, Copy)]
struct Form {
    synonyms: bool,
    types: bool,
    documentation: bool,
}

fn topic(
    ctx: &RequestContext,
    resource: &DescribeConfigsResource,
    form: Form,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let name = resource.resource_name.as_str();
    check_topic_name(name).map_err(|error| (kafka_error::topic_name(&error), error.to_string()))?;
    let image = ctx.services.controller.image();
    let topic = image.topic(name).ok_or_else(|| {
        (
            ErrorCode::UnknownTopicOrPartition,
            format!("topic '{name}' does not exist"),
        )
    })?;
    let layers = BrokerLayers {
        dynamic: &image.broker_configs,
        fixed: &ctx.services.config.kafka.static_keys,
    };
    let wanted = TOPIC_KEYS.iter().filter(|key| is_wanted(resource, key));
    Ok(wanted
        .map(|key| entry(key, Some(effective(key, &topic.configs, layers)), false, form))
        .collect())
}

fn broker(
    ctx: &RequestContext,
    resource: &DescribeConfigsResource,
    form: Form,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let image = ctx.services.controller.image();
    let name = resource.resource_name.as_str();
    let whole_cluster = name.is_empty();
    // One name only: '01' would be another resource.
    if !whole_cluster && name != image.node_id.to_string() {
        let text = format!(
            "this is broker {}, and '{name}' is neither it nor the cluster default",
            image.node_id
        );
        return Err((ErrorCode::InvalidRequest, text));
    }
    let facts = facts(ctx);
    let wanted = BROKER_KEYS.iter().filter(|key| is_wanted(resource, key));
    // The cluster default shows what was changed while running and nothing else.
    let shown = wanted.filter(|key| !whole_cluster || image.broker_configs.contains_key(key.name));
    let entries = shown.map(|key| {
        let value = broker_value(
            key,
            &image.broker_configs,
            &ctx.services.config.kafka.static_keys,
            &facts,
        );
        entry(key, value, !key.dynamic || key.effect == Effect::Fact, form)
    });
    Ok(entries.collect())
}

/// The value that holds for a broker key; `None` is null.
fn broker_value(
    key: &'static Key,
    dynamic: &BTreeMap<String, String>,
    fixed: &BTreeMap<String, String>,
    facts: &[(&'static str, String)],
) -> Option<Effective> {
    let fact = facts.iter().find(|(name, _)| *name == key.name).map(|(_, value)| value);
    let layers = [
        (ConfigSource::DynamicDefault, dynamic.get(key.name).cloned()),
        (ConfigSource::Static, fixed.get(key.name).or(fact).cloned()),
        (ConfigSource::Default, key.default.map(str::to_owned)),
    ];
    let synonyms: Vec<Synonym> = layers
        .into_iter()
        .filter(|(_, value)| value.is_some())
        .map(|(source, value)| Synonym {
            name: key.name,
            value,
            source,
        })
        .collect();
    let first = synonyms.first()?;
    Some(Effective {
        value: first.value.clone()?,
        source: first.source,
        synonyms,
    })
}

/// Keys whose value this broker knows by itself.
fn facts(ctx: &RequestContext) -> Vec<(&'static str, String)> {
    let config = &ctx.services.config;
    let id = config.node.id.to_string();
    vec![
        ("advertised.listeners", format!("PLAINTEXT://{}", ctx.advertised)),
        ("broker.id", id.clone()),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT".to_owned()),
        ("listeners", format!("PLAINTEXT://{}", config.kafka.listen)),
        ("log.dirs", config.node.data_dir.join("topics").display().to_string()),
        ("node.id", id),
    ]
}

fn entry(key: &'static Key, value: Option<Effective>, read_only: bool, form: Form) -> DescribeConfigsResourceResult {
    let sensitive = key.kind == Kind::Password;
    let source = value.as_ref().map_or(ConfigSource::Default, |value| value.source);
    let mut entry = DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(key.name))
        .with_read_only(read_only)
        .with_config_source(source as i8)
        .with_is_sensitive(sensitive);
    // The codec's defaults are empty texts, which are values; null says that there is none.
    entry.value = None;
    if let Some(value) = value.filter(|_| !sensitive) {
        if form.synonyms {
            entry.synonyms = value.synonyms.into_iter().map(synonym).collect();
        }
        entry.value = Some(StrBytes::from_string(value.value));
    }
    if form.types {
        entry.config_type = key.kind as i8;
    }
    // As Kafka does where nobody asked.
    entry.documentation = None;
    if form.documentation {
        entry.documentation = Some(StrBytes::from_string(documentation(key)));
    }
    entry
}

fn documentation(key: &Key) -> String {
    match key.effect {
        Effect::NotYet(reason) => format!("{} Has no effect yet: {reason}.", key.doc),
        Effect::Acts | Effect::Fact => key.doc.to_owned(),
    }
}

fn synonym(synonym: Synonym) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(StrBytes::from_static_str(synonym.name))
        .with_value(synonym.value.map(StrBytes::from_string))
        .with_source(synonym.source as i8)
}

/// No list of keys and an empty one both ask for all.
fn is_wanted(resource: &DescribeConfigsResource, key: &Key) -> bool {
    match &resource.configuration_keys {
        Some(names) if !names.is_empty() => names.iter().any(|name| name.as_str() == key.name),
        _ => true,
    }
}

fn result(
    resource: &DescribeConfigsResource,
    described: Result<Vec<DescribeConfigsResourceResult>, Refusal>,
) -> DescribeConfigsResult {
    let result = DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone());
    match described {
        Ok(configs) => result.with_configs(configs),
        Err((code, text)) => result
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_string(text))),
    }
}
