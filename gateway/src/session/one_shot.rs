//! Requests over HTTP: each stands for itself and is answered once, so there is no session to keep.

use lakh_engine::units::Timestamp;

use super::{Asked, Channel, SessionContext, SignedWork, Standing, Submission, Work};
use crate::api_error::ApiError;
use crate::auth::rest_text::{RestText, RestTextError};
use crate::auth::{parse_api_key, parse_signature};
use crate::hand_over::{AnswerShape, Read};
use crate::request::{self, Fields, Intent, Method, refusal};

/// A signed request as it came.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// What its verb and path stand for.
    pub method: Method,
    /// The api key of its header, if there was one.
    pub api_key: Option<&'a str>,
    /// Behind the `?`.
    pub query: &'a str,
    /// The form.
    pub body: &'a str,
}

/// What a signed request asks of the verifier. `standing` is that of its connection.
///
/// # Errors
/// The first thing that is missing or not legal.
pub fn signed_request(
    context: &SessionContext,
    request: HttpRequest<'_>,
    standing: Standing,
    now: Timestamp,
) -> Result<Submission, ApiError> {
    let HttpRequest { method, api_key, query, body } = request;
    let directory = &context.directory;
    let RestText { text, query_length, parameters, signature } = RestText::new(query, body).map_err(text_error)?;
    let fields = Fields::new(&parameters);
    let api_key = api_key.ok_or_else(refusal::api_key_format)?;
    let signature = signature.ok_or_else(|| refusal::missing("signature"))?;
    let timing = context.signed_timing(fields, now)?;
    let public_key =
        parse_api_key(api_key, directory.venue_tag(), directory.mode()).map_err(|_| refusal::api_key_format())?;
    let key = context.speaking_key(method, fields, &public_key, now)?;
    let (asked, shape) = match method {
        Method::AccountRateLimitsOrders => {
            fields.check_method(method)?;
            (Asked::Read(Read::OrderBudget { key: key.key }), AnswerShape::Empty)
        }
        _ => match Intent::build(method, fields, key.account, directory)? {
            Intent::Read(read) => (Asked::Read(read), AnswerShape::Empty),
            Intent::Operation { operation, valid_until, shape } => (Asked::Operation { operation, valid_until }, shape),
        },
    };
    let signature = parse_signature(&signature).ok_or_else(|| refusal::illegal_characters("signature"))?;
    let channel = Channel::Http { query_length };
    let other_texts = Vec::new();
    let signed = SignedWork { key, public_key, signature, text, other_texts, timing, method, asked, channel };
    Ok(Submission { request: 0, shape, work: Work::Signed(signed), standing })
}

/// What a public question over HTTP asks of the verifier.
///
/// # Errors
/// The first thing that is missing or not legal.
pub fn public_read(context: &SessionContext, method: Method, query: &str) -> Result<Submission, ApiError> {
    let parameters = RestText::new(query, "").map_err(text_error)?.parameters;
    let read = request::parse_public(method, Fields::new(&parameters), &context.directory)?;
    Ok(Submission { request: 0, shape: AnswerShape::Empty, work: Work::Read(read), standing: Standing::Good })
}

/// What a client is told of query and body that cannot be taken apart.
pub(crate) fn text_error(error: RestTextError) -> ApiError {
    match error {
        RestTextError::NotEncoded => refusal::not_form_encoded(),
        RestTextError::TooLong => refusal::text_too_long(),
        RestTextError::SentTwice(name) => refusal::sent_twice(&super::api::shortened(&name)),
        RestTextError::UnknownFirst => refusal::ambiguous_text(),
    }
}
