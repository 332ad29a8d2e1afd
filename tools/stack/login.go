package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	userService = "user-service"
	loginTime   = 10 * time.Second
)

// login prints an access token of a person, for curl. The password comes from standard
// input, without an echo if that is a terminal: a flag would show in the list of processes.
func (a *app) login(ctx context.Context, args []string) error {
	fs := a.flags("login")
	email := fs.String("email", "", "")
	url := fs.String("url", "", "")
	if _, err := a.parse(fs, args, 0, 0); err != nil {
		return err
	}
	if *email == "" {
		return fmt.Errorf("login: --email is missing: %w", errUsage)
	}
	if *url == "" {
		status, err := a.runningStatus(ctx)
		if err != nil {
			return err
		}
		parts, err := status.Named(userService)
		if err != nil {
			return err
		}
		*url = parts[0].URL
	}
	password, err := a.readPassword(*email)
	if err != nil {
		return err
	}
	token, err := logIn(ctx, *url, *email, password)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.out, token)
	return nil
}

func (a *app) readPassword(email string) (string, error) {
	if term.IsTerminal(int(os.Stdin.Fd())) {
		fmt.Fprintf(a.err, "password of %s: ", email)
		password, err := term.ReadPassword(int(os.Stdin.Fd()))
		fmt.Fprintln(a.err)
		return string(password), err
	}
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// logIn returns an access token from user-service at url.
func logIn(ctx context.Context, url, email, password string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	body, err := json.Marshal(map[string]string{"email": email, "password": password})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/auth/login", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct{ AccessToken, Error string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); err != nil {
		return "", fmt.Errorf("login: %s: %w", resp.Status, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("login: %s: %s", resp.Status, answer.Error)
	}
	return answer.AccessToken, nil
}
