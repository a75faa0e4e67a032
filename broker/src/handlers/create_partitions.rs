//! CreatePartitions (key 37), versions 0-3.
//!
//! Versions: 2 flexible · 3 as 2, for quota errors (KIP-599), of which there are none yet.
//!
//! Stage: alone on its connection.
//!
//! Deliberate deviation from Kafka: the answer leaves when the partitions are durable, whatever the request's timeout
//! says.

use protocol::messages::create_partitions_request::CreatePartitionsTopic;
use protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, StrBytes, TopicName};

use super::RequestContext;
use super::distinct::{Distinct, distinct};
use crate::cluster::ControllerError;
use crate::cluster::change::{ChangeError, Requester};
use crate::cluster::controller::MorePartitions;
use crate::kafka_error;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let mut topics = Vec::new();
    let mut results = Vec::new();
    for topic in distinct(&request.topics, |topic| topic.name.as_str()) {
        let Distinct { item: topic, repeated } = topic;
        if repeated {
            let error = ChangeError::Contradiction("the topic is named twice in this request".to_owned());
            results.push(result(topic.name.clone(), Err(error.into())));
        } else {
            topics.push(more_partitions(topic));
        }
    }
    let names: Vec<String> = topics.iter().map(|topic| topic.topic.clone()).collect();
    let answers = ctx
        .services
        .controller
        .create_partitions(topics, Requester::Client, request.validate_only)
        .await;
    let answered = names.into_iter().zip(answers);
    results.extend(answered.map(|(name, answer)| result(TopicName(StrBytes::from_string(name)), answer)));
    CreatePartitionsResponse::default().with_results(results)
}

fn more_partitions(topic: &CreatePartitionsTopic) -> MorePartitions {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        assignments
            .iter()
            .map(|assignment| assignment.broker_ids.iter().map(|broker| broker.0).collect())
            .collect()
    });
    MorePartitions {
        topic: topic.name.to_string(),
        count: topic.count,
        assignments,
    }
}

fn result(name: TopicName, answer: Result<(), ControllerError>) -> CreatePartitionsTopicResult {
    let result = CreatePartitionsTopicResult::default().with_name(name);
    match answer {
        Ok(()) => result,
        Err(error) => result
            .with_error_code(kafka_error::controller(&error).code())
            .with_error_message(Some(StrBytes::from_string(error.to_string()))),
    }
}
