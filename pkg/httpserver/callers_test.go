package httpserver_test

import (
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
)

func TestCallers(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	who := httpserver.Handle(func(c *gin.Context) error {
		return httpserver.JSON(c, http.StatusOK, serviceauth.Caller(c.Request.Context()))
	})
	b.Router().GET("/", httpserver.Callers("gateway", "order-service"), who)
	b.Router().GET("/nobody", httpserver.Callers(), who)
	token := func(service string) string {
		token, err := serviceauth.NewSigner(b.keys, service).Token("user-service")
		if err != nil {
			t.Fatal(err)
		}
		return token
	}

	w := b.do(http.MethodGet, "/", "", serviceauth.Header, token("order-service"))
	if w.Code != http.StatusOK || w.Body.String() != `"order-service"` {
		t.Errorf("order-service: %d %s", w.Code, w.Body)
	}
	w = b.do(http.MethodGet, "/", "")
	if a := problem(t, w, http.StatusUnauthorized, "service_token_required"); a.Error != "Service token required" {
		t.Errorf("without a token: %q", a.Error)
	}
	if w.Header().Get("WWW-Authenticate") == "" {
		t.Error("a 401 without WWW-Authenticate")
	}
	w = b.do(http.MethodGet, "/", "", serviceauth.Header, token("order-service")+"x")
	if a := problem(t, w, http.StatusUnauthorized, "invalid_service_token"); a.Error != "Invalid service token" {
		t.Errorf("with a bad token: %q", a.Error)
	}
	problem(t, b.do(http.MethodGet, "/", "", serviceauth.Header, token("billing-service")), http.StatusForbidden, "caller_not_allowed")
	problem(t, b.do(http.MethodGet, "/nobody", "", serviceauth.Header, token("gateway")), http.StatusForbidden, "caller_not_allowed")
}

func TestPathUUID(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	b.handle(http.MethodGet, "/users/:id", func(c *gin.Context) error {
		id, err := httpserver.PathUUID(c, "id")
		if err != nil {
			return err
		}
		return httpserver.JSON(c, http.StatusOK, id)
	})
	const id = "01890a5d-ac96-774b-bcce-b302099a8057"
	if w := b.do(http.MethodGet, "/users/"+id, ""); w.Body.String() != `"`+id+`"` {
		t.Errorf("answer %s", w.Body)
	}
	for _, bad := range []string{"1", "%7B" + id + "%7D", "urn:uuid:" + id, "01890a5dac96774bbcceb302099a8057", id + "0", "%00", "ann@example.com"} {
		problem(t, b.do(http.MethodGet, "/users/"+bad, ""), http.StatusBadRequest, "invalid_id")
	}
}
