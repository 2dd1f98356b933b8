package main

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/updateage/session/gateway"
)

// readSigningKeys returns the keys in PEM files, of which each may have several.
// The errors contain nothing of the keys, nor of the setting, see readSecret.
func readSigningKeys(files []string) ([]gateway.Key, error) {
	var keys []gateway.Key
	var errs []error
	for i, file := range files {
		more, err := readSigningKey(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("-signing-keys: file %d: %w", i+1, err))
		}
		keys = append(keys, more...)
	}
	if twice(keys) {
		errs = append(errs, errors.New("-signing-keys: a key is there twice"))
	}
	return keys, errors.Join(errs...)
}

// twice says whether two keys have one ID, which services would refuse to choose
// between.
func twice(keys []gateway.Key) bool {
	seen := make(map[string]bool)
	for _, k := range keys {
		if seen[k.ID()] {
			return true
		}
		seen[k.ID()] = true
	}
	return false
}

func readSigningKey(file string) ([]gateway.Key, error) {
	text, err := readSecret(file)
	if err != nil {
		return nil, err
	}
	return parseSigningKeys(text)
}

// readSecret reads a file with a secret. Its name is in no error, because people
// set the secret itself in place of the name, and errors are logged.
func readSecret(file string) ([]byte, error) {
	if strings.ContainsAny(file, "\r\n") || strings.Contains(file, "-----BEGIN") {
		return nil, errors.New("is not the name of a file, but what belongs into one (it is not shown)")
	}
	text, err := os.ReadFile(file)
	if wrapped := (*fs.PathError)(nil); errors.As(err, &wrapped) {
		return nil, wrapped.Err
	}
	return text, err
}

func parseSigningKeys(text []byte) (keys []gateway.Key, err error) {
	// pem.Decode passes over what is damaged, and a key would be missing.
	want := bytes.Count(text, []byte("-----BEGIN"))
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		key, err := gateway.ParseKey(pem.EncodeToMemory(block))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) != want {
		return nil, errors.New("has no key, or a damaged one")
	}
	return keys, nil
}

// phaseIn makes keys that are new to this process wait for delay, so that the
// services have fetched them when they begin to sign. known are those it has.
//
// If none is left that signs, all that did were taken away, and one that leaked
// must sign no longer: then the one that was published first signs at once, which
// phaseIn returns. Services fetch a key that they do not know.
func phaseIn(keys, known []gateway.Key, now time.Time, delay time.Duration) (early *gateway.Key) {
	since := make(map[string]time.Time)
	for _, k := range known {
		since[k.ID()] = k.SignFrom
	}
	for i := range keys {
		at, old := since[keys[i].ID()]
		if !old {
			at = now.Add(delay)
		}
		keys[i].SignFrom = at
		if early == nil || at.Before(early.SignFrom) {
			early = &keys[i]
		}
	}
	if early == nil || !early.SignFrom.After(now) {
		return nil
	}
	early.SignFrom = now
	return early
}

// readCookieKeys returns the keys in a file, or none without one.
func readCookieKeys(file string) ([][]byte, error) {
	if file == "" {
		return nil, nil
	}
	text, err := readSecret(file)
	if err != nil {
		return nil, fmt.Errorf("-cookie-keys-file: %w", err)
	}
	keys, err := parseCookieKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("-cookie-keys-file: %w", err)
	}
	return keys, nil
}

// parseCookieKeys takes one key per line, in base64. Empty lines and comments are
// no keys.
func parseCookieKeys(text string) (keys [][]byte, err error) {
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is not base64", n+1)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("has no key")
	}
	return keys, nil
}
