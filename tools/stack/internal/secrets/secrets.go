// Package secrets makes the files that deploy/redis/start.sh reads: passwords, and a certificate.
package secrets

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// Files of Redis, beside those of [Password].
const (
	Certificate = "redis.crt"
	Key         = "redis.key"
)

// Operator is the user with all rights.
const Operator = "operator"

// Password returns the name of the file with the password of a user of Redis.
func Password(user string) string { return "redis-password-" + user }

var users = regexp.MustCompile(`(?m)^user (\S+) on >@`)

// Redis returns the files of a Redis that is reached at hosts, by name: the password of each user
// of deploy/redis/users.acl in the checkout at root, and a self-signed certificate for ten years,
// which clients trust as their CA.
func Redis(root string, hosts ...string) (map[string]string, error) {
	template, err := os.ReadFile(filepath.Join(root, "deploy", "redis", "users.acl"))
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, match := range users.FindAllStringSubmatch(string(template), -1) {
		files[Password(match[1])] = rand.Text()
	}
	files[Certificate], files[Key], err = certificate(hosts)
	return files, err
}

func certificate(hosts []string) (cert, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "redis"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	return pemText("CERTIFICATE", der), pemText("PRIVATE KEY", pkcs8), err
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// Folder makes a folder for secrets, which other users of this machine cannot enter. It fails for an
// existing one that they can.
func Folder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("%s can be entered by others; chmod 700 it", dir)
	}
	return err
}

// Write writes files into a folder that is made if there is none. Those that exist stay as they
// are; it returns the names of the others. A certificate is written together with its key.
func Write(dir string, files map[string]string) (written []string, err error) {
	if err := Folder(dir); err != nil {
		return nil, err
	}
	for _, name := range []string{Certificate, Key} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			delete(files, Certificate)
			delete(files, Key)
		}
	}
	for name, text := range files {
		// Containers read these as other users.
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return written, err
		}
		_, err = f.WriteString(text)
		if err := errors.Join(err, f.Close()); err != nil {
			return written, fmt.Errorf("write %s: %w", name, err)
		}
		written = append(written, name)
	}
	return written, nil
}
