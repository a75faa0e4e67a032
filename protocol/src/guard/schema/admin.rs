//! Versions, configuration, cluster.

use kafka_protocol::messages::{
    ApiVersionsRequest, DescribeClusterRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    describe_configs_request, incremental_alter_configs_request,
};

use super::{BOOL, INT8, Kind, Schema, Shape, TEXT_ARRAY, field};
use crate::api_key::ApiKey;

pub(super) static API_VERSIONS: Schema = Schema::new(ApiKey::ApiVersions, (0, 4), &API_VERSIONS_BODY);

static API_VERSIONS_BODY: Shape = Shape::new::<ApiVersionsRequest>(&[
    field("client_software_name", Kind::Text).since(3),
    field("client_software_version", Kind::Text).since(3),
]);

pub(super) static DESCRIBE_CONFIGS: Schema = Schema::new(ApiKey::DescribeConfigs, (1, 4), &DESCRIBE_CONFIGS_BODY);

static DESCRIBE_CONFIGS_BODY: Shape = Shape::new::<DescribeConfigsRequest>(&[
    field("resources", Kind::Array(&Kind::Struct(&DESCRIBE_CONFIGS_RESOURCE))),
    field("include_synonyms", BOOL),
    field("include_documentation", BOOL).since(3),
]);

static DESCRIBE_CONFIGS_RESOURCE: Shape = Shape::new::<describe_configs_request::DescribeConfigsResource>(&[
    field("resource_type", INT8),
    field("resource_name", Kind::Text),
    field("configuration_keys", TEXT_ARRAY).nullable(),
]);

pub(super) static INCREMENTAL_ALTER_CONFIGS: Schema =
    Schema::new(ApiKey::IncrementalAlterConfigs, (0, 1), &INCREMENTAL_ALTER_CONFIGS_BODY);

static INCREMENTAL_ALTER_CONFIGS_BODY: Shape = Shape::new::<IncrementalAlterConfigsRequest>(&[
    field("resources", Kind::Array(&Kind::Struct(&ALTER_CONFIGS_RESOURCE))),
    field("validate_only", BOOL),
]);

static ALTER_CONFIGS_RESOURCE: Shape = Shape::new::<incremental_alter_configs_request::AlterConfigsResource>(&[
    field("resource_type", INT8),
    field("resource_name", Kind::Text),
    field("configs", Kind::Array(&Kind::Struct(&ALTERABLE_CONFIG))),
]);

static ALTERABLE_CONFIG: Shape = Shape::new::<incremental_alter_configs_request::AlterableConfig>(&[
    field("name", Kind::Text),
    field("config_operation", INT8),
    field("value", Kind::Text).nullable(),
]);

pub(super) static DESCRIBE_CLUSTER: Schema = Schema::new(ApiKey::DescribeCluster, (0, 2), &DESCRIBE_CLUSTER_BODY);

static DESCRIBE_CLUSTER_BODY: Shape = Shape::new::<DescribeClusterRequest>(&[
    field("include_cluster_authorized_operations", BOOL),
    field("endpoint_type", INT8).since(1),
    field("include_fenced_brokers", BOOL).since(2),
]);
