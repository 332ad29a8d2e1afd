package fault

// Kind classes an error by what the caller can do about it.
type Kind uint8

// The kinds and the HTTP status each stands for.
const (
	Internal         Kind = iota // 500, ours; nothing about it is the caller's business
	Malformed                    // 400, not the syntax we speak
	Unauthenticated              // 401, no or no valid credentials
	Forbidden                    // 403, known, but not allowed
	NotFound                     // 404
	MethodNotAllowed             // 405
	Conflict                     // 409, contradicts the present state
	TooLarge                     // 413
	UnsupportedMedia             // 415
	Unprocessable                // 422, well-formed, but it cannot be done
	Unavailable                  // 503, try again later
	Timeout                      // 504, the deadline passed
)

var kinds = [...]struct {
	status int
	name   string
}{
	Internal:         {500, "internal"},
	Malformed:        {400, "malformed"},
	Unauthenticated:  {401, "unauthenticated"},
	Forbidden:        {403, "forbidden"},
	NotFound:         {404, "not found"},
	MethodNotAllowed: {405, "method not allowed"},
	Conflict:         {409, "conflict"},
	TooLarge:         {413, "too large"},
	UnsupportedMedia: {415, "unsupported media"},
	Unprocessable:    {422, "unprocessable"},
	Unavailable:      {503, "unavailable"},
	Timeout:          {504, "timeout"},
}

// Status returns the HTTP status code of k (RFC 9110); 500 for an unknown kind.
func (k Kind) Status() int {
	if int(k) >= len(kinds) {
		return kinds[Internal].status
	}
	return kinds[k].status
}

// String returns the name of k in plain words, for logs.
func (k Kind) String() string {
	if int(k) >= len(kinds) {
		return "unknown"
	}
	return kinds[k].name
}
