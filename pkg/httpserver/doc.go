// Package httpserver serves a service's HTTP API and says no in one voice.
//
// Handlers return an error; [Handle] adapts them to gin and one place turns
// whatever they return into an RFC 9457 problem:
//
//	s := httpserver.New(cfg, deps)
//	s.Router().POST("/users", s.Callers("gateway"), httpserver.Handle(create))
//
//	func create(c *gin.Context) error {
//		in, err := httpserver.Bind[createUser](c)
//		if err != nil {
//			return err
//		}
//		...
//		return httpserver.JSON(c, http.StatusCreated, user)
//	}
//
// # What every route gets
//
// A span, a request id and the headers that name them; a deadline, the smaller of
// the server's own and the caller's X-Request-Timeout-Ms; a limit on requests in
// flight; a limit on the body; metrics by route template; recovery from panics.
// What fails with a 5xx is logged once, with its cause; what fails with a 4xx is
// the caller's affair and logged at debug level like a success. No log line holds
// a path, a query, a body or a header that is not on a short list.
//
// The deadline is cooperative: it ends the request's context, and a handler that
// comes back after it is answered with 504 whatever it has to say. A handler that
// never looks at its context is cut off by the write timeout of the connection.
//
// # Probes
//
// /health, /livez and /readyz answer without a token, outside the limit on
// requests in flight, and count in no metric and no trace.
//
// # Stopping
//
// [Server.Drain] makes /readyz answer 503 and every answer close its connection,
// while requests are served as before. When the context of [Server.Run] ends, the
// server stops accepting and waits for the requests in flight.
package httpserver
