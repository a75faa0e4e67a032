//! DeleteTopics (key 20), versions 1-6.
//!
//! Versions: 3 TOPIC_DELETION_DISABLED may be answered · 4 flexible · 5 error message · 6 topics by id (KIP-516).
//!
//! Stage: alone on its connection.
//!
//! Deliberate deviation from Kafka: the answer leaves when the deletion is durable, whatever the request's timeout says.

use protocol::ErrorCode;
use protocol::ids::TopicId;
use protocol::messages::delete_topics_request::DeleteTopicState;
use protocol::messages::delete_topics_response::DeletableTopicResult;
use protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, StrBytes, TopicName};

use super::RequestContext;
use super::distinct::{Distinct, distinct};
use crate::cluster::ControllerError;
use crate::cluster::change::{ChangeError, Requester, TopicRef};
use crate::kafka_error;

/// First version that takes ids, and one list for names and ids.
const IDS_FROM: i16 = 6;
/// First version with a text beside the error.
const MESSAGES_FROM: i16 = 5;
/// First version that knows TOPIC_DELETION_DISABLED.
const DISABLED_CODE_FROM: i16 = 3;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let wanted = wanted(ctx.api_version, request);
    let mut topics = Vec::new();
    let mut refused = Vec::new();
    for topic in distinct(&wanted, |topic| (topic.name.as_deref(), topic.topic_id)) {
        let Distinct { item: topic, repeated } = topic;
        match checked(topic, repeated) {
            Ok(topic) => topics.push(topic),
            Err(error) => refused.push(failed(ctx, topic.name.clone(), topic.topic_id, &error)),
        }
    }
    let answers = ctx
        .services
        .controller
        .delete_topics(topics.clone(), Requester::Client)
        .await;
    let deleted = topics
        .into_iter()
        .zip(answers)
        .map(|(topic, answer)| match (answer, topic) {
            (Ok(deleted), _) => {
                let mut result = DeletableTopicResult::default()
                    .with_name(Some(TopicName(StrBytes::from_string(deleted.name.to_string()))));
                if IDS_FROM <= ctx.api_version {
                    result.topic_id = deleted.id.0;
                }
                result
            }
            (Err(error), TopicRef::Name(name)) => failed(
                ctx,
                Some(TopicName(StrBytes::from_string(name))),
                TopicId::NIL.0,
                &error,
            ),
            (Err(error), TopicRef::Id(id)) => failed(ctx, None, id.0, &error),
        });
    DeleteTopicsResponse::default().with_responses(deleted.chain(refused).collect())
}

fn wanted(version: i16, request: DeleteTopicsRequest) -> Vec<DeleteTopicState> {
    if IDS_FROM <= version {
        return request.topics;
    }
    let names = request.topic_names.into_iter();
    names
        .map(|name| DeleteTopicState::default().with_name(Some(name)))
        .collect()
}

/// What one entry asks for.
fn checked(topic: &DeleteTopicState, repeated: bool) -> Result<TopicRef, ControllerError> {
    let contradiction = |text: &str| Err(ChangeError::Contradiction(text.to_owned()).into());
    if repeated {
        return contradiction("the topic is named twice in this request");
    }
    match (&topic.name, topic.topic_id.is_nil()) {
        (Some(name), true) => Ok(TopicRef::Name(name.to_string())),
        (None, false) => Ok(TopicRef::Id(TopicId(topic.topic_id))),
        (Some(_), false) => contradiction("a topic is named either by name or by id"),
        (None, true) => contradiction("neither name nor id is given"),
    }
}

fn failed(
    ctx: &RequestContext,
    name: Option<TopicName>,
    id: uuid::Uuid,
    error: &ControllerError,
) -> DeletableTopicResult {
    let code = match kafka_error::controller(error) {
        ErrorCode::TopicDeletionDisabled if ctx.api_version < DISABLED_CODE_FROM => ErrorCode::InvalidRequest,
        code => code,
    };
    let mut result = DeletableTopicResult::default()
        .with_name(name)
        .with_error_code(code.code());
    if IDS_FROM <= ctx.api_version {
        result.topic_id = id;
    }
    if MESSAGES_FROM <= ctx.api_version {
        result.error_message = Some(StrBytes::from_string(error.to_string()));
    }
    result
}
