package serviceclient

// The parsers of foreign input, for the fuzz targets.
var ParseRetryAfter = parseRetryAfter

// ParseProblem returns the texts taken over from an error answer.
func ParseProblem(body []byte) []string {
	p := parseProblem(body)
	return []string{p.Code, p.Error, p.RequestID}
}

// RetryAfterCap is the longest wait a target can ask for.
const RetryAfterCap = retryAfterCap
