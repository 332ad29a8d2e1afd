package controllers

import (
	"net/http"
	"net/netip"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/userauth"
	"github.com/go-troika/troika/services/user-service/internal/services"
)

// Auth handles the requests under /auth, and the public keys of access tokens.
type Auth struct {
	accounts *services.Accounts
	keys     userauth.KeySet
	client   func(*http.Request) netip.Addr
}

// NewAuth returns a controller over accounts, which publishes keys. client returns the
// address of a request's client.
func NewAuth(accounts *services.Accounts, keys userauth.KeySet, client func(*http.Request) netip.Addr) *Auth {
	return &Auth{accounts: accounts, keys: keys, client: client}
}

type registration struct {
	Email    email       `json:"email" validate:"required"`
	Name     name        `json:"name" validate:"required"`
	Password newPassword `json:"password" validate:"required"`
}

// Register handles POST /auth/register: 201 with the new user.
func (ctl *Auth) Register(c *gin.Context) error {
	in, err := httpserver.Bind[registration](c)
	if err != nil {
		return err
	}
	client := ctl.client(c.Request)
	user, err := ctl.accounts.Register(c.Request.Context(), string(in.Email), string(in.Name), string(in.Password), client)
	if err != nil {
		return err
	}
	c.Header("Location", "/users/"+user.ID.String())
	return httpserver.JSON(c, http.StatusCreated, view(user))
}

type login struct {
	Email    email    `json:"email" validate:"required"`
	Password password `json:"password" validate:"required"`
}

// Login handles POST /auth/login: 200 with a new session.
func (ctl *Auth) Login(c *gin.Context) error {
	in, err := httpserver.Bind[login](c)
	if err != nil {
		return err
	}
	session, err := ctl.accounts.Login(c.Request.Context(), string(in.Email), string(in.Password), ctl.client(c.Request))
	if err != nil {
		return err
	}
	return httpserver.JSON(c, http.StatusOK, viewSession(session))
}

type refreshToken struct {
	RefreshToken string `json:"refreshToken" validate:"required,max=256"`
}

// Refresh handles POST /auth/refresh: 200 with the session's new tokens.
func (ctl *Auth) Refresh(c *gin.Context) error {
	in, err := httpserver.Bind[refreshToken](c)
	if err != nil {
		return err
	}
	session, err := ctl.accounts.Refresh(c.Request.Context(), in.RefreshToken)
	if err != nil {
		return err
	}
	return httpserver.JSON(c, http.StatusOK, viewSession(session))
}

// Logout handles POST /auth/logout: 204, also if the session had ended.
func (ctl *Auth) Logout(c *gin.Context) error {
	in, err := httpserver.Bind[refreshToken](c)
	if err != nil {
		return err
	}
	if err := ctl.accounts.Logout(c.Request.Context(), in.RefreshToken); err != nil {
		return err
	}
	return httpserver.NoContent(c)
}

// Keys handles GET /.well-known/jwks.json.
func (ctl *Auth) Keys(c *gin.Context) error {
	c.Header("Cache-Control", "public, max-age=300")
	return httpserver.JSON(c, http.StatusOK, ctl.keys.JWKS())
}

// session is a session in a response.
type session struct {
	AccessToken  string `json:"accessToken"`
	TokenType    string `json:"tokenType"`
	ExpiresIn    int64  `json:"expiresIn"` // seconds
	RefreshToken string `json:"refreshToken"`
}

func viewSession(s services.Session) session {
	return session{s.AccessToken, "Bearer", int64(s.ExpiresIn.Seconds()), s.RefreshToken}
}

// Passwords of a request, decoded to their normalized form.
type (
	password    string
	newPassword string
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *password) UnmarshalText(b []byte) error {
	*p = password(services.NormalizePassword(string(b)))
	return nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *newPassword) UnmarshalText(b []byte) error {
	normalized := services.NormalizePassword(string(b))
	*p = newPassword(normalized)
	return services.CheckPassword(normalized)
}
