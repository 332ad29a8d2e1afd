package services

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/services/user-service/internal/models"
)

// Expected errors.
var (
	ErrInvalidCredentials = fault.New(fault.Unauthenticated, "invalid_credentials", "Email or password is wrong")
	ErrPasswordIsEmail    = fault.New(fault.Malformed, "validation_failed", "Validation failed").
				WithFields(fault.Field{Name: "password", Message: "must not be the email address"})
	ErrInvalidRefreshToken = fault.New(fault.Unauthenticated, "invalid_refresh_token", "Invalid refresh token")
)

// SessionLife is how long after a login its refresh tokens work, however often they are
// replaced.
const SessionLife = 30 * 24 * time.Hour

// maxSessions is the number of a user's sessions; another login ends the oldest.
const maxSessions = 50

// maxTokens is the number of refresh tokens of a session, used ones included; then it ends. All
// are kept, so that a thief cannot make the second use of a token go unnoticed. One for each
// access token of SessionLife are 4320.
const maxTokens = 5000

// Session is what a person gets who logs in.
type Session struct {
	AccessToken  string // for ExpiresIn
	RefreshToken string // for one use
	ExpiresIn    time.Duration
}

// Accounts manages how people log in. It is safe for concurrent use.
type Accounts struct {
	db        *gorm.DB
	users     *Users
	signer    accessSigner
	passwords passwords
	limits    limits
	log       *slog.Logger
}

// NewAccounts returns the accounts of users in db. issuer signs access tokens with key.
func NewAccounts(db *gorm.DB, users *Users, issuer string, key ed25519.PrivateKey, log *slog.Logger) *Accounts {
	return &Accounts{
		db: db, users: users, signer: newAccessSigner(issuer, key), passwords: newPasswords(), limits: limits{db}, log: log,
	}
}

// Register adds a user who can log in with password, and publishes user.created. email and
// password are normalized. It fails with ErrPasswordIsEmail, ErrEmailTaken or
// ErrTooManyAttempts. That an email is taken is no secret to those who register.
func (s *Accounts) Register(ctx context.Context, email, name, password string, client netip.Addr) (models.User, error) {
	if local, _, _ := strings.Cut(email, "@"); strings.EqualFold(password, email) || strings.EqualFold(password, local) {
		return models.User{}, ErrPasswordIsEmail
	}
	if _, err := s.limits.take(ctx, registration, httpserver.Network(client).String()); err != nil {
		return models.User{}, err
	}
	hash, err := s.passwords.hash(ctx, password)
	if err != nil {
		return models.User{}, fmt.Errorf("hash password: %w", err)
	}
	return s.users.register(ctx, email, name, func(tx *gorm.DB, id uuid.UUID) error {
		return models.InsertCredentials(tx, &models.Credentials{UserID: id, PasswordHash: hash})
	})
}

// Login begins a session. It fails with ErrInvalidCredentials, in the same time whether or
// not there is an account, or ErrTooManyAttempts.
func (s *Accounts) Login(ctx context.Context, email, password string, client netip.Addr) (Session, error) {
	fromAddress, err := s.limits.take(ctx, loginOfAddress, httpserver.Network(client).String())
	if err != nil {
		return Session{}, err
	}
	ofAccount, err := s.limits.take(ctx, loginOfAccount, email)
	if err != nil {
		return Session{}, err
	}
	user, err := s.authenticate(ctx, email, password)
	if err != nil {
		if !errors.Is(err, ErrInvalidCredentials) { // the password was not tried
			err = errors.Join(err, s.limits.takeBack(ctx, ofAccount, fromAddress))
		}
		return Session{}, err
	}
	session, err := s.begin(ctx, user)
	if err != nil {
		return Session{}, err
	}
	if err := s.limits.succeeded(ctx, ofAccount, fromAddress); err != nil {
		return Session{}, err
	}
	return session, nil
}

func (s *Accounts) authenticate(ctx context.Context, email, password string) (uuid.UUID, error) {
	account, err := models.FindCredentials(s.db.WithContext(ctx), email)
	if errors.Is(err, gorm.ErrRecordNotFound) {
		account.PasswordHash, err = unknownHash, nil
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("find credentials: %w", err)
	}
	matches, err := s.passwords.matches(ctx, account.PasswordHash, password)
	switch {
	case err != nil:
		return uuid.Nil, fmt.Errorf("check password: %w", err)
	case !matches || account.UserID == uuid.Nil:
		return uuid.Nil, ErrInvalidCredentials
	}
	return account.UserID, nil
}

func (s *Accounts) begin(ctx context.Context, user uuid.UUID) (Session, error) {
	token, hash := newRefreshToken()
	err := database.Transaction(ctx, s.db, func(tx *gorm.DB) error {
		if err := lockLiving(tx, user); err != nil {
			return err
		}
		if err := models.InsertFamily(tx, hash, uuid.New(), user, SessionLife); err != nil {
			return err
		}
		return models.KeepFamilies(tx, user, maxSessions)
	})
	switch {
	case errors.Is(err, ErrUserNotFound): // deleted since the password was checked
		return Session{}, ErrInvalidCredentials
	case err != nil:
		return Session{}, fmt.Errorf("begin session: %w", err)
	}
	return s.signer.session(user, token)
}

// Refresh replaces a refresh token. The second use of a token ends the session, because one
// of the two users stole it; that includes the client that lost the response to the first.
// A session ends after 5000 tokens. It fails with ErrInvalidRefreshToken.
func (s *Accounts) Refresh(ctx context.Context, token string) (Session, error) {
	successor, hash := newRefreshToken()
	var old models.RefreshToken
	var fresh, full bool
	err := s.withFamily(ctx, token, func(tx *gorm.DB, t models.RefreshToken) (err error) {
		old = t
		if full, err = models.FamilyHas(tx, t.Family, maxTokens); err != nil {
			return err
		}
		if full {
			return models.DeleteFamily(tx, t.Family)
		}
		if fresh, err = models.ReplaceRefreshToken(tx, t, hash); err != nil || fresh {
			return err
		}
		return models.DeleteFamily(tx, t.Family)
	})
	switch {
	case err != nil:
		return Session{}, fmt.Errorf("refresh session: %w", err)
	case full:
		return Session{}, ErrInvalidRefreshToken
	case !fresh:
		s.log.WarnContext(ctx, "refresh token used twice; session ended", "user_id", old.UserID)
		return Session{}, ErrInvalidRefreshToken
	}
	return s.signer.session(old.UserID, successor)
}

// Logout ends the session of a refresh token, used or not. It does nothing if there is none.
func (s *Accounts) Logout(ctx context.Context, token string) error {
	err := s.withFamily(ctx, token, func(tx *gorm.DB, t models.RefreshToken) error {
		return models.DeleteFamily(tx, t.Family)
	})
	if err != nil && !errors.Is(err, ErrInvalidRefreshToken) {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// withFamily runs f in a transaction with the token's row. What happens to the sessions of
// a user happens one after the other, because it locks the user.
func (s *Accounts) withFamily(ctx context.Context, token string, f func(*gorm.DB, models.RefreshToken) error) error {
	sum := sha256.Sum256([]byte(token))
	return database.Transaction(ctx, s.db, func(tx *gorm.DB) error {
		found, err := models.FindRefreshToken(tx, sum[:])
		if err == nil {
			err = lockLiving(tx, found.UserID)
		}
		if errors.Is(err, gorm.ErrRecordNotFound) || errors.Is(err, ErrUserNotFound) {
			return ErrInvalidRefreshToken
		}
		if err != nil {
			return err
		}
		return f(tx, found)
	})
}

func lockLiving(tx *gorm.DB, id uuid.UUID) error {
	user, err := models.LockUser(tx, id)
	if err == nil && user.DeletedAt != nil {
		return ErrUserNotFound
	}
	return err
}

// newRefreshToken returns a token of 256 random bits and what is stored of it.
func newRefreshToken() (token string, hash []byte) {
	bits := make([]byte, 32)
	_, _ = rand.Read(bits) // does not fail
	token = base64.RawURLEncoding.EncodeToString(bits)
	sum := sha256.Sum256([]byte(token))
	return token, sum[:]
}

const (
	purgeAtOnce = 500
	purgeEvery  = time.Minute
)

// Run removes expired refresh tokens and attempts once a minute, until ctx is done.
func (s *Accounts) Run(ctx context.Context) error {
	for {
		removed, err := models.PurgeExpired(s.db.WithContext(ctx), purgeAtOnce)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "purge of expired sessions failed; will retry", "error", err)
		}
		wait := purgeEvery
		if removed == purgeAtOnce {
			wait = 0
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}
