//! A second opinion by a model on what was said, when somebody asks for one.

use axum::extract::State;
use psyche_core::measure::judge::{Agreement, Question, agreement, rating_of_compound};
use psyche_core::port::Spent;
use psyche_lab::statistics::{mean, mean_interval};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Controller;
use crate::analyses;
use crate::app::Shared;
use crate::error::{Answer, ApiError};
use crate::json::Json;
use crate::schema;

/// Utterances that can be judged at once.
const MOST: usize = 50;
const USUAL: usize = 20;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JudgeRequest {
    #[schema(value_type = schema::JudgeQuestion)]
    question: Question,
    /// The session's own when absent.
    #[serde(default)]
    model: Option<String>,
    /// Utterances to judge, drawn evenly: 1 to 50, 20 when absent.
    #[serde(default)]
    sample: Option<usize>,
    /// The first and the last event to draw from; the whole log when absent.
    #[serde(default)]
    from: Option<u64>,
    #[serde(default)]
    to: Option<u64>,
}

#[derive(Serialize)]
pub struct Judgement {
    question: Question,
    model: String,
    /// What the ratings can be.
    range: [i8; 2],
    ratings: Vec<Rating>,
    /// Utterances that were asked about, and answers that were no rating.
    asked: usize,
    refused: usize,
    mean: Option<f64>,
    interval: Option<[f64; 2]>,
    /// With the rules; of sentiment alone, for which there are any.
    agreement: Option<Agreement>,
    spent: Spent,
    note: &'static str,
}

#[derive(Serialize)]
struct Rating {
    seq: u64,
    judge: Option<i8>,
    rules: Option<i8>,
}

/// Lets a model rate a sample of the utterances, one stateless call each. It costs tokens of the session's budget and is
/// stored nowhere: the gauges never see it.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/analysis/judge", tag = "analysis", params(("id" = String, Path)),
    request_body = JudgeRequest, responses((status = 200, body = schema::Judgement))
)]
pub async fn judge(
    State(app): State<Shared>,
    controller: Controller,
    request: Json<JudgeRequest>,
) -> Answer<Json<Judgement>> {
    let JudgeRequest { question, model, sample, from, to } = request.0;
    let count = sample.unwrap_or(USUAL);
    if count == 0 || count > MOST {
        return Err(ApiError::invalid("sample", format!("must be 1 to {MOST}")));
    }
    let answering = question == Question::Stance;
    let sampled = analyses::sample(&app, controller.id(), (from, to), (count, answering)).await?;
    let asked: Vec<_> =
        sampled.iter().filter_map(|said| Some((said, question.ask(&said.text, said.answered.as_deref())?))).collect();
    if asked.is_empty() {
        return Err(ApiError::conflict("There is no utterance in this range that could be judged."));
    }
    let asks: Vec<_> = asked.iter().map(|(_, ask)| ask.clone()).collect();
    let judged = controller.judge(model.as_deref(), &asks).await?;
    let ratings: Vec<Rating> = asked
        .iter()
        .zip(&judged.answers)
        .take(judged.asked)
        .map(|((said, _), answer)| Rating {
            seq: said.seq,
            judge: answer.as_deref().and_then(|answer| question.read(answer)),
            rules: (question == Question::Sentiment).then(|| rating_of_compound(said.compound)),
        })
        .collect();
    let values: Vec<f64> = ratings.iter().filter_map(|rating| rating.judge.map(f64::from)).collect();
    let column = |of: fn(&Rating) -> Option<i8>| ratings.iter().map(of).collect::<Vec<_>>();
    let agreement = (question == Question::Sentiment)
        .then(|| agreement(&column(|rating| rating.judge), &column(|rating| rating.rules)));
    Ok(Json(Judgement {
        question,
        model: judged.model,
        range: question.range(),
        asked: judged.asked,
        refused: ratings.len() - values.len(),
        mean: mean(&values),
        interval: mean_interval(&values),
        agreement,
        spent: judged.spent,
        note: "A model's rating is an opinion of unknown validity until it agrees with people's on the same texts.",
        ratings,
    }))
}
