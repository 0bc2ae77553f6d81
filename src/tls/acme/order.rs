//! One order, from the account to the certificate (RFC 8555 section 7.4).

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Error as AcmeError, Identifier, NewOrder, Order,
    OrderStatus, Problem, RetryPolicy,
};
use time::OffsetDateTime;
use tokio::time::timeout;

use super::certificate::Certificate;
use super::challenges::{Challenges, Posted};
use super::error::OrderError;
use super::{Kind, Options, account};
use crate::tls::store;

/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(300);
/// How often the authority is asked whether it is done, and for how long.
const POLLING: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).backoff(1.5).timeout(Duration::from_secs(120));

/// Orders a certificate, has its names validated, and keeps what comes.
pub(super) async fn fill(options: &Options, kind: Kind, challenges: &Challenges) -> Result<Certificate, OrderError> {
    // An authority issues few certificates a week for a name: none is ordered that could not be kept.
    store::try_writing(&options.dir)?;
    let filled = timeout(DEADLINE, attempt(options, kind, challenges)).await;
    let (chain, key) = filled.unwrap_or(Err(OrderError::Slow(DEADLINE.as_secs())))?;
    let certificate = Certificate::keep(&options.dir, &chain, &key)?;
    if !certificate.has_all(&options.names) {
        return Err(OrderError::Unusable("the certificate that came is not for all the names"));
    }
    if !certificate.validity.contains(OffsetDateTime::now_utc()) {
        return Err(OrderError::Unusable("the certificate that came is not valid by this machine's clock"));
    }
    Ok(certificate)
}

/// An account that the authority has lost is made anew, once.
async fn attempt(options: &Options, kind: Kind, challenges: &Challenges) -> Result<(String, String), OrderError> {
    match with(&account::open(options).await?, options, kind, challenges).await {
        Err(error) if error.is_of_lost_account() => {
            account::forget(options)?;
            with(&account::open(options).await?, options, kind, challenges).await
        }
        other => other,
    }
}

/// Gives the chain and the key, in PEM.
async fn with(
    account: &Account,
    options: &Options,
    kind: Kind,
    challenges: &Challenges,
) -> Result<(String, String), OrderError> {
    let names: Vec<_> = options.names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let posted = challenges.begin();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        answer(authorization?, kind, &posted).await?;
    }
    match order.poll_ready(&POLLING).await {
        Ok(OrderStatus::Ready) => {}
        Ok(_) => return Err(refusal(&mut order, kind, None).await?),
        Err(AcmeError::Api(problem)) => return Err(refusal(&mut order, kind, Some(problem)).await?),
        Err(other) => return Err(other.into()),
    }
    drop(posted);
    let key = order.finalize().await?;
    Ok((order.poll_certificate(&POLLING).await?, key))
}

/// Lets the authority look, unless it has seen enough at an earlier order.
async fn answer(authorization: AuthorizationHandle<'_>, kind: Kind, posted: &Posted<'_>) -> Result<(), OrderError> {
    if authorization.status == AuthorizationStatus::Valid {
        return Ok(());
    }
    let name = authorization.identifier().to_string();
    let wanted = match kind {
        Kind::Http01 => ChallengeType::Http01,
        Kind::TlsAlpn01 => ChallengeType::TlsAlpn01,
    };
    // A challenge borrows it for as long as it lives: as a variable of its own it need not live as long as the order.
    let mut authorization = authorization;
    let Some(mut challenge) = authorization.challenge(wanted) else {
        return Err(OrderError::NotOffered { name, kind });
    };
    let key_authorization = challenge.key_authorization();
    match kind {
        Kind::Http01 => posted.over_http(&challenge.token, key_authorization.as_str()),
        Kind::TlsAlpn01 => posted.over_tls(&name, key_authorization.digest().as_ref())?,
    }
    Ok(challenge.set_ready().await?)
}

/// Why the authority does not fill the order. It may say so with the order, or only with the name that it could not
/// validate.
async fn refusal(order: &mut Order, kind: Kind, said: Option<Problem>) -> Result<OrderError, OrderError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let state = authorization.refresh().await?;
        if state.status == AuthorizationStatus::Invalid {
            let problem = state.challenges.iter().find_map(|challenge| challenge.error.clone()).or(said);
            return Ok(OrderError::NotOurs { name: state.identifier().to_string(), kind, problem });
        }
    }
    let unsaid = OrderError::Unusable("the authority does not fill the order, and does not say why");
    Ok(said.map_or(unsaid, |problem| AcmeError::Api(problem).into()))
}
