package fault

import "net/http"

// Kind classes an error by what the caller can do about it. It is the HTTP status.
type Kind int

// The kinds.
const (
	Internal         Kind = http.StatusInternalServerError // a failure of the service; its cause is not public
	Malformed        Kind = http.StatusBadRequest          // the request breaks the rules of the API
	Unauthenticated  Kind = http.StatusUnauthorized        // no or no valid credentials
	Forbidden        Kind = http.StatusForbidden           // known, but not allowed
	NotFound         Kind = http.StatusNotFound
	MethodNotAllowed Kind = http.StatusMethodNotAllowed
	Conflict         Kind = http.StatusConflict // contradicts the present state
	TooLarge         Kind = http.StatusRequestEntityTooLarge
	UnsupportedMedia Kind = http.StatusUnsupportedMediaType
	Unprocessable    Kind = http.StatusUnprocessableEntity // well-formed, but it cannot be done
	TooMany          Kind = http.StatusTooManyRequests     // the caller is over its limit; try again later
	Unavailable      Kind = http.StatusServiceUnavailable  // try again later
	Timeout          Kind = http.StatusGatewayTimeout      // the deadline passed

	PreconditionFailed   Kind = http.StatusPreconditionFailed   // the resource has changed meanwhile
	PreconditionRequired Kind = http.StatusPreconditionRequired // the request must name the version it changes
)

// Status returns the HTTP status code of k (RFC 9110); 500 unless it is one of an error.
func (k Kind) Status() int {
	if k < 400 || k > 599 {
		return http.StatusInternalServerError
	}
	return int(k)
}

// Codes by which a service that works refuses a request for now. Clients may retry later;
// their circuit breakers do not count it as a failure.
const (
	CodeOverloaded   = "overloaded"
	CodeDatabaseBusy = "database_busy"
	CodeEventLogBusy = "event_log_busy"
)
