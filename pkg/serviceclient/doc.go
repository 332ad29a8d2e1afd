// Package serviceclient calls other services with deadlines, retries, a circuit breaker and a limit on
// concurrent calls.
//
// A [Client] stands for one target service. [Get], [Post] and their siblings send one JSON request and decode the
// response; a status other than 2xx is an [*Error] with the code of the remote problem.
//
// # Policies
//
// Policies wrap the transport in this order, the outermost first:
//
//  1. total deadline: 5 s for everything, or the caller's if that is nearer;
//  2. breaker: one per target service; while open, it refuses at once. A call counts once, with the outcome of its
//     last attempt;
//  3. retry: at most 2, after a random wait below 25 ms doubling up to 1 s, or after Retry-After (at most 5 s);
//     only for GET, HEAD, PUT and DELETE, for a POST sent [WithKey], and for any call whose connection could not
//     be opened. A budget keeps retries below a tenth of the calls, with 20 in reserve, so that they do not make an
//     outage worse;
//  4. instance: chosen by the registry, for a retry another one if there is one;
//  5. bulkhead: at most 64 attempts at a time, the next is refused at once with [ErrBusy];
//  6. attempt timeout: 2 s;
//  7. trace: a client span, whose identity travels in the headers;
//  8. transport: one per process, see [NewTransport]. Redirects are not followed.
//
// # What counts as a failure
//
// A status up to 499 means that the service works, 404 included, and so does 501. A failure is any other 5xx, a
// broken connection, an incomplete response and an attempt that timed out. The caller's own cancel or deadline says
// nothing about the service and is ignored, and so is a refusal by the bulkhead.
//
// A failed attempt that is to be repeated on another instance counts against its instance in the registry but not
// against the service in the breaker: otherwise the death of one of three instances, with several calls under way to
// it, would open the breaker for the two that live.
//
// # Headers
//
// Every request carries X-Service-Token (audience: the target), X-Service-Name, X-Request-ID, X-Request-Timeout-Ms
// (what is left for this attempt), traceparent and its siblings; every POST an Idempotency-Key, the same in all
// attempts.
package serviceclient
